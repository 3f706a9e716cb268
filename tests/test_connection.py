"""Which gaps are searched next: hand-made minima and saddles, and the analytic landscape."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from muller_brown import MATCHER, connect, minimum, place

from mapmpi.config import ConnectSettings
from mapmpi.path.barrier import Barrier, Status
from mapmpi.path.connection import LOWER, Connection
from mapmpi.path.gaps import ATTEMPTS
from mapmpi.path.matching import StationaryPoint
from mapmpi.path.quench import Minimum
from mapmpi.path.saddle import Saddle
from mapmpi.path.transition import Verification

SWAP = [0, 2, 1, 3, 4]
"""Two of the equal atoms exchanged."""


def at(x: float, y: float = 0.0, energy: float = 0.0) -> StationaryPoint:
    """Return a minimum at so many times 3 Å: gaps that a saddle of 0.5 eV is cheaper than."""
    return StationaryPoint(place(3 * x, 3 * y), energy)


def ends(
    *points: StationaryPoint, searches: int = 20, ceiling: float = np.inf, at_once: int = 1, spare: int = 0
) -> Connection:
    connection = Connection(points, MATCHER, ConnectSettings(at_once=at_once), ceiling, spare)
    connection.searches = searches
    return connection


def side(point: StationaryPoint, saddle: np.ndarray) -> Minimum:
    """Return a minimum and the way down to it from a saddle."""
    trail = np.array([0.8 * saddle + 0.2 * point.positions, point.positions])
    return Minimum(point.positions, point.energy, 0.0, 10, trail, np.array([0.4, point.energy]))


def found(
    gap: tuple[StationaryPoint, StationaryPoint],
    sides: tuple[StationaryPoint, StationaryPoint] | None = None,
    status: Status = "converged",
    saddle_ev: float = 0.5,
    faults: tuple[str, ...] = (),
    beside: tuple[StationaryPoint, StationaryPoint] | None = None,
) -> Barrier:
    """Return what a search of a gap has found: a saddle halfway between two minima, or none."""
    band = np.linspace(gap[0].positions, gap[1].positions, 5)
    barrier = Barrier(
        status, "" if status == "converged" else "as told", band, np.array([0, 0.1, 0.6, 0.1, 0]), 50
    )
    if beside is not None:
        middle = (beside[0].positions + beside[1].positions) / 2
        return replace(barrier, beside=(side(beside[0], middle), side(beside[1], middle)))
    if sides is None:
        return barrier
    top = (sides[0].positions + sides[1].positions) / 2
    mode = (sides[1].positions - sides[0].positions) / np.linalg.norm(sides[1].positions - sides[0].positions)
    return replace(
        barrier,
        saddle=Saddle(top, saddle_ev, mode, 0.01, 30),
        sides=(side(sides[0], top), side(sides[1], top)),
        verification=Verification(np.array([-1.0, 1.0]), faults),
    )


def one_search(connection: Connection, gap: tuple[int, int], barrier: Barrier) -> None:
    """Search a gap and learn what was found."""
    assert gap in connection.next_gaps()
    connection.begin(gap)
    connection.learn(gap, barrier)


def test_what_was_found_is_crossed() -> None:
    a, b, c = at(0), at(1), at(2)
    connection = ends(a, b, c)
    assert connection.cheapest_walk() == [0, 1, 2]
    one_search(connection, (0, 1), found((a, b), (a, b)))
    assert connection.next_gaps() == [(1, 2)]
    connection.begin((1, 2))
    assert connection.next_gaps() == []  # under way
    connection.learn((1, 2), found((b, c), (b, c)))
    assert connection.next_gaps() == []
    assert connection.cheapest_walk() == [0, 1, 2]
    assert [edge.verified for edge in connection.network.edges] == [True, True]


def test_a_split_gap_goes_on_over_the_new_minimum() -> None:
    a, b, new = at(0), at(2), at(1, 0.5, 0.1)
    connection = ends(a, b)
    one_search(connection, (0, 1), found((a, b), (a, new), "split"))
    assert connection.network.minima[2].positions == pytest.approx(new.positions)
    assert connection.cheapest_walk() == [0, 2, 1]
    assert connection.next_gaps() == [(2, 1)]
    one = connection.network.edge((2, 0))
    assert one is not None
    assert one.hop.saddle is not None
    assert (one.first, one.last, one.saddle.energy) == (0, 2, 0.5)
    path = connection.begin((2, 1))
    assert path[0] == pytest.approx(new.positions)
    assert path[-1] == pytest.approx(b.positions)
    assert len(path) > 2
    assert all(np.linalg.norm(place - one.saddle.positions) > 1.0 for place in path)  # not back up there


def test_a_known_saddle_makes_no_searched_gap_due_again() -> None:
    """The band from b to c goes over the saddle between a and b, and so does every band that is made from it."""
    a, b, c = at(0), at(1), at(2)
    connection = ends(a, b, c)
    known = found((a, b), (a, b))
    one_search(connection, (0, 1), known)
    connection.guess((1, 2), [b.positions, c.positions])
    again = replace(known, status="split", band=found((b, c)).band, sides=known.sides)
    one_search(connection, (1, 2), again)
    assert len(connection.network.edges) == 2
    assert connection.cheapest_walk() == [0, 2]
    assert connection.next_gaps() == [(0, 2)]
    connection.begin((0, 2))
    connection.learn((0, 2), again)
    assert connection.next_gaps() == [(1, 2)]  # once more, from the two minima alone
    assert len(connection.begin((1, 2))) == 2
    connection.learn((1, 2), again)
    assert connection.next_gaps() == []


@pytest.mark.parametrize(
    ("aside_A", "higher_ev", "known"), [(0.05, 0.001, True), (0.2, 0.0, False), (0.0, 0.02, False)]
)
def test_saddles_are_one_within_the_tolerances(aside_A: float, higher_ev: float, known: bool) -> None:
    """Two searches that ran side by side come to one saddle, and neither to quite the same numbers."""
    a, b, c = at(0), at(1), at(2)
    connection = ends(a, b, c)
    first = found((a, b), (a, b))
    one_search(connection, (0, 1), first)
    assert first.saddle is not None
    there = first.saddle.positions + [[0.0, aside_A, 0.0], *np.zeros((4, 3))]
    saddle = replace(first.saddle, positions=there, energy=first.saddle.energy + higher_ev)
    connection.guess((1, 2), [b.positions, c.positions])
    one_search(connection, (1, 2), replace(first, status="split", band=found((b, c)).band, saddle=saddle))
    assert len(connection.network.edges) == 2
    assert connection.network.find(connection.network.edges[1]) == (0 if known else 1)


def test_where_a_path_led_astray_the_minima_alone_are_tried() -> None:
    a, b = at(0), at(2)
    connection = ends(a, b)
    connection.guess((0, 1), [a.positions, at(1, 1).positions, b.positions])
    one_search(connection, (0, 1), found((a, b), status="kinked"))
    assert connection.next_gaps() == [(0, 1)]
    assert len(connection.begin((0, 1))) == 2
    connection.learn((0, 1), found((a, b), status="kinked"))
    assert connection.next_gaps() == []


def test_a_gap_is_crossed_in_both_senses() -> None:
    a, b, new = at(0), at(2), at(1, 0.5)
    connection = ends(a, b)
    one_search(connection, (0, 1), found((a, b), (new, b), "split"))
    assert connection.next_gaps() == [(0, 2)]
    forth, back = connection.first_path((0, 2)), connection.first_path((2, 0))
    assert np.array_equal(forth, back[::-1])
    assert forth[0] == pytest.approx(a.positions)


def test_a_gap_searched_in_vain_is_circumvented() -> None:
    a, b, c = at(0), at(1), at(2)
    connection = ends(a, b, c)
    one_search(connection, (0, 1), found((a, b), status="not converged"))
    assert connection.reason((1, 0)) == "not converged: as told"
    assert connection.cheapest_walk() == [0, 2]
    assert connection.next_gaps() == [(0, 2)]


def test_a_saddle_that_was_not_verified_serves_until_there_are_others() -> None:
    a, b, c = at(0), at(1), at(2)
    connection = ends(a, b, c)
    connection.learn((0, 1), found((a, b), (a, b), faults=("a way down did not come to rest",)))
    connection.learn((1, 2), found((b, c), (b, c), saddle_ev=0.5))
    assert connection.fastest_walk(623.15) == [0, 1, 2]
    one = connection.network.edge((0, 1))
    assert one is not None
    assert not one.verified
    connection.learn((0, 2), found((a, c), (a, c), saddle_ev=3.0))
    assert connection.fastest_walk(623.15) == [0, 1, 2]
    connection.learn((0, 2), found((a, c), (a, c), saddle_ev=0.5))
    assert connection.fastest_walk(623.15) == [0, 2]


def test_the_lowest_verified_saddle_of_a_gap_counts() -> None:
    a, b = at(0), at(1)
    connection = ends(a, b)
    for energy, faults in ((0.9, ()), (0.3, ("flat",)), (0.7, ())):
        connection.learn((0, 1), found((a, b), (a, b), saddle_ev=energy, faults=faults))
    one = connection.network.edge((1, 0))
    assert one is not None
    assert one.saddle.energy == 0.7


def test_a_side_valley_is_left_alone() -> None:
    a, b, c, aside = at(0), at(1), at(2), at(0, 3)
    connection = ends(a, b, c)
    one_search(connection, (0, 1), found((a, b), (a, aside), "split"))
    assert len(connection.network.minima) == 4
    assert connection.cheapest_walk() == [0, 2]  # not over the valley, though a saddle leads there
    connection = ends(a, b, c)
    one_search(connection, (0, 1), found((a, b), (a, b)))
    connection.learn((1, 2), found((b, c), (b, aside), "split"))
    assert 3 not in connection.cheapest_walk()


def test_an_exchange_of_equal_atoms_is_one_minimum() -> None:
    a, b, c = at(0), at(1), at(2)
    swapped = StationaryPoint(b.positions[SWAP], b.energy)
    connection = ends(a, b, c)
    one_search(connection, (0, 1), found((a, swapped), (a, swapped)))
    assert len(connection.network.minima) == 3
    (one,) = connection.network.edges
    assert (one.first, one.last) == (0, 1)
    assert one.to_last.apply(swapped.positions) == pytest.approx(b.positions)
    assert one.to_first.apply(a.positions) == pytest.approx(a.positions)
    assert connection.next_gaps() == [(1, 2)]


def test_only_an_exchange_is_no_way_on() -> None:
    """A saddle between a minimum and its own mirror: it joins nothing new."""
    a, b = at(0), at(1)
    swapped = StationaryPoint(a.positions[SWAP], a.energy)
    connection = ends(a, b)
    one_search(connection, (0, 1), found((a, b), (a, swapped), "split"))
    assert connection.network.edges == []
    assert connection.cheapest_walk() == [0, 1]
    assert connection.next_gaps() == [(0, 1)]  # there is a path for another attempt


def test_the_shortest_way_between_labels_is_the_first_path() -> None:
    a = at(0)
    b = StationaryPoint(at(1).positions[SWAP], 0.0)
    path = ends(a, b).first_path((0, 1))
    assert path[1] == pytest.approx(at(1).positions)


def test_attempts_are_limited() -> None:
    a, b = at(0), at(2)
    connection = ends(a, b)
    for _ in range(ATTEMPTS):
        one_search(connection, (0, 1), found((a, b), status="not converged", beside=(a, a)))
    assert connection.next_gaps() == []
    connection = ends(a, b)
    one_search(connection, (0, 1), found((a, b), status="engine failed"))
    assert connection.next_gaps() == []  # no other path is known
    assert connection.reason((0, 1)) == "engine failed: as told"


def test_minima_beside_a_pass_that_was_not_found_are_ways_on() -> None:
    a, b, new = at(0), at(2), at(1, 0.4)
    connection = ends(a, b, at_once=2)
    one_search(connection, (0, 1), found((a, b), status="split", beside=(a, new)))
    assert connection.network.edges == []
    assert connection.cheapest_walk() == [0, 2, 1]
    assert connection.next_gaps() == [(0, 2), (2, 1)]


def test_what_lies_above_the_ceiling_is_not_used() -> None:
    a, b, high = at(0), at(2), at(1, 0.1, 0.8)
    for ceiling, way in ((1.0, [0, 2, 1]), (0.7, [0, 1])):
        connection = ends(a, b, ceiling=ceiling)
        one_search(connection, (0, 1), found((a, b), (a, high), "split", saddle_ev=0.9))
        assert connection.cheapest_walk() == way


def test_a_saddle_above_the_ceiling_ends_no_search() -> None:
    a, b = at(0), at(1)
    over = found((a, b), (a, b), saddle_ev=2.0)
    for ceiling, goes_on in ((3.0, False), (1.0, True)):
        connection = ends(a, b, ceiling=ceiling)
        one_search(connection, (0, 1), over)
        assert bool(connection.next_gaps()) is goes_on
        assert connection.best_walk(600.0) == [0, 1]  # until there is a better one
    aside = at(0.5, 0.6)
    connection.learn((0, 1), found((a, b), (a, aside), "split"))
    one_search(connection, (2, 1), found((aside, b), (aside, b)))
    assert connection.cheapest_walk() == connection.best_walk(600.0) == [0, 2, 1]
    assert max(connection.network.edge(gap).saddle.energy for gap in ((0, 2), (2, 1))) < connection.ceiling_ev
    alone = ends(a, b, ceiling=1.0, searches=1)
    one_search(alone, (0, 1), over)
    assert alone.next_gaps() == []  # nothing left to try: what there is must do


def test_a_saddle_below_its_minima_is_none() -> None:
    a, b = at(0), at(1, 0, 0.6)
    connection = ends(a, b)
    one_search(connection, (0, 1), found((a, b), (a, b), saddle_ev=0.55))
    assert connection.network.edges == []
    assert "0.0500 eV below a minimum" in connection.reason((0, 1))


@pytest.mark.parametrize("budget", [0, 1, 2, 5])
def test_the_budget_of_searches(budget: int) -> None:
    points = [at(x) for x in range(4)]
    connection = ends(*points, searches=budget, at_once=9)
    gaps = connection.next_gaps()
    assert gaps == [(0, 1), (1, 2), (2, 3)][:budget]
    assert connection.searches == budget - len(gaps)


def test_merged_ends_need_no_saddle() -> None:
    a, b, c = at(0), at(1), at(2)
    connection = ends(a, b, c)
    one_search(connection, (0, 1), found((a, b), status="same basin"))
    assert set(connection.network.merged) == {(0, 1)}
    assert connection.cheapest_walk() == [0, 1, 2]
    assert connection.next_gaps() == [(1, 2)]


@pytest.mark.parametrize(("temperature_k", "way"), [(623.15, [0, 2, 1]), (20_000.0, [0, 1])])
def test_the_fastest_way_is_not_that_of_the_fewest_hops(temperature_k: float, way: list[int]) -> None:
    """Two hops over 0.9 eV are faster than one over 1 eV, but not where it is hot."""
    a, b, c = at(0), at(2), at(1)
    connection = ends(a, b)
    connection.learn((0, 1), found((a, b), (a, b), saddle_ev=1.0))
    connection.learn((0, 1), found((a, b), (a, c), "split", saddle_ev=0.9))
    connection.learn((2, 1), found((c, b), (c, b), saddle_ev=0.9))
    assert connection.fastest_walk(temperature_k) == way


@pytest.mark.parametrize("temperature_k", [200.0, 623.15])
def test_a_hop_however_fast_is_part_of_the_way(temperature_k: float) -> None:
    """Its time is less than 1e-9 of the other's; what is connected is not left for a gap that was never searched."""
    a, b, c = (StationaryPoint(place(x, 0), 0.0) for x in (0, 1, 2))
    connection = ends(a, b, c)
    connection.learn((0, 1), found((a, b), (a, b), saddle_ev=0.05))
    connection.learn((1, 2), found((b, c), (b, c), saddle_ev=1.4))
    assert connection.next_gaps() == [(0, 2)]  # connected: from here on heights count
    assert connection.fastest_walk(temperature_k) == [0, 1, 2]


def test_without_a_complete_way_the_fastest_is_the_cheapest() -> None:
    connection = ends(at(0), at(1), at(2))
    connection.learn((0, 1), found((at(0), at(1)), (at(0), at(1))))
    assert connection.fastest_walk(623.15) is None
    assert connection.best_walk(623.15) == connection.cheapest_walk() == [0, 1, 2]


def test_a_high_saddle_is_circumvented_as_long_as_that_is_not_far() -> None:
    a, b, c = at(0), at(1), at(2)
    for height, way in ((0.5, [0, 1, 2]), (8.0, [0, 2])):
        connection = ends(a, b, c)
        connection.learn((0, 1), found((a, b), (a, b), saddle_ev=height))
        connection.learn((1, 2), found((b, c), (b, c), saddle_ev=0.5))
        assert connection.cheapest_walk() == [0, 1, 2]
        gaps = connection.next_gaps()  # connected: from here on heights count
        assert gaps == [gap for gap in pairwise(way) if gap == (0, 2)]


def test_a_guess_is_the_first_path_and_the_cheaper_gap() -> None:
    a, b, c = at(0), at(1), at(2)
    connection = ends(a, b, c)
    detour = [b.positions, place(1.5, 1.2), a.positions]
    connection.guess((1, 0), detour)
    assert np.array_equal(connection.begin((0, 1)), detour[::-1])


def test_the_analytic_landscape_is_connected_over_its_middle_minimum() -> None:
    connection = ends(minimum("deep"), minimum("right"))
    gaps = connect(connection)
    assert gaps == [(0, 1), (2, 1)]
    assert connection.cheapest_walk() == [0, 2, 1]
    assert connection.network.minima[2].positions == pytest.approx(minimum("middle").positions, abs=5e-3)
    assert connection.spare == LOWER - (len(gaps) - 2)


def test_without_searches_nothing_is_searched() -> None:
    assert connect(ends(minimum("deep"), minimum("right"), searches=0)) == []


def test_the_order_of_learning_decides_and_nothing_else() -> None:
    """Whether a search ends early or late changes nothing."""
    points = [minimum("right"), at(0.1, 0.07, -0.75), minimum("deep")]
    told = []
    for eager in (True, False):
        connection = ends(*points)
        gaps = connect(connection, eager)
        told.append((gaps, connection.cheapest_walk(), connection.network.minima, connection.network.edges))
    first, second = told
    assert first[:2] == second[:2]
    assert len(first[0]) > 2
    for one, other in zip(first[2], second[2], strict=True):
        assert np.array_equal(one.positions, other.positions)
    assert [edge.saddle.energy for edge in first[3]] == [edge.saddle.energy for edge in second[3]]


def test_while_few_searches_run_those_that_would_follow_are_begun():
    a, b, c = at(0), at(1), at(2)
    connection = ends(a, b, c, at_once=3, spare=2)
    assert connection.next_gaps() == [(0, 1), (1, 2), (0, 2)]
    assert connection.spare == 1
    assert connection.next_gaps() == []  # three run
    for gap, points in (((0, 1), (a, b)), ((1, 2), (b, c))):
        connection.begin(gap)
        connection.learn(gap, found(points, points))
    assert connection.cheapest_walk() == [0, 1, 2]


def test_no_more_searches_run_than_may_at_once():
    points = [at(x) for x in range(6)]
    connection = ends(*points, at_once=2, spare=2)
    assert len(connection.next_gaps()) == 2
    assert connection.next_gaps() == []


def test_gaps_to_minima_that_were_found_last_go_first():
    a, b, c, d, new = (at(x) for x in (0, 2, 4, 6, 1))
    connection = ends(a, b, c, d, at_once=2)
    assert connection.next_gaps() == [(0, 1), (1, 2)]
    connection = ends(a, b, c, d, at_once=1)
    connection.learn((0, 1), found((a, b), (a, new), "split"))
    assert connection.next_gaps() == [(4, 1)]


def test_once_connected_lower_ways_are_looked_for_even_if_all_spare_searches_were_made():
    a, b, c = at(0), at(1), at(2)
    connection = ends(a, b, c)
    for gap, points in (((0, 1), (a, b)), ((1, 2), (b, c))):
        connection.learn(gap, found(points, points, saddle_ev=8.0))
    assert connection.next_gaps() == [(0, 2)]
    assert connection.spare == LOWER - 1


def test_a_doubtful_saddle_is_circumvented_where_that_is_not_much_slower():
    """From a to b over a doubtful saddle, or over c: as long as the hop from b to the end stays the slowest."""
    a, b, end, c = at(0), at(1), at(2), at(0.5, 0.5)
    for height, way in ((0.9, [0, 3, 1, 2]), (1.2, [0, 1, 2])):
        connection = ends(a, b, end)
        connection.learn((1, 2), found((b, end), (b, end), saddle_ev=1.0))
        connection.learn((0, 1), found((a, b), (a, c), "split", saddle_ev=height))
        connection.learn((3, 1), found((c, b), (c, b), saddle_ev=0.3))
        connection.learn((0, 1), found((a, b), (a, b), saddle_ev=0.1, faults=("a step",)))
        assert connection.fastest_walk(623.15) == way


@pytest.mark.parametrize(("faults", "known"), [((), 1), (("0 curvatures are negative instead of one",), 0)])
def test_what_holds_nothing_and_is_no_saddle_is_no_barrier(faults, known):
    a, b = at(0), at(1)
    connection = ends(a, b)
    connection.learn((0, 1), found((a, b), (a, b), saddle_ev=0.5 * MATCHER.energy_tolerance_ev, faults=faults))
    assert len(connection.network.edges) == known
    assert set(connection.network.merged) == (set() if known else {(0, 1)})
    assert connection.next_gaps() == []


def test_once_connected_a_low_doubtful_saddle_is_no_cheaper_than_a_verified_one():
    a, b, c = at(0), at(2), at(1, 0.2)
    connection = ends(a, b)
    connection.learn((0, 1), found((a, b), (a, c), "split", saddle_ev=0.5))
    connection.learn((2, 1), found((c, b), (c, b), saddle_ev=0.5))
    connection.learn((0, 1), found((a, b), (a, b), saddle_ev=0.8, faults=("a step",)))
    connection.next_gaps()
    assert connection.cheapest_walk() == [0, 2, 1]
