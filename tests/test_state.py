"""The density grid: hand-worked values, periodic images, and the same on any number of ranks."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mapmpi.config import StateGrid
from mapmpi.env.state import DensityGrid, Surroundings
from mapmpi.md.engine import LocalAtoms

GRID = StateGrid(points=8, spacing=0.5, width=0.6)


def local(atoms: Atoms, elements: list[str]) -> LocalAtoms:
    kinds = np.array([elements.index(symbol) for symbol in atoms.symbols])
    return LocalAtoms(np.arange(1, len(atoms) + 1), atoms.positions, kinds)


def brute_force(atoms: Atoms, center: np.ndarray, images: int = 6) -> np.ndarray:
    """Sum Gaussians over every image in a large block of cells, one by one."""
    axis = (np.arange(GRID.points) - (GRID.points - 1) / 2) * GRID.spacing
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1) + center
    total = np.zeros(points.shape[:3])
    span = range(-images, images + 1)
    for position in atoms.positions:
        for shift in ((i, j, k) for i in span for j in span for k in span):
            where = position + np.array(shift) @ atoms.cell.array
            squared = ((points - where) ** 2).sum(axis=-1)
            total += np.where(squared < (4.0 * 0.6) ** 2 * 3, np.exp(-squared / (2 * 0.6**2)), 0.0)
    return total


def test_one_atom_by_hand() -> None:
    atoms = Atoms("O", [[5.0, 5.0, 5.0]], cell=[20] * 3, pbc=True)
    grid = DensityGrid(GRID, ["O"], atoms.cell.array, atoms.pbc)
    density = grid.density(local(atoms, ["O"]), np.array([5.25, 5.25, 5.25]))
    assert density.shape == (1, 8, 8, 8)
    assert density[0, 3, 3, 3] == pytest.approx(1.0)  # this grid point lies on the atom
    assert density[0, 4, 3, 3] == pytest.approx(np.exp(-(0.5**2) / (2 * 0.6**2)))
    assert density[0, 3, 3, 5] == pytest.approx(np.exp(-(1.0**2) / (2 * 0.6**2)))


@pytest.mark.parametrize("cell", [[3.0, 3.4, 3.8], [[3.1, 0, 0], [1.2, 2.9, 0], [-0.8, 0.9, 3.3]]])
def test_periodic_images_against_brute_force(cell: list) -> None:
    atoms = Atoms("O2", [[0.1, 0.2, 0.3], [1.4, 1.1, 2.0]], cell=cell, pbc=True)
    center = np.array([2.9, 0.1, -7.5])
    grid = DensityGrid(GRID, ["O"], atoms.cell.array, atoms.pbc)
    np.testing.assert_allclose(grid.density(local(atoms, ["O"]), center)[0], brute_force(atoms, center), atol=2e-3)


def test_the_grid_does_not_know_where_the_cell_begins() -> None:
    atoms = bulk("Cu", cubic=True) * 3
    atoms.rattle(0.1, seed=3)
    grid = DensityGrid(GRID, ["Cu"], atoms.cell.array, atoms.pbc)
    center = np.array([0.1, 10.8, 5.0])
    here = grid.density(local(atoms, ["Cu"]), center)
    moved = atoms.copy()
    moved.positions += 4.321
    moved.wrap()
    there = grid.density(local(moved, ["Cu"]), center + 4.321 + 2 * atoms.cell.lengths())
    np.testing.assert_allclose(here, there, atol=1e-10)


def test_open_sides_have_no_images() -> None:
    atoms = Atoms("O", [[0.2, 2.0, 2.0]], cell=[4, 4, 4], pbc=[False, True, True])
    grid = DensityGrid(GRID, ["O"], atoms.cell.array, atoms.pbc)
    assert grid.density(local(atoms, ["O"]), np.array([3.9, 2.0, 2.0])).max() < 0.01
    assert grid.density(local(atoms, ["O"]), np.array([0.2, 5.9, 2.0])).max() > 0.8


def test_channels_are_elements_or_one() -> None:
    atoms = Atoms("HO", [[5, 5, 5], [6, 5, 5]], cell=[20] * 3, pbc=True)
    where = np.array([5.0, 5.0, 5.0])
    apart = DensityGrid(GRID, ["H", "O"], atoms.cell.array, atoms.pbc).density(local(atoms, ["H", "O"]), where)
    merged_grid = DensityGrid(
        GRID.model_copy(update={"channels": "merged"}), ["H", "O"], atoms.cell.array, atoms.pbc
    )
    merged = merged_grid.density(local(atoms, ["H", "O"]), where)
    assert apart.shape[0] == 2
    assert merged.shape[0] == 1
    np.testing.assert_allclose(apart.sum(axis=0), merged[0])
    assert not np.allclose(apart[0], apart[1])


def test_eight_bits() -> None:
    atoms = Atoms("O3", [[5.25, 5.25, 5.25]] * 3, cell=[20] * 3, pbc=True)
    grid = DensityGrid(GRID, ["O"], atoms.cell.array, atoms.pbc)
    state = grid(local(atoms, ["O"]), np.array([5.0, 5.0, 5.0]))
    assert state.dtype == np.uint8
    assert state.max() == 255  # three atoms in one place: beyond saturation
    one = grid(local(atoms[:1], ["O"]), np.array([5.0, 5.0, 5.0]))
    assert one.max() == round(255 / GRID.saturation)


def test_ranks_that_own_parts_add_up_to_the_whole() -> None:
    atoms = bulk("Cu", cubic=True) * 2
    everything = local(atoms, ["Cu"])
    grid = DensityGrid(GRID, ["Cu"], atoms.cell.array, atoms.pbc)
    center = np.array([1.0, 0.0, 7.0])
    parts = [
        LocalAtoms(everything.ids[k::2], everything.positions[k::2], everything.elements[k::2]) for k in (0, 1)
    ]
    whole = grid.density(everything, center)
    np.testing.assert_allclose(sum(grid.density(part, center) for part in parts), whole, atol=1e-12)


def test_a_rank_without_atoms_near_adds_nothing() -> None:
    atoms = Atoms("O", [[1.0, 1.0, 1.0]], cell=[30] * 3, pbc=True)
    grid = DensityGrid(GRID, ["O"], atoms.cell.array, atoms.pbc)
    assert (grid.density(local(atoms, ["O"]), np.array([15.0, 15.0, 15.0])) == 0).all()


def test_near_finds_each_image_once() -> None:
    surroundings = Surroundings(np.eye(3) * 2.0, np.array([True] * 3), reach=2.9)
    atoms = LocalAtoms(np.array([1]), np.zeros((1, 3)), np.array([0]))
    apart, rows = surroundings.near(atoms, np.zeros(3))
    assert len(apart) == 27  # -2, 0, 2 along each axis
    assert len(np.unique(apart.round(6), axis=0)) == 27
    assert (rows == 0).all()
