"""When two structures are one: periodic images, translations, exchanges of equal atoms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mapmpi.path.matching import Alignment, Matcher, StationaryPoint

CUBE = np.diag([12.0, 12.0, 12.0])
SKEWED = np.array([[12.0, 0.0, 0.0], [5.0, 11.0, 0.0], [-4.0, 3.0, 12.0]])
H2O = [0, 1, 2]  # O, H, H


def glass(cell: np.ndarray = CUBE) -> tuple[np.ndarray, Matcher]:
    """Return 27 jittered lattice sites, the first three of them a water molecule, and their matcher."""
    sites = np.stack(np.meshgrid(*[np.arange(3) / 3] * 3), axis=-1).reshape(-1, 3) @ cell
    positions = sites + np.random.default_rng(5).uniform(-0.3, 0.3, size=sites.shape)
    positions[1:3] = positions[0] + np.array([[0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    numbers = np.array([8, 1, 1] + [14, 8, 8] * 8)
    return positions, Matcher(numbers, cell, np.ones(3, dtype=bool), 0.3, 0.02, tagged=[0])


def moved(positions: np.ndarray, atom: int, *vector: float) -> np.ndarray:
    result = positions.copy()
    result[atom] += vector
    return result


def swapped(positions: np.ndarray, first: int, second: int) -> np.ndarray:
    result = positions.copy()
    result[[first, second]] = positions[[second, first]]
    return result


@pytest.mark.parametrize("cell", [CUBE, SKEWED])
def test_same_structure_by_translation_periodic_images_and_exchange(cell: np.ndarray) -> None:
    positions, matcher = glass(cell)
    other = swapped(positions, 4, 7) + np.array([5.9, -4.0, 0.3])  # two O of the network, all translated
    other = moved(moved(other, 10, *cell[1]), 12, *(cell[0] - 2 * cell[2]))
    other += np.random.default_rng(1).uniform(-0.05, 0.05, size=other.shape)
    alignment = matcher.match(StationaryPoint(positions, 0.0), StationaryPoint(other, 0.01))
    assert alignment is not None
    assert sorted(np.flatnonzero(alignment.order != np.arange(27))) == [4, 7]
    assert np.abs(alignment.apply(other) - positions).max() < 0.1


def test_lattice_vector_shift_of_everything_is_the_same_structure() -> None:
    positions, matcher = glass()
    assert matcher.match(StationaryPoint(positions, 0.0), StationaryPoint(positions + CUBE[0], 0.0)) is not None


@pytest.mark.parametrize("shift", [0.25, 0.35])
def test_tolerance_bounds_the_largest_displacement(shift: float) -> None:
    positions, matcher = glass()
    same = (
        matcher.match(StationaryPoint(positions, 0.0), StationaryPoint(moved(positions, 9, 0.0, shift, 0.0), 0.0))
        is not None
    )
    assert same == (shift < 0.3)


def test_different_energies_different_elements_and_empty_places_are_different_structures() -> None:
    positions, matcher = glass()
    here = StationaryPoint(positions, 0.0)
    assert matcher.match(here, StationaryPoint(positions, 0.03)) is None
    assert matcher.match(here, StationaryPoint(positions, np.nan)) is None
    assert matcher.match(here, StationaryPoint(swapped(positions, 3, 4), 0.0)) is None  # Si and O
    assert matcher.match(here, StationaryPoint(moved(positions, 4, 1.0, 1.0, 0.0), 0.0)) is None


def test_one_atom_cannot_take_two_places() -> None:
    positions, matcher = glass()
    positions[4] = positions[7] + [0.5, 0.0, 0.0]
    matcher = replace(matcher, tolerance_A=0.26)
    other = positions.copy()
    other[8] = positions[7] + [0.25, 0.0, 0.0]  # between the places of 4 and 7, near enough to either
    other[7] = positions[8]
    assert (
        matcher.match(StationaryPoint(positions, 0.0), StationaryPoint(moved(other, 4, 0.0, 3.0, 0.0), 0.0))
        is None
    )
    assert matcher.match(StationaryPoint(positions, 0.0), StationaryPoint(other, 0.0)) is not None


def test_molecule_in_a_periodic_image_or_exchanged_has_arrived_elsewhere() -> None:
    positions, matcher = glass()
    across = positions.copy()
    across[H2O] += CUBE[0]
    exchanged = swapped(positions, 0, 4)
    for other in (across, exchanged):
        assert matcher.match(StationaryPoint(positions, 0.0), StationaryPoint(other, 0.0)) is None
        assert (
            replace(matcher, tagged=()).match(StationaryPoint(positions, 0.0), StationaryPoint(other, 0.0))
            is not None
        )
    assert (
        matcher.match(StationaryPoint(positions, 0.0), StationaryPoint(swapped(positions, 1, 2), 0.0)) is not None
    )


def test_net_translation_is_that_of_most_atoms() -> None:
    positions, matcher = glass()
    apart = matcher.displacements(positions, moved(positions, 0, 4.0, 0.0, 0.0) + 0.2)
    np.testing.assert_allclose(apart[0], [4.0, 0.0, 0.0], atol=1e-12)
    assert np.abs(apart[1:]).max() < 1e-12


def test_few_frozen_atoms_do_not_translate() -> None:
    positions = np.array([[5.0, 5.0, 5.0], [1.0, 2.0, 3.0], [4.0, 8.0, 2.0]])
    matcher = Matcher(np.array([8, 14, 14]), CUBE, np.ones(3, dtype=bool), 0.3, 0.02)
    assert (matcher.translation(positions, moved(positions, 0, 3.1, 0.7, 0.0)) == 0).all()


def test_structures_without_a_cell() -> None:
    positions = np.random.default_rng(6).normal(size=(5, 3))
    matcher = Matcher(np.full(5, 8), np.zeros((3, 3)), np.zeros(3, dtype=bool), 0.1, 0.02)
    alignment = matcher.match(
        StationaryPoint(positions, 0.0), StationaryPoint(positions[[1, 0, 2, 4, 3]] + 40.0, 0.0)
    )
    assert alignment is not None
    assert alignment.order.tolist() == [1, 0, 2, 4, 3]


def test_alignments_compose_and_invert() -> None:
    random = np.random.default_rng(2)
    first, second = (Alignment(random.permutation(6), random.normal(size=(6, 3))) for _ in range(2))
    positions = random.normal(size=(6, 3))
    np.testing.assert_allclose(second.after(first).apply(positions), second.apply(first.apply(positions)))
    np.testing.assert_allclose(first.inverse().apply(first.apply(positions)), positions)


@pytest.mark.parametrize("cell", [CUBE, SKEWED])
def test_nearest_labels_undo_an_exchange_and_a_periodic_image(cell: np.ndarray) -> None:
    positions, matcher = glass(cell)
    other = swapped(positions, 4, 7)
    other[10] += cell[1] - cell[2]
    alignment = matcher.nearest_labels(positions, other)
    np.testing.assert_allclose(alignment.apply(other), positions, atol=0.5)  # the common translation stays
    assert sorted(np.flatnonzero(alignment.order != np.arange(27))) == [4, 7]
    apart = alignment.apply(other) - positions
    np.testing.assert_allclose(apart, np.broadcast_to(apart[0], apart.shape), atol=1e-9)


def test_nearest_labels_do_not_exchange_what_differs_or_is_tagged() -> None:
    positions, matcher = glass()
    for first, second in ((3, 4), (0, 4)):  # Si and O; the tagged O and another
        alignment = matcher.nearest_labels(positions, swapped(positions, first, second))
        assert alignment.order.tolist() == list(range(27))
    far = moved(positions, 0, *CUBE[0])  # the tagged atom has crossed the cell: it has arrived elsewhere
    assert np.abs(matcher.nearest_labels(positions, far).offset).max() < 1e-9


def test_nearest_labels_find_the_least_sum_of_squares() -> None:
    """A ring of three exchanges with a jump: each atom takes the place next to it."""
    positions, matcher = glass()
    other = positions.copy()
    other[[4, 7, 10]] = positions[[7, 10, 4]] + [[0.4, 0, 0], [0, 0.5, 0], [0, 0, 0.4]]
    alignment = matcher.nearest_labels(positions, other)
    assert alignment.order[[4, 7, 10]].tolist() == [10, 4, 7]
    assert np.linalg.norm(alignment.apply(other) - positions, axis=1).max() < 0.6


def test_nearest_labels_of_what_is_near_change_nothing() -> None:
    positions, matcher = glass()
    shaken = positions + np.random.default_rng(3).uniform(-0.1, 0.1, size=positions.shape)
    alignment = matcher.nearest_labels(positions, shaken)
    assert np.array_equal(alignment.apply(shaken), shaken)
