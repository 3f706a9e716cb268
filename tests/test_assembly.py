"""Crossings laid end to end: known barriers, one labelling of the atoms, hops there and back."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from muller_brown import ATOMS, MATCHER, SADDLES, SCALE, TOLERANCE_EV, connect, minimum, place

from mapmpi.config import ConnectSettings
from mapmpi.path.assembly import assemble
from mapmpi.path.barrier import Barrier
from mapmpi.path.connection import Connection
from mapmpi.path.matching import Alignment, StationaryPoint
from mapmpi.path.pathway import Hop, Pathway
from mapmpi.path.quench import Minimum
from mapmpi.path.saddle import Saddle
from mapmpi.path.transition import Verification

SWAP = [0, 2, 1, 3, 4]
"""Two of the equal atoms exchanged."""


def at(x: float, energy: float = 0.0, order: list[int] | None = None, cell: int = 0) -> StationaryPoint:
    """Return a minimum with the mobile atom at x; in other labels, and by so many cells farther."""
    return StationaryPoint(place(x, 0)[order or range(5)] + [20.0 * cell, 0, 0], energy)


def converged(start: StationaryPoint, end: StationaryPoint, saddle_ev: float) -> Barrier:
    """Return a search that has found a saddle halfway between two minima."""
    top = 0.5 * (start.positions + end.positions)
    sides = []
    for point in (start, end):
        trail = np.array([0.7 * top + 0.3 * point.positions, point.positions])
        energies = np.array([saddle_ev - 0.1, point.energy])
        sides.append(Minimum(point.positions, point.energy, 0.0, 10, trail, energies))
    mode = (end.positions - start.positions) / np.linalg.norm(end.positions - start.positions)
    return Barrier(
        "converged",
        "",
        np.array([start.positions, top, end.positions]),
        np.array([start.energy, saddle_ev, end.energy]),
        50,
        Saddle(top, saddle_ev, mode, 0.01, 30),
        (sides[0], sides[1]),
        verification=Verification(np.array([-1.0, 1.0]), ()),
    )


def pathway(basins: list[StationaryPoint], hops: list[Hop]) -> Pathway:
    return Pathway("1", "a test", ATOMS, (0,), (0,), basins, hops)


def check_continuous(basins: list[StationaryPoint], hops: list[Hop]) -> None:
    """Each hop leads from its basin over its saddle to the next basin, without a jump."""
    for hop, start, end in zip(hops, basins[:-1], basins[1:], strict=True):
        np.testing.assert_allclose(hop.band[0], start.positions, atol=1e-2)
        np.testing.assert_allclose(hop.band[-1], end.positions, atol=1e-2)
        assert hop.saddle is not None
        np.testing.assert_allclose(hop.band[hop.top], hop.saddle.positions, atol=1e-12)
        assert hop.energies[hop.top] == hop.saddle.energy == hop.energies.max()
        assert (hop.saddle.mode * (end.positions - start.positions)).sum() > 0
        assert np.linalg.norm(np.diff(hop.band, axis=0), axis=2).max() < 0.7


def test_a_known_intermediate_minimum_gives_two_barriers_not_one() -> None:
    connection = Connection([minimum("deep"), minimum("right")], MATCHER, ConnectSettings())
    connect(connection)
    basins, hops, notes = assemble(connection, [0], 5.0, 623.15)
    found = pathway(basins, hops)
    assert notes == []
    assert len(found.hops) == 2
    assert found.complete
    assert found.verified == 2
    for basin, name in zip(found.basins, ("deep", "middle", "right"), strict=True):
        assert basin.positions == pytest.approx(minimum(name).positions, abs=5e-3)
        assert basin.energy == pytest.approx(minimum(name).energy, abs=TOLERANCE_EV)
    saddles = [hop.saddle.energy for hop in found.hops if hop.saddle is not None]
    assert saddles == pytest.approx([SCALE * SADDLES[name][2] for name in ("upper", "lower")], abs=TOLERANCE_EV)
    # of the energies in the literature: -146.700, -40.665, -80.768, -72.249, -108.167
    assert found.barriers_ev() == pytest.approx([1.06035, 0.08519], abs=TOLERANCE_EV)
    assert found.barriers_ev(backward=True) == pytest.approx([0.40103, 0.35918], abs=TOLERANCE_EV)
    check_continuous(found.basins, found.hops)
    for hop in found.hops:  # up to the saddle, then down
        assert np.diff(hop.energies[: hop.top + 1]).min() > 0
        assert np.diff(hop.energies[hop.top :]).max() < 0
        assert hop.curvatures[0] < 0 < hop.curvatures[1]
        assert (hop.name, hop.remote, hop.reason) == ("O1", False, "")


def test_the_way_back_has_the_barriers_turned_around() -> None:
    found = []
    for names in (("deep", "right"), ("right", "deep")):
        connection = Connection([minimum(name) for name in names], MATCHER, ConnectSettings())
        connect(connection)
        basins, hops, _ = assemble(connection, [0], 5.0, 623.15)
        found.append(pathway(basins, hops))
    forth, back = found
    assert forth.barriers_ev() == pytest.approx(back.barriers_ev(backward=True)[::-1], abs=TOLERANCE_EV)
    assert back.barriers_ev() == pytest.approx(forth.barriers_ev(backward=True)[::-1], abs=TOLERANCE_EV)
    check_continuous(back.basins, back.hops)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("cell", [0, 1])
def test_labels_stay_continuous_after_an_exchange(backwards: bool, cell: int) -> None:
    """The second search began where two equal atoms, or all of a periodic image, had changed places."""
    a, b, c = at(0, 0.0), at(1, 0.1), at(2, 0.05)
    matcher = (
        MATCHER
        if cell == 0
        else type(MATCHER)(
            MATCHER.numbers,
            MATCHER.cell,
            np.array([True, False, False]),
            MATCHER.tolerance_A,
            MATCHER.energy_tolerance_ev,
        )
    )
    connection = Connection([a, b, c], matcher, ConnectSettings())
    connection.learn((0, 1), converged(a, b, 0.5))
    other = at(1, 0.1, SWAP, cell), at(2, 0.05, SWAP, cell)
    connection.learn((1, 2), converged(*(other[::-1] if backwards else other), 0.7))
    assert len(connection.network.minima) == 3
    basins, hops, _ = assemble(connection, [0], 5.0, 623.15)
    check_continuous(basins, hops)
    for basin, point in zip(basins, (a, b, c), strict=True):
        np.testing.assert_allclose(basin.positions, point.positions, atol=1e-9)
    np.testing.assert_allclose(pathway(basins, hops).barriers_ev(), [0.5, 0.6])


def test_an_exchange_on_the_way_stays_in_the_basins() -> None:
    """A search that truly exchanges two atoms: all that comes after it has them exchanged."""
    a, b, c = at(0), at(1, 0.1), at(2)
    mixed = StationaryPoint(at(1).positions[SWAP], 0.1)
    connection = Connection([a, b, c], MATCHER, ConnectSettings())
    connection.learn((0, 1), converged(a, mixed, 0.5))
    connection.learn((1, 2), converged(b, c, 0.7))
    basins, hops, _ = assemble(connection, [0], 5.0, 623.15)
    np.testing.assert_allclose(basins[1].positions, mixed.positions, atol=1e-9)
    np.testing.assert_allclose(basins[2].positions, at(2).positions[SWAP], atol=1e-9)
    for hop, start, end in zip(hops, basins[:-1], basins[1:], strict=True):
        np.testing.assert_allclose(hop.band[[0, -1]], [start.positions, end.positions], atol=1e-9)


def test_a_gap_that_nothing_crosses_is_a_hop_without_saddle() -> None:
    a, b, c = at(0), at(1, 0.1), at(2)
    connection = Connection([a, b, c], MATCHER, ConnectSettings())
    connection.searches = 1
    connection.next_gaps()
    connection.learn((0, 1), converged(a, b, 0.2))
    basins, hops, _ = assemble(connection, [0], 5.0, 623.15)
    found = pathway(basins, hops)
    assert not found.complete
    assert found.verified == 1
    assert hops[1].saddle is None
    assert hops[1].reason == "not converged: no searches were left (pneb.connect.searches)"
    assert hops[1].energies.tolist() == [0.1, 0.0]
    np.testing.assert_allclose(found.barriers_ev(), [0.2, np.nan])


def test_a_step_without_barrier_is_dropped_and_noted() -> None:
    a, b, c = at(0), at(0.15), at(1)
    connection = Connection([a, b, c], MATCHER, ConnectSettings())
    band = np.linspace(a.positions, b.positions, 3)
    connection.learn((0, 1), Barrier("same basin", "one minimum", band, np.zeros(3), 5))
    connection.learn((1, 2), converged(b, c, 0.5))
    basins, hops, notes = assemble(connection, [0], 5.0, 623.15)
    assert len(hops) == 1
    assert len(basins) == 2
    assert notes == ["a step of 0.15 Å had no barrier and was dropped"]


@pytest.mark.parametrize(("near_ev", "far_ev"), [(0.0, 0.1), (0.1, 0.0)])
@pytest.mark.parametrize("backwards", [False, True])
def test_the_way_across_what_holds_nothing_is_part_of_a_band(
    near_ev: float, far_ev: float, backwards: bool
) -> None:
    """Of the two minima without a barrier between them the lower stays; the bands of the hops meet there."""
    points = [at(0), at(1, near_ev), at(1.6, far_ev), at(2.6)]
    numbers, points = range(4), points[::-1] if backwards else points
    connection = Connection(points, MATCHER, ConnectSettings())
    doubtful = Verification(np.array([-1.0, 1.0]), ("a step",))
    for first, last in pairwise(numbers):
        if (first, last) == (1, 2):
            connection.learn((1, 2), replace(converged(*points[1:3], 0.11), verification=doubtful))
        else:
            connection.learn((first, last), converged(points[first], points[last], 0.6))
    basins, hops, notes = assemble(connection, [0], 5.0, 623.15)
    assert set(connection.network.merged) == {(1, 2)}
    assert notes == [
        "a step of 0.60 Å had a barrier of 0.010 eV, below pneb.same_energy, without a verified saddle, "
        "and was dropped"
    ]
    assert [basin.energy for basin in basins] == [0.0, 0.0, 0.0]
    check_continuous(basins, hops)
    steps = [np.linalg.norm(np.diff(hop.band, axis=0), axis=(1, 2)).max() for hop in hops]
    assert max(steps) < 0.9
    assert sorted(len(hop.band) for hop in hops) == [5, 10]


def some_hop() -> Hop:
    random = np.random.default_rng(1)
    mode = random.normal(size=(5, 3))
    band = random.normal(size=(6, 5, 3))
    saddle = Saddle(band[2], 0.9, mode, 0.01, 20)
    energies = np.array([0.0, 0.5, 0.9, 0.6, 0.3, 0.1])
    curvatures = np.array([-1.0, 2.0])
    return Hop(band, energies, 2, "O1", False, saddle, True, "", 0.01, curvatures, 1e12, 3e12)


def check_same(first: Hop, second: Hop) -> None:
    np.testing.assert_allclose(first.band, second.band, atol=1e-12)
    np.testing.assert_array_equal(first.energies, second.energies)
    assert first.saddle is not None
    assert second.saddle is not None
    np.testing.assert_allclose(first.saddle.positions, second.saddle.positions, atol=1e-12)
    np.testing.assert_array_equal(first.saddle.mode, second.saddle.mode)
    for name in ("top", "name", "remote", "verified", "reason", "residual", "forward_hz", "backward_hz"):
        assert getattr(first, name) == getattr(second, name)


def test_a_hop_there_and_back_is_the_hop() -> None:
    hop = some_hop()
    back = hop.reversed()
    assert (back.top, back.forward_hz, back.backward_hz) == (3, 3e12, 1e12)
    assert back.energies[back.top] == 0.9
    assert back.saddle is not None
    assert hop.saddle is not None
    np.testing.assert_array_equal(back.band[0], hop.band[-1])
    np.testing.assert_array_equal(back.saddle.mode, -hop.saddle.mode)
    check_same(back.reversed(), hop)


def test_relabelled_and_back_is_the_hop() -> None:
    hop = some_hop()
    labels = Alignment(np.array([3, 0, 4, 1, 2]), np.random.default_rng(2).normal(size=(5, 3)))
    other = hop.relabelled(labels)
    assert other.saddle is not None
    assert hop.saddle is not None
    np.testing.assert_array_equal(other.saddle.mode[0], hop.saddle.mode[3])  # a direction is not shifted
    np.testing.assert_array_equal(other.band[2], other.saddle.positions)
    check_same(other.relabelled(labels.inverse()), hop)
    bare = Hop(hop.band, hop.energies, 0, "", False)
    assert bare.relabelled(labels).reversed().saddle is None
