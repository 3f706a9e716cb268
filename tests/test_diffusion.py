"""D of a walker on a periodic network: chains and lattices by hand, and kinetic Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest
from test_path_network import CELL, HOST, KELVIN, NUMBERS, over

from mapmpi.path import tst
from mapmpi.path.diffusion import CM2_PER_A2, Folded, effective_tensor
from mapmpi.path.matching import Matcher, StationaryPoint
from mapmpi.path.network import Network

KT = 8.617333262e-5 * KELVIN
L = 10.0
"""Å, the cell."""
ATTEMPTS = tst.prefactor_hz("hbar", KELVIN)


def at(place: tuple[float, float]) -> np.ndarray:
    return np.vstack([[*place, 0.0], HOST])


def network(*ways: tuple[list[tuple[float, float, float]], list[float]], **rates: float) -> Network:
    """Return the network of pathways: minima (x, y in Å, energy in eV), and the saddles' energies between them."""
    together = Network(Matcher(NUMBERS, CELL, np.ones(3, dtype=bool), 0.3, 0.02, tagged=[0]))
    for number, (places, tops) in enumerate(ways):
        basins = [StationaryPoint(at((x, y)), energy) for x, y, energy in places]
        hops = [
            over(0.5 * (one.positions + other.positions), top, **rates)
            for one, other, top in zip(basins[:-1], basins[1:], tops, strict=True)
        ]
        together.add_pathway(str(number), basins, hops)
    return together


def rate(barrier: float) -> float:
    return float(np.exp(tst.log_rate(barrier, KELVIN, ATTEMPTS)))


def by(found: Network) -> np.ndarray:
    return Folded(found).diffusion(0, KELVIN, "hbar").tensor_cm2_s / CM2_PER_A2


def test_equal_hops_along_a_line() -> None:
    # one site a cell: D = k L²; two equal ones: k (L/2)²
    assert by(network(([(0, 0, 0), (L, 0, 0)], [0.4])))[0, 0] == pytest.approx(rate(0.4) * L**2)
    two = by(network(([(0, 0, 0), (5, 0, 0), (10, 0, 0)], [0.4, 0.4])))
    assert two[0, 0] == pytest.approx(rate(0.4) * 25)
    assert np.count_nonzero(two) == 1
    # where in the cell the second site lies does not matter
    assert by(network(([(0, 0, 0), (3, 0.7, 0), (10, 0, 0)], [0.4, 0.4])))[0, 0] == pytest.approx(two[0, 0])


def test_two_barriers_in_turn_and_a_trap() -> None:
    # in series: L² / Σ 1/(π k); two sites of one energy: π = 1/2
    high, low = rate(0.5), rate(0.4)
    found = by(network(([(0, 0, 0), (5, 0, 0), (10, 0, 0)], [0.5, 0.4])))
    assert found[0, 0] == pytest.approx(L**2 / (2 / high + 2 / low))
    # the second site 0.2 eV deeper: all flows are those out of the first, whose weight is 1/(1 + e^{0.2/kT})
    deep = by(network(([(0, 0, 0), (5, 0, -0.2), (10, 0, 0)], [0.5, 0.4])))
    assert deep[0, 0] == pytest.approx(L**2 / (1 / high + 1 / low) / (1 + np.exp(0.2 / KT)))
    # a blind alley takes walkers out of the way, and nothing else
    side = by(network(([(0, 0, 0), (L, 0, 0)], [0.5]), ([(0, 0, 0), (0, 3, -0.1)], [0.2])))
    assert side[0, 0] == pytest.approx(high * L**2 / (1 + np.exp(0.1 / KT)))
    assert np.count_nonzero(side) == 1


def test_a_square_lattice_with_two_barriers() -> None:
    found = by(network(([(0, 0, 0), (L, 0, 0)], [0.5]), ([(0, 0, 0), (0, L, 0)], [0.4])))
    assert found == pytest.approx(np.diag([rate(0.5), rate(0.4), 0.0]) * L**2)
    # along a diagonal alone it goes along the diagonal alone
    diagonal = by(network(([(0, 0, 0), (L, L, 0)], [0.5])))
    assert diagonal == pytest.approx(rate(0.5) * L**2 * np.outer([1, 1, 0], [1, 1, 0]))


def test_where_it_leads_through_is_told() -> None:
    short = Folded(network(([(0, 0, 0), (7, 0, 0)], [0.4]))).diffusion(0, KELVIN, "hbar")
    assert not short.tensor_cm2_s.any()
    assert short.reason == "the pathways found do not lead through the cell along x or y or z, so D there is zero"
    along = Folded(network(([(0, 0, 0), (5, 0, 0), (10, 0, 0)], [0.4, 0.4]))).diffusion(1, KELVIN, "hbar")
    assert along.through == (True, False, False)
    alone = Folded(network(([(0, 0, 0), (L, 0, 0)], [0.4]), ([(4, 4, 0)], [])))
    assert not alone.diffusion(2, KELVIN, "hbar").tensor_cm2_s.any()


def test_the_same_edge_in_the_next_cell_counts_once() -> None:
    places = [(5.0 * number, 0.0, 0.0) for number in range(5)]
    once = network((places[:3], [0.5, 0.4]))
    twice = network((places, [0.5, 0.4, 0.5, 0.4]), (places[2::-1], [0.4, 0.5]))
    assert len(twice.minima) == 5
    folded = Folded(twice)
    assert (len(folded.energies), len(folded.links)) == (2, 2)
    assert by(twice) == pytest.approx(by(once))


def test_a_ring_inside_the_cell_leads_nowhere() -> None:
    ring = [(0, 0, 0), (4, 0, 0), (2, 3, 0), (0, 0, 0)]
    folded = Folded(network((ring, [0.1, 0.1, 0.1]), ([(4, 0, 0), (10, 0, 0)], [1.2])))
    found = folded.diffusion(0, KELVIN, "hbar")
    # fast inside, over 1.2 eV to the next cell: D = π k L², with π = 1/3, though others are 1e18 times as fast
    assert found.tensor_cm2_s[0, 0] / CM2_PER_A2 == pytest.approx(rate(1.2) / 3 * L**2, rel=1e-12, abs=0)
    assert found.through == (True, False, False)


def test_vineyards_prefactors_there_and_back() -> None:
    # forward 4e12, back 1e12 from one site to the next and on: weights 1 and 4, then 4·1e12 = 4e12·1 must close
    together = network(([(0, 0, 0), (5, 0, 0)], [0.4]), forward_hz=4e12, backward_hz=1e12)
    other = network(([(5, 0, 0), (10, 0, 0)], [0.4]), forward_hz=1e12, backward_hz=4e12)
    together.add_pathway("on", [other.minima[0], other.minima[1]], [other.edges[0].hop])
    found = Folded(together).diffusion(0, KELVIN, "vineyard").tensor_cm2_s[0, 0] / CM2_PER_A2
    flow = 4e12 / 5 * np.exp(-0.4 / KT)
    assert found == pytest.approx(L**2 / (2 / flow))


def test_a_site_beside_the_way_through() -> None:
    # straight on from a site to its image, and a trap beside it: D = π k L², with π = 1/(1 + 4e12/1e12)
    together = network(([(0, 0, 0), (L, 0, 0)], [0.4]), forward_hz=1e13, backward_hz=1e13)
    trap = network(([(0, 0, 0), (3, 2, 0)], [0.3]), forward_hz=4e12, backward_hz=1e12)
    together.add_pathway("trap", [trap.minima[0], trap.minima[1]], [trap.edges[0].hop])
    found = Folded(together).diffusion(0, KELVIN, "vineyard").tensor_cm2_s[0, 0] / CM2_PER_A2
    assert found == pytest.approx(1e13 / 5 * np.exp(-0.4 / KT) * L**2)


def random_graph(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return energies, tops in units of k_BT, ends and ways of a connected graph that leads on in two directions."""
    random = np.random.default_rng(seed)
    nodes, links = 6, 14
    energies = random.uniform(0, 1.5, nodes)
    ends = np.array(
        [(i, i + 1) for i in range(nodes - 1)] + [tuple(random.integers(0, nodes, 2)) for _ in range(9)]
    )
    ways = random.integers(-1, 2, (links, 3)) * [1, 1, 0]
    return energies, random.uniform(1.6, 4.0, links), ends, ways


@pytest.mark.parametrize("seed", [1, 2])
def test_kinetic_monte_carlo_agrees(seed: int) -> None:
    energies, tops, ends, ways = random_graph(seed)
    weights = np.exp(-energies) / np.exp(-energies).sum()
    exact = effective_tensor(-tops - np.log(np.exp(-energies).sum()), ends, ways.astype(float))
    jumps = [
        (first, last, way, np.exp(energies[first] - top))
        for (one, other), way, top in zip(ends, ways, tops, strict=True)
        for first, last, way in ((one, other, way), (other, one, -way))
    ]
    leaving = [[jump for jump in jumps if jump[0] == node] for node in range(len(energies))]
    most = max(map(len, leaving))
    rates, targets, moves = np.zeros((6, most)), np.zeros((6, most), dtype=int), np.zeros((6, most, 3))
    for node, its in enumerate(leaving):
        for number, (_, last, way, speed) in enumerate(its):
            rates[node, number], targets[node, number], moves[node, number] = speed, last, way
    random, walkers, end = np.random.default_rng(seed), 4000, 300.0
    here, place = random.choice(6, walkers, p=weights), np.zeros((walkers, 3))
    clock = random.exponential(1 / rates.sum(axis=1)[here])
    while (walking := np.flatnonzero(clock < end)).size:
        node = here[walking]
        share = np.cumsum(rates[node], axis=1)
        choice = (share < random.random((len(node), 1)) * share[:, -1:]).sum(axis=1)
        place[walking] += moves[node, choice]
        here[walking] = targets[node, choice]
        clock[walking] += random.exponential(1 / rates.sum(axis=1)[here[walking]])
    for one, other in ((0, 0), (1, 1), (0, 1)):
        sample = place[:, one] * place[:, other] / (2 * end)
        # what the start's memory adds is of the order of (a jump)²/2t, far below the error
        assert abs(sample.mean() - exact[one, other]) < 3 * sample.std() / np.sqrt(walkers) + 0.5 / end
    independent = np.einsum("l,li,lj->ij", np.exp(-tops) / np.exp(-energies).sum(), ways, ways)
    assert np.linalg.eigvalsh(independent - exact).min() > -1e-12  # going back makes it slower
    assert exact[0, 0] < 0.9 * independent[0, 0]
