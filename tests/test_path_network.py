from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mapmpi.path import tst
from mapmpi.path.assembly import lay_out
from mapmpi.path.matching import Matcher, StationaryPoint
from mapmpi.path.network import Edge, Network
from mapmpi.path.pathway import Hop
from mapmpi.path.saddle import Saddle
from mapmpi.path.tst import first_passage_time_s

CELL = np.diag([10.0, 10.0, 10.0])
HOST = np.random.default_rng(4).uniform(0, 10, size=(9, 3))
NUMBERS = np.array([8] + [14] * 4 + [8] * 5)
KELVIN = 300.0


def network() -> Network:
    return Network(Matcher(NUMBERS, CELL, np.ones(3, dtype=bool), 0.3, 0.02, tagged=[0]))


def at(x: float, y: float = 0.0) -> np.ndarray:
    """Return the host with the tracer at (x, y, 0) Å."""
    return np.vstack([[x, y, 0.0], HOST])


def basin(x: float, energy: float, y: float = 0.0) -> StationaryPoint:
    return StationaryPoint(at(x, y), energy)


def over(top: np.ndarray, energy: float, forward_hz: float = np.nan, backward_hz: float = np.nan) -> Hop:
    """Return a hop over a verified saddle, with no more of a band than that."""
    found = Saddle(top, energy, np.zeros_like(top), 0.0, 0)
    rates = {"forward_hz": forward_hz, "backward_hz": backward_hz}
    return Hop(top[None], np.array([energy]), 0, "", False, found, True, **rates)


def saddle(x: float, energy: float, y: float = 0.0) -> Hop:
    return over(at(x, y), energy)


def time_s(together: Network, edges: list[Edge], prefactor: tst.Prefactor) -> float:
    """Return the time of a walk by Eq. 3."""
    rates = [
        one.hop.forward_hz if prefactor == "vineyard" else tst.prefactor_hz(prefactor, KELVIN) for one in edges
    ]
    barriers = [one.saddle.energy - together.minima[one.first].energy for one in edges]
    return tst.pathway_time_s(barriers, KELVIN, np.array(rates))


def relabelled(positions: np.ndarray) -> np.ndarray:
    """Exchange two O of the host, send a third to a periodic image, shift everything by a lattice vector."""
    result = positions.copy()
    result[[5, 8]] = result[[8, 5]]
    result[6] += CELL[1]
    return result + CELL[2]


def two_pathways() -> Network:
    """Two pathways meet in the middle at x = 2 Å; each has a low barrier on the other side of it."""
    together = network()
    nodes = together.add_pathway(
        "low-high", [basin(0, 0.0), basin(2, 0.1), basin(4, 0.0)], [saddle(1, 0.5), saddle(3, 1.3)]
    )
    assert nodes == [0, 1, 2]
    ends = [
        StationaryPoint(relabelled(b.positions), b.energy) for b in (basin(0, 0.0), basin(2, 0.11), basin(4, 0.0))
    ]
    tops = [over(relabelled(at(x, y)), energy) for x, y, energy in ((1, 0.8, 1.2), (3, -0.8, 0.6))]
    assert together.add_pathway("high-low", ends, tops) == [0, 1, 2]
    return together


def test_the_walk_through_the_network_beats_both_pathways() -> None:
    together = two_pathways()
    assert len(together.edges) == 4
    found = together.fastest([0], [2], KELVIN, "hbar")
    assert found is not None
    assert [edge.pathways for edge in found[1]] == [("low-high",), ("high-low",)]
    attempts = tst.prefactor_hz("hbar", KELVIN)
    its = time_s(together, found[1], "hbar")
    assert its == pytest.approx(tst.pathway_time_s([0.5, 0.5], KELVIN, attempts))
    assert its < 1e-4 * tst.pathway_time_s([0.5, 1.2], KELVIN, attempts)
    assert its < 1e-4 * tst.pathway_time_s([1.2, 0.49], KELVIN, attempts)
    # the barriers not taken hardly matter to a walker
    chain = tst.mean_first_passage_time_s(
        tst.log_rate([0.5, 0.5], KELVIN, attempts), tst.log_rate([0.4, 0.6], KELVIN, attempts)
    )
    assert together.passage_time_s(0, [2], KELVIN, "hbar") == pytest.approx(chain, rel=1e-4)


@pytest.mark.parametrize(("starts", "goals"), [([0], [2]), ([2], [0])])
def test_structures_of_a_walk_follow_one_labelling(starts: list[int], goals: list[int]) -> None:
    together = two_pathways()
    found = together.fastest(starts, goals, KELVIN, "h")
    assert found is not None
    basins, hops = lay_out(together, *found)
    points = [basins[0].positions]
    for hop, end in zip(hops, basins[1:], strict=True):
        assert hop is not None
        points += [hop.band[hop.top], end.positions]
    steps = np.linalg.norm(np.diff(points, axis=0), axis=2)
    assert steps[:, 0].max() < 1.5
    assert steps[:, 1:].max() < 1e-9  # the host does not jump where one pathway takes over from the other


def test_way_back_sees_the_other_barriers_and_prefactors() -> None:
    alone = network()
    alone.add_pathway("one", [basin(0, 0.0), basin(2, 0.3)], [over(at(1), 0.7, forward_hz=1e12, backward_hz=5e12)])
    for start, goal, barrier, attempts in ((0, 1, 0.7, 1e12), (1, 0, 0.4, 5e12)):
        found = alone.fastest([start], [goal], KELVIN, "vineyard")
        assert found is not None
        its = time_s(alone, found[1], "vineyard")
        assert its == pytest.approx(tst.pathway_time_s([barrier], KELVIN, attempts))
        assert found[1][0].hop.forward_hz == attempts
        assert alone.passage_time_s(start, [goal], KELVIN, "vineyard") == pytest.approx(its)


def test_same_saddle_counts_once_another_one_twice() -> None:
    ends = [basin(0, 0.0), basin(2, 0.0)]
    together = network()
    together.add_pathway("first", ends, [saddle(1, 0.7)])
    alone = together.passage_time_s(0, [1], KELVIN, "hbar")
    together.add_pathway("again", ends, [over(relabelled(at(1)), 0.7)])
    together.add_pathway("back", ends[::-1], [saddle(1, 0.7)])
    assert [known.pathways for known in together.edges] == [("first", "again", "back")]
    assert together.passage_time_s(0, [1], KELVIN, "hbar") == pytest.approx(alone)
    together.add_pathway("other", ends, [saddle(1, 0.7, y=1.0)])
    assert together.passage_time_s(0, [1], KELVIN, "hbar") == pytest.approx(alone / 2)


def test_gap_means_no_time() -> None:
    together = network()
    together.add_pathway("gap", [basin(0, 0.0), basin(2, 0.0), basin(4, 0.0)], [saddle(1, 0.5), None])
    assert together.fastest([0], [2], KELVIN, "hbar") is None
    assert together.passage_time_s(0, [2], KELVIN, "hbar") == np.inf
    together.add_pathway("bridge", [basin(2, 0.0), basin(4, 0.0)], [saddle(3, 0.6)])
    found = together.fastest([0], [2], KELVIN, "hbar")
    assert found is not None
    assert [edge.pathways for edge in found[1]] == [("gap",), ("bridge",)]


def test_nearest_start_and_goal_are_chosen() -> None:
    together = network()
    basins = [basin(x, 0.0) for x in (0, 2, 4, 6)]
    together.add_pathway("chain", basins, [saddle(1, 0.9), saddle(3, 0.5), saddle(5, 0.8)])
    found = together.fastest([0, 1], [2, 3], KELVIN, "hbar")
    assert found is not None
    assert found[0] == [1, 2]
    assert [float(together.minima[number].positions[0, 0]) for number in found[0]] == [2.0, 4.0]
    assert together.fastest([0], [0], KELVIN, "hbar") == ([0], [])
    assert together.passage_time_s(0, [0], KELVIN, "hbar") == 0.0


def test_times_beyond_float64_still_compare() -> None:
    together = network()
    ends = [basin(0, 0.0), basin(2, 0.0)]
    together.add_pathway("high", ends, [saddle(1, 2.0)])
    together.add_pathway("low", ends, [saddle(1, 1.9, y=1.0)])
    found = together.fastest([0], [1], 10.0, "hbar")  # e^2205 s
    assert found is not None
    assert [edge.pathways for edge in found[1]] == [("low",)]
    assert together.passage_time_s(0, [1], 10.0, "hbar") == np.inf


def test_a_node_has_the_lowest_energy_found() -> None:
    together = network()
    together.add_pathway("one", [basin(0, 0.010), basin(2, 0.0)], [saddle(1, 0.5)])
    together.add_pathway("two", [basin(0, 0.0)], [])
    found = together.fastest([0], [1], KELVIN, "hbar")
    assert found is not None
    attempts = tst.prefactor_hz("hbar", KELVIN)
    assert time_s(together, found[1], "hbar") == pytest.approx(tst.pathway_time_s([0.5], KELVIN, attempts))


def test_wrong_pathways_are_refused_and_add_nothing() -> None:
    together = network()
    with pytest.raises(ValueError, match="2 basins and 0 saddles"):
        together.add_pathway("short", [basin(0, 0.0), basin(2, 0.0)], [])
    for energy in (0.4, np.nan):
        with pytest.raises(ValueError, match="pathway wrong, step 0: no barrier"):
            together.add_pathway("wrong", [basin(0, 0.0), basin(2, 0.5)], [saddle(1, energy)])
    assert together.minima == []
    together.add_pathway("one", [basin(0, 0.0), basin(2, 0.0)], [saddle(1, 0.5)])
    with pytest.raises(ValueError, match="Vineyard"):
        together.fastest([0], [1], KELVIN, "vineyard")


def exact_passage(rates: list[list[Fraction]], start: int, goal: int) -> Fraction:
    """Solve Σ_j k_ij (T_i - T_j) = 1 with T_goal = 0 in rational numbers."""
    states = [i for i in range(len(rates)) if i != goal]
    rows = [[-rates[i][j] for j in states] + [Fraction(1)] for i in states]
    for row, i in enumerate(states):
        rows[row][row] = sum((rate for j, rate in enumerate(rates[i]) if j != i), Fraction(0))
    for pivot in range(len(rows)):
        rows[pivot] = [value / rows[pivot][pivot] for value in rows[pivot]]
        for row in range(len(rows)):
            if row != pivot:
                factor = rows[row][pivot]
                rows[row] = [value - factor * other for value, other in zip(rows[row], rows[pivot], strict=True)]
    return rows[states.index(start)][-1]


def test_first_passage_on_stiff_graphs_is_exact() -> None:
    random = np.random.default_rng(9)
    for _ in range(4):
        rates = 10.0 ** random.uniform(-20, 13, size=(7, 7))
        edges = np.triu(random.random((7, 7)) < 0.4, 1)
        edges[range(6), range(1, 7)] = True
        rates[~(edges | edges.T)] = 0.0
        exact = exact_passage([[Fraction(float(rate)) for rate in row] for row in rates], 0, 6)
        with np.errstate(divide="ignore"):
            found = first_passage_time_s(np.log(rates), 0, [6])
        assert found == pytest.approx(float(exact), rel=1e-11, abs=0)


def test_first_passage_to_several_goals_ignores_what_lies_behind_them() -> None:
    # 1 - 0 - 2 - 3: from 0 to {1, 2} with rates 2 and 3
    rates = np.full((4, 4), -np.inf)
    for i, j, rate in ((0, 1, 2.0), (1, 0, 1.0), (0, 2, 3.0), (2, 0, 1.0), (2, 3, 1e9), (3, 2, 1e-9)):
        rates[i, j] = np.log(rate)
    assert first_passage_time_s(rates, 0, [1, 2]) == pytest.approx(1 / 5)
    # to 1 alone the walker must come back from 3: T0 = 1/5 + (3/5) T2, T2 = 1/1 + (1e9/1)(1e9) + T0 in the mean
    t2_without_t0 = 1.0 + 1e18
    assert first_passage_time_s(rates, 0, [1]) == pytest.approx((1 / 5 + 3 / 5 * t2_without_t0) / (2 / 5))


def test_rates_without_a_way_back_are_refused() -> None:
    rates = np.array([[-np.inf, 0.0], [-np.inf, -np.inf]])
    with pytest.raises(ValueError, match="rate back"):
        first_passage_time_s(rates, 0, [1])
