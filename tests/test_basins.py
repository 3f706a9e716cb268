"""Quenched frames in the order of a path, grouped into the basins that it visits."""

from __future__ import annotations

import numpy as np
import pytest
from test_matching import CUBE, H2O, glass, moved, swapped

from mapmpi.path.basins import Chain, group_basins, what_moves
from mapmpi.path.matching import Matcher, StationaryPoint


def chain_of(frames: list[np.ndarray], energies: list[float], matcher: Matcher) -> Chain:
    """Group quenched frames into a chain; a frame whose energy is not a number is one that failed."""
    points = [StationaryPoint(*one) if np.isfinite(one[1]) else None for one in zip(frames, energies, strict=True)]
    return group_basins(dict(enumerate(points)), matcher)


def test_consecutive_frames_are_grouped_at_their_lowest() -> None:
    a, matcher = glass()
    b = moved(a, 0, 2.0, 0.0, 0.0)
    frames = [a, a + 0.03, b, moved(b, 5, 0.1, 0.0, 0.0), b]
    chain = chain_of(frames, [0.0, -0.01, 0.5, 0.49, np.nan], matcher)
    assert [basin.frames for basin in chain.basins] == [(0, 1), (2, 3)]
    assert [basin.energy for basin in chain.basins] == [-0.01, 0.49]
    np.testing.assert_allclose(chain.basins[1].positions, frames[3], atol=1e-12)
    assert chain.loops == []


def test_loop_is_cut_out_and_noted() -> None:
    a, matcher = glass()
    b, c = moved(a, 0, 2.0, 0.0, 0.0), moved(a, 0, 0.0, 2.0, 0.0)
    chain = chain_of([a, b, b, a, c], [0.0, 0.5, 0.5, 0.0, 0.2], matcher)
    assert [basin.frames for basin in chain.basins] == [(0, 3), (4,)]
    assert chain.loops == [(0, 3)]


def test_after_a_loop_that_exchanged_atoms_the_path_keeps_the_first_labels() -> None:
    a, matcher = glass()
    b = moved(a, 0, 2.0, 0.0, 0.0)
    back = moved(swapped(a, 4, 7), 10, *CUBE[2])  # the same structure, other labels, another image
    c = moved(back, 0, 0.0, 2.0, 0.0)
    chain = chain_of([a, b, back, c], [0.0, 0.5, 0.0, 0.2], matcher)
    assert [basin.frames for basin in chain.basins] == [(0, 2), (3,)]
    apart = chain.basins[1].positions - chain.basins[0].positions
    np.testing.assert_allclose(apart[0], [0.0, 2.0, 0.0], atol=1e-9)
    assert np.abs(apart[1:]).max() < 1e-9


def test_crossing_the_whole_cell_is_no_loop() -> None:
    a, matcher = glass()
    frames = []
    for distance in (0.0, 4.0, 8.0, 12.0):
        frames.append(a.copy())
        frames[-1][H2O, 0] += distance
    chain = chain_of(frames, [0.0, 0.3, 0.4, 0.0], matcher)
    assert len(chain.basins) == 4
    assert chain.basins[-1].positions[0, 0] - a[0, 0] == pytest.approx(12.0)


def test_drift_between_basins_is_taken_off() -> None:
    a, matcher = glass()
    chain = chain_of([a, moved(a, 0, 2.0, 0.0, 0.0) + 0.4], [0.0, 0.5], matcher)
    np.testing.assert_allclose(chain.basins[1].positions[1:], a[1:], atol=1e-9)


def test_remote_jump_is_kept_and_named() -> None:
    a, matcher = glass()
    far = max(range(3, 27), key=lambda atom: matcher.distance(a, [atom], H2O))
    distance = matcher.distance(a, [far], H2O)
    b = moved(a, 0, 0.0, 1.5, 0.0)
    c = moved(moved(b, far, 0.0, 0.0, 1.1), 3, 0.2, 0.0, 0.0)
    basins = chain_of([a, b, c], [0.0, 0.5, 0.1], matcher).basins
    assert what_moves(*basins[:2], matcher, H2O, remote_distance_A=4.0) == ("O1", False)
    name, remote = what_moves(*basins[1:], matcher, H2O, remote_distance_A=4.0)
    assert remote
    atom, apart = name.removesuffix(" Å from the molecule").split(", ")
    assert atom == f"{'Si' if matcher.numbers[far] == 14 else 'O'}{far + 1}"
    assert 4.0 < float(apart) <= distance + 0.1
    assert what_moves(*basins[1:], matcher, H2O, remote_distance_A=distance + 0.2) == (atom, False)
