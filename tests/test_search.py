"""Planned exploration: features, map, plan and pursuit against known answers; planner, messages, a whole search."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from conftest import analytic_config, analytic_engine, planned_config, wall_with_a_gap
from in_process import train
from scipy.stats import multivariate_normal

from mapmpi.climb import Heights
from mapmpi.env.environment import Environment
from mapmpi.env.station import Station
from mapmpi.search import process as process_module
from mapmpi.search.archive import Visit
from mapmpi.search.energymap import EnergyMap
from mapmpi.search.plan import Plan
from mapmpi.search.planner import DISCOUNT, PATIENCE, SMALLEST, WORTH_A_SEARCH, Planner
from mapmpi.search.process import Process, far_apart
from mapmpi.search.pursuit import Pursuit
from mapmpi.search.region import CENTERS, CUTOFF, WIDTH, Region
from mapmpi.store.ancestry import Ancestry
from mapmpi.store.records import NO_ACTION
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.wholepath import WholePaths
from mapmpi.train.advice import KINDS, QUESTION, Answer, visit_dtype
from mapmpi.train.guidance import Guidance, make_guidance
from mapmpi.train.resume import spent

AXES = np.eye(3)


def skew_host() -> Atoms:
    random = np.random.default_rng(5)
    cell = np.array([[9.0, 0.0, 0.0], [2.0, 8.0, 0.0], [1.0, -1.5, 10.0]])
    return Atoms("Si10O10", random.random((20, 3)) @ cell, cell=cell, pbc=True)


def test_features_are_sums_over_all_periodic_images() -> None:
    host, place = skew_host(), np.array([11.0, -3.0, 4.0])
    region = Region(host, np.zeros(3), AXES, 5.0)
    shifts = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), -1).reshape(-1, 3) @ host.cell.array
    apart = np.linalg.norm((host.positions[:, None] + shifts[None] - place), axis=2)
    columns, closest = [], []
    for number in (8, 14):
        near = apart[host.numbers == number]
        closest.append(near.min())
        near = near[near < CUTOFF]
        smooth = 0.5 * (1.0 + np.cos(np.pi * near / CUTOFF))
        columns += [(np.exp(-0.5 * ((near - center) / WIDTH) ** 2) * smooth).sum() for center in CENTERS]
    np.testing.assert_allclose(region.describe(place)[0], columns, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(region.distances(place)[0], closest, rtol=1e-9)


def test_the_region_follows_the_goal_and_finds_its_places() -> None:
    axes = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    region = Region(skew_host(), np.array([1.0, 2.0, 3.0]), axes, 6.0)
    np.testing.assert_allclose(region.forward, (region.places - region.start) @ axes[0], atol=1e-9)
    assert region.forward.min() <= -3.0
    assert region.forward.max() >= 7.0
    chosen = np.arange(0, len(region), 97)
    np.testing.assert_array_equal(region.nearest(region.places[chosen] + 0.1), chosen)
    first, second, lengths = region.edges
    np.testing.assert_allclose(np.linalg.norm(region.places[first] - region.places[second], axis=1), lengths)
    assert len({tuple(sorted(pair)) for pair in zip(first[:5000], second[:5000], strict=True)}) == 5000


def process_of(features: np.ndarray, values: np.ndarray, weights: np.ndarray) -> Process:
    process = Process(np.array([[-1.0] * 4, [1.0] * 4]))  # features are scaled as they are
    process.fit(features, values, weights)
    return process


def test_the_process_is_that_of_the_textbook_through_all_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "NOISES", (0.03, 0.3))
    monkeypatch.setattr(process_module, "SUMS", (0.3, 3.0))
    monkeypatch.setattr(process_module, "LENGTHS", (0.5, 2.0))
    random = np.random.default_rng(1)
    known, places = random.normal(size=(60, 4)), random.normal(size=(20, 4))
    values = known @ [1.0, -2.0, 0.0, 0.5] + np.sin(2.0 * known[:, 0]) + 3.0
    weights = random.uniform(0.2, 1.0, 60)
    offset = np.average(values, weights=weights)
    unit = np.sqrt(np.average((values - offset) ** 2, weights=weights))

    fits = []
    for noise, sums, length in product((0.03, 0.3), (0.3, 3.0), (0.5, 2.0)):

        def covariance(
            some: np.ndarray, others: np.ndarray, length: float = length, sums: float = sums
        ) -> np.ndarray:
            apart = np.linalg.norm(some[:, None] - others[None], axis=2) / np.sqrt(4.0)
            return np.exp(-0.5 * (apart / length) ** 2) + sums * some @ others.T / 4.0

        matrix = unit**2 * (covariance(known, known) + noise * np.diag(1.0 / weights))
        density = multivariate_normal(np.full(60, offset), matrix).logpdf(values)
        across = unit**2 * covariance(places, known)
        fits.append((density, offset + across @ np.linalg.inv(matrix) @ (values - offset)))
    _, means = max(fits, key=lambda fit: fit[0])
    np.testing.assert_allclose(process_of(known, values, weights).predict(places), means, atol=1e-3)


def test_a_process_through_some_places_knows_about_as_much() -> None:
    random = np.random.default_rng(2)
    known = random.uniform(-1.0, 1.0, size=(3000, 4))
    values = known @ [1.0, -2.0, 0.0, 0.5] + np.sin(3.0 * known[:, 0]) + 0.1 * random.normal(size=3000)
    process = process_of(known, values, np.ones(3000))
    places = random.uniform(-1.0, 1.0, size=(500, 4))
    means = process.predict(places)
    left = means - places @ [1.0, -2.0, 0.0, 0.5] - np.sin(3.0 * places[:, 0])
    assert np.sqrt((left**2).mean()) < 0.1 * values.std()
    np.testing.assert_allclose(process.predict(places.astype(np.float32)), means, atol=1e-3)


def test_the_known_places_that_stand_for_all_are_the_farthest_from_each_other() -> None:
    line = np.array([[0.0], [0.1], [1.0], [0.45], [0.0]])
    assert far_apart(line, 3).tolist() == [0, 2, 3]
    assert far_apart(line, 10).tolist() == [0, 2, 3, 1]  # the last is the first again


def test_the_map_learns_a_landscape_from_a_tenth_of_its_places() -> None:
    landscape = wall_with_a_gap()
    host = Atoms(["Si"] * len(landscape.centers), landscape.centers, cell=landscape.lengths, pbc=True)
    region = Region(host, np.array([2.0, 6.0, 6.0]), AXES, 6.0)
    random = np.random.default_rng(3)
    places = region.places[random.permutation(len(region))[: len(region) // 10]] + random.normal(size=3) * 0.1
    energies = np.array([landscape.energy_and_force(place)[0] for place in places])
    learned = EnergyMap(region)
    learned.fit(places, energies, 1.0)
    chosen = random.permutation(len(region))[:500]
    exact = np.array([landscape.energy_and_force(place)[0] for place in region.places[chosen]])
    left = learned.energies()[chosen] - exact
    assert np.sqrt(np.median(left**2)) < 0.05 * exact.std()


def test_the_map_keeps_walls_in_mind_among_many_low_places() -> None:
    landscape = wall_with_a_gap()
    host = Atoms(["Si"] * len(landscape.centers), landscape.centers, cell=landscape.lengths, pbc=True)
    region = Region(host, np.array([2.0, 6.0, 6.0]), AXES, 6.0)
    energies = np.array([landscape.energy_and_force(place)[0] for place in region.places])
    random = np.random.default_rng(2)
    low = random.choice(np.flatnonzero(energies < 0.2), 300, replace=False)
    high = random.choice(np.flatnonzero((energies > 1.0) & (energies < 3.0)), 20, replace=False)
    known = np.concatenate([low, high])
    found = EnergyMap(region)
    found.fit(region.places[known], energies[known], 2.0)
    assert np.median(found.energies()[high] / energies[high]) > 0.6


def test_the_plan_goes_through_the_gap() -> None:
    landscape, start = wall_with_a_gap(), np.array([2.0, 6.0, 6.0])
    host = Atoms(["Si"] * len(landscape.centers), landscape.centers, cell=landscape.lengths, pbc=True)
    region = Region(host, start, AXES, 6.0)
    energies = np.array([landscape.energy_and_force(place)[0] for place in region.places])
    plan = Plan(region, energies, 1.0)
    way = plan.way(start)
    np.testing.assert_allclose(way[0], start)
    assert (way[-1] - start)[0] >= 6.0 - region.spacing
    at_wall = way[np.abs(way[:, 0] - 5.0).argmin()]
    assert np.linalg.norm(at_wall[1:] - [8.5, 6.0]) < 0.8
    np.testing.assert_array_equal(plan.heights, np.maximum(energies, plan.heights[plan._next]))
    for index in np.random.default_rng(3).integers(0, len(region), 20):
        on_way = [int(index)]
        while plan._next[on_way[-1]] != on_way[-1]:
            on_way.append(int(plan._next[on_way[-1]]))
        assert plan.heights[index] == energies[on_way].max()
    highest = max(landscape.energy_and_force(place)[0] for place in way)
    assert plan.height(start)[0] == pytest.approx(highest, abs=0.2)
    assert highest < 0.5 * landscape.energy_and_force(np.array([5.0, 6.0, 6.0]))[0]


def test_the_way_leads_over_the_plane_from_close_before_it() -> None:
    region = Region(skew_host(), np.zeros(3), AXES, 5.0)
    place = np.array([4.9, 0.3, -0.2])
    assert region.forward[region.nearest(place)[0]] >= region.distance
    way = Plan(region, np.zeros(len(region)), 1.0).way(place)
    vectors = 0.4 * np.vstack([np.eye(3), -np.eye(3)])
    assert vectors[Pursuit(way, vectors).choose(place, place)] @ AXES[0] > 0.0


def test_small_actions_are_no_stall() -> None:
    way = np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [3.0, 3.0, 0.0]])
    vectors = 0.1 * np.vstack([np.eye(3), -np.eye(3)])
    pursuit, place = Pursuit(way, vectors), np.zeros(3)
    for _ in range(20):
        place = place + vectors[pursuit.choose(place, place)]
    np.testing.assert_allclose(place, [2.0, 0.0, 0.0], atol=1e-9)  # no corner is cut


def test_pursuit_stays_near_a_bent_way() -> None:
    way = np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [3.0, 3.0, 0.0], [3.0, 3.0, 3.0]])
    vectors = 0.4 * np.vstack([np.eye(3), -np.eye(3)])
    pursuit, place = Pursuit(way, vectors), np.zeros(3)
    seen = [place]
    for _ in range(40):
        place = place + vectors[pursuit.choose(place, place)]
        seen.append(place)
    assert np.linalg.norm(np.array(seen) - way[-1], axis=1).min() < 0.5
    samples = np.concatenate([a + (b - a) * np.linspace(0, 1, 50)[:, None] for a, b in pairwise(way)])
    off = [np.linalg.norm(samples - point, axis=1).min() for point in seen if point[2] < 2.9]
    assert max(off) < 0.6
    assert Pursuit(way, vectors).off(np.array([1.0, 0.0, 0.7])) == pytest.approx(0.7)


def visit(place: list[float], *energies: float) -> Visit:
    return Visit(np.array(place), energies[-1], Heights.of(np.array(energies)), (1, 1, len(energies)), None)


def test_the_archive_keeps_the_lowest_path_to_each_cell() -> None:
    planner = Planner(Region(skew_host(), np.zeros(3), AXES, 5.0))
    for one in (visit([0, 0, 0], 0.0), visit([1, 0, 0], 0.0, 2.0), visit([1.2, 0.1, 0], 0.0, 1.0, 0.2)):
        planner.add(one)
    planner.add(visit([0.9, 0, 0], 0.0, 3.0, 0.1))
    assert {key: one.heights.climb for key, one in planner.archive.cells.items()} == {
        (0, 0, 0): 0.0,
        (1, 0, 0): 1.0,
    }
    planner.add(visit([5.1, 0, 0], 0.0, 0.9))
    assert planner.best == 0.9
    assert list(planner.archive.cells) == [(0, 0, 0)]  # the other cannot lead to a better path
    begun = planner.begin()
    assert begun is not None
    chosen, advice = begun
    assert chosen.tries == 1
    assert advice.limit == 0.9
    assert advice.way is not None


def test_who_promises_most_is_gone_on_from_and_who_promises_little_is_left() -> None:
    planner = Planner(Region(skew_host(), np.zeros(3), AXES, 5.0))
    for one in (visit([0, 0, 0], 0.0), visit([3, 0, 0], 0.0, 0.1), visit([5.1, 0, 0], 0.0, 50.0)):
        planner.add(one)
    visits, promised, prospects = planner._scores()
    np.testing.assert_allclose(prospects, 50.0 - promised)
    low, high = (0, 1) if promised[0] < promised[1] else (1, 0)
    poor = visit(list(visits[low].place), 0.0, 50.0 - 0.5 * float(prospects[high]))
    assert planner.go_on(poor.place, poor.heights, agent=1) is None
    assert planner.go_on(poor.place, poor.heights, agent=2) is not None  # plays this episode to its end
    begun = planner.begin()
    assert begun is not None
    assert begun[0] is visits[low]


def test_where_the_tether_pulls_to_the_plan_is_as_high_as_tether_and_material_together() -> None:
    planner = Planner(Region(skew_host(), np.zeros(3), AXES, 5.0))
    for one in (visit([0, 0, 0], 0.0), visit([5.1, 0, 0], 0.0, 2.0)):
        planner.add(one)
    for place, energies in (([1, 0, 0], (0.5, 1.9)), ([2, 0, 0], (0.5, -0.4, 1.7)), ([3, 0, 0], (0.5, 2.6, 0.5))):
        one = visit(place, *energies)  # a climb of 1.4; of 2.1 eV, here; and of as much, but before
        one.beyond = np.array([place[0] + 0.5, 0.0, 0.0]), energies[-1] + 0.6
        planner.add(one)
    assert [(place[0], round(rise, 9)) for place, rise in planner.bounds] == [(1.5, 2.0), (2.5, 1.8), (3.5, 0.6)]
    _ = planner.plan
    places, energies = planner.region.places, planner._map.energies()
    assert energies[np.linalg.norm(places - [1.5, 0, 0], axis=1) < 0.4].min() >= 2.0
    # a second one who comes there more easily lowers the bound
    again = visit([1, 0, 0], 0.5, 0.7)
    again.beyond = np.array([1.5, 0.1, 0.0]), 1.0
    planner.add(again)
    planner.plan_anew()
    _ = planner.plan
    both = (np.linalg.norm(places - [[[1.5, 0, 0]], [[1.5, 0.1, 0]]], axis=2) < 0.4).all(axis=0)
    assert 0.5 <= planner._map.energies()[both].min() < 2.0


@pytest.mark.parametrize("relaxation", ["minimize", "md"])
def test_a_bound_is_as_high_as_the_tether_is_long_if_all_is_at_rest(tmp_path: Path, relaxation: str) -> None:
    config = planned_config(tmp_path, 1, relaxation)
    config.tether.spring_constant = 100.0  # kcal/mol/Å²: 4.336 eV/Å²
    atoms = analytic_engine(config, wall_with_a_gap()).atoms
    guidance = make_guidance(config, atoms, 1)
    guidance.planner.best = 0.25
    record = np.zeros(1, dtype=visit_dtype(len(atoms)))
    record["episode"], record["station"]["energy"], record["place"] = 1, 0.3, guidance.planner.region.start
    record["station"]["agent"] = guidance.planner.region.start + [0.0, 0.5, 0.0]
    guidance.take(1, record.view(np.uint8))
    again = make_guidance(config, atoms, 1)
    again.load_state_dict(guidance.state_dict())
    assert len(again.planner.bounds) == (relaxation == "minimize")
    for place, rise in again.planner.bounds:
        np.testing.assert_allclose(place, record["station"]["agent"][0])
        assert rise == pytest.approx(0.3 + 0.5 * 4.3364 * 0.25, rel=1e-4)


def test_a_state_loses_with_every_try() -> None:
    planner = Planner(Region(skew_host(), np.zeros(3), AXES, 5.0))
    for one in (visit([0, 0, 0], 0.0), visit([3, 0, 0], 0.0, 1e-3), visit([5.1, 0, 0], 0.0, 50.0)):
        planner.add(one)
    begun = [chosen.origin for chosen, _ in filter(None, (planner.begin() for _ in range(20)))]
    assert len(begun) == 20
    tries = [one.tries for one in planner.archive.visits]
    assert min(tries) >= 9  # of two that promise nearly the same
    _, promised, prospects = planner._scores()
    np.testing.assert_allclose(prospects, (50.0 - promised) * DISCOUNT ** np.array(tries))


def test_the_scale_is_the_climb_of_the_best_path() -> None:
    planner = Planner(Region(skew_host(), np.zeros(3), AXES, 5.0))
    for one in (visit([0, 0, 0], 0.0), visit([1, 0, 0], 0.0, 0.4), visit([2, 0, 0], 0.0, 0.6)):
        planner.add(one)
    assert planner.plan is not None
    assert planner.scale == pytest.approx(0.5)  # what was met so far
    planner.add(visit([5.1, 0, 0], 0.0, 2.0))
    for place in np.random.default_rng(1).random((60, 3)):  # all lies low here; nothing is known of the way on
        planner.add(visit(list(place), 0.0, 1e-3))
    assert float(planner.plan.height(np.zeros(3))[0]) < 0.1 * planner.best
    assert planner.scale == planner.best == 2.0  # a plan that is too hopeful does not make it smaller


def test_searching_gives_way_to_practice() -> None:
    planner = Planner(Region(skew_host(), np.zeros(3), AXES, 5.0))
    for one in (visit([0, 0, 0], 0.0), visit([5.1, 0, 0], 0.0, 1.0)):
        planner.add(one)
    assert planner.begin(searched=1000) is not None  # it has not improved on the first path yet
    planner.add(visit([5.1, 0, 0], 0.0, 0.9))
    for _ in range(3):
        planner.add(visit([5.1, 0, 0], 0.0, 0.9 * (1.0 - 0.1 * WORTH_A_SEARCH)))  # hardly better
    assert (planner.got_on_at, planner.seen) == (3, 6)
    assert planner.begin(searched=1000) is not None  # twice as many visits as the best path took: still worth it
    for _ in range(100):
        planner.add(visit([0, 0, 0], 0.0))
    # and the longer, the less the plan promises to climb
    start = planner.archive.cells[0, 0, 0]
    promised = float(planner.plan.height(start.place)[0])
    worth = int(1000 * PATIENCE * 3 / max(promised / planner.best, SMALLEST) / planner.seen)
    assert 100 < worth < 900
    assert planner.begin(searched=worth - 2, practised=1002 - worth) is not None
    assert planner.begin(searched=worth + 1, practised=999 - worth) is None
    planner.add(visit([5.1, 0, 0], 0.0, 0.8))
    assert planner.begin(searched=1001) is not None
    planner.plan.heights[:] = 0.5
    planner.add(visit([5.1, 0, 0], 0.0, 0.51))
    assert planner.begin() is not None
    planner.add(visit([5.1, 0, 0], 0.0, 0.5))
    assert planner.begin() is None  # there is nothing better to be found


def test_agents_practise_when_the_search_is_done(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    config = planned_config(tmp_path, 1200)
    training, _ = train(config, lambda: analytic_engine(config, wall_with_a_gap()), tmp_path / "run", 1.0)
    episodes = WholePaths(RunDirectory(tmp_path / "run").trajectory_files()).episodes
    practice = episodes[episodes["policy"] == b"practise"]
    assert len(practice) >= 3
    assert (practice["parent_agent"] == 0).all()
    assert len(set(practice["epsilon"].tolist())) == len(practice)  # each with its own
    first = int(np.flatnonzero(episodes["policy"] == b"practise")[0])
    assert (episodes["outcome"][:first] == b"goal").any()
    known = Counter[bytes]()
    for row in episodes:
        known[bytes(row["policy"])] += int(row["actions"])
    assert spent(RunDirectory(tmp_path / "run").trajectory_files()[0], len(episodes)) == known
    # what the plan would have done is learned where the network is to play, and nowhere else
    replay = training.replay.state_dict()
    taught = np.count_nonzero((replay["advised"] != NO_ACTION) & (replay["priorities"] > 0.0))
    assert 0.8 * known[b"practise"] < taught <= known[b"practise"] + known[b"greedy"]


def test_before_there_is_a_way_nothing_stays_untried() -> None:
    for mapped in (False, True):
        planner = Planner(Region(skew_host(), np.zeros(3), AXES, 5.0), mapped=mapped)
        for place, climb in (([0, 0, 0], 0.1), ([2, 0, 0], 0.3), ([3, 0, 0], 5.0)):
            planner.add(visit(list(place), 0.0, climb))
        began = [chosen.heights.climb for chosen, _ in filter(None, (planner.begin() for _ in range(40)))]
        assert set(began) == {0.1, 0.3, 5.0}
        assert began.count(5.0) < 10  # all others have been tried several times before


def test_of_too_many_states_those_are_kept_that_may_win_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mapmpi.search.planner.MOST_STATES", 20)
    planner = Planner(Region(skew_host(), np.zeros(3), AXES, 5.0))
    for number in range(21):
        one = Visit(
            np.array([0.0, number, 0.0]), 0.0, Heights.of(np.array([0.0, 0.01 * number])), (1, 1, number), None
        )
        planner.add(one)
    visits, _, prospects = planner._scores()
    best = [visits[number].origin for number in (-prospects).argsort(kind="stable")]
    begun = planner.begin()
    assert begun is not None
    assert begun[0].origin == best[0]
    assert {one.origin for one in planner.archive.visits} == set(best[:11])


def test_the_archive_alone_takes_the_lowest_first() -> None:
    planner = Planner(Region(skew_host(), np.zeros(3), AXES, 5.0), mapped=False)
    planner.add(visit([0, 0, 0], 0.0, 0.5))
    planner.add(visit([3, 0, 0], 0.0, 0.2))
    begun = planner.begin()
    assert begun is not None
    chosen, advice = begun
    assert chosen.heights.climb == 0.2
    assert advice.way is None
    assert planner.go_on(chosen.place, chosen.heights) is None


def test_the_map_is_given_up_where_energy_is_no_function_of_the_place() -> None:
    random = np.random.default_rng(2)
    for noise, kept in ((0.01, True), (2.0, False)):
        planner = Planner(Region(skew_host(), np.zeros(3), AXES, 5.0))
        for _ in range(120):
            place = random.integers(0, 3, 3) * 0.9
            planner.add(visit(list(place), 0.0, place.sum() * 0.2 + noise * random.random()))
        planner.begin()
        assert planner.mapped is kept, planner.spread()
        assert planner.spread() == pytest.approx(noise / np.sqrt(12.0), rel=0.35)
    for _ in range(3000):  # and taken up again where that was chance
        planner.add(visit(list(random.random(3) * 0.5 + 1.0), 0.0, 0.1))
    planner.begin()
    assert planner.mapped


def test_whoever_asks_when_the_map_is_given_up_that_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = planned_config(tmp_path, 1)
    guidance = make_guidance(config, analytic_engine(config, wall_with_a_gap()).atoms, 1)
    random, start = np.random.default_rng(2), guidance.planner.region.start
    for _ in range(120):
        place = start + random.integers(0, 3, 3) * 0.9
        guidance.planner.add(visit(place.tolist(), 0.0, 2.0 * random.random()))
    question = np.zeros(1, dtype=QUESTION)
    question["kind"], question["place"] = KINDS.index("way"), start
    for _ in range(2):
        guidance.answer(1, question.view(np.uint8))
    assert not guidance.planner.mapped
    assert caplog.text.count("energy is no function of the place") == 1


def test_states_that_are_told_again_hide_no_spread() -> None:
    random, planner = np.random.default_rng(2), Planner(Region(skew_host(), np.zeros(3), AXES, 5.0))
    for number in range(400):
        planner.add(visit(list(random.integers(0, 3, 3) * 0.9), 0.0, 2.0 * random.random()))
        if number % 10 == 0:  # an episode begins
            planner.add(visit([0.0, 0.0, 0.0], 0.0))
    assert planner.spread() == pytest.approx(2.0 / np.sqrt(12.0), rel=0.1)


def test_a_slope_is_no_spread() -> None:
    random = np.random.default_rng(3)
    for noise in (0.0, 0.05):
        planner = Planner(Region(skew_host(), np.zeros(3), AXES, 5.0))
        for _ in range(400):
            place = random.random(3) * [2.0, 0.5, 0.5]
            rise = place[0] ** 2 + noise * random.standard_normal()  # 4 eV/Å at the end
            planner.add(visit(list(place), 0.0, rise))
        planner.begin()
        assert planner.mapped
        assert planner.spread() == pytest.approx(noise, rel=0.2, abs=0.01)


def test_a_station_goes_on_to_the_bit(tmp_path: Path) -> None:
    config = analytic_config(tmp_path, dynamics={"relaxation": "minimize"}, actions={"directions": "all26"})
    one, other = (Environment(config, lambda: analytic_engine(config, wall_with_a_gap())) for _ in range(2))
    one.reset(1)
    for action in (3, 7, 1):
        last = one.step(action)
    record = one.station().record()
    again = other.reset(2, Station.of(record))
    assert again.frame is not None
    assert last.frame is not None
    assert again.frame.potential_energy == last.frame.potential_energy
    assert (again.heights, again.progress) == (last.heights, last.progress)
    for action in (5, 0, 11):
        first, second = one.step(action), other.step(action)
        np.testing.assert_array_equal(first.place, second.place)
        np.testing.assert_array_equal(first.state, second.state)
        assert (first.rise, first.heights) == (second.rise, second.heights)


def test_answers_travel_whole(tmp_path: Path) -> None:
    config = analytic_config(tmp_path)
    environment = Environment(config, lambda: analytic_engine(config, wall_with_a_gap()))
    environment.reset(1)
    station, atoms = environment.station().record(), len(environment.engine.atoms)
    way = np.arange(12.0).reshape(4, 3)
    answer = Answer.unpack(Answer(True, way, 1.5, (3, 2, 1), station).pack(), atoms)
    np.testing.assert_array_equal(answer.way, way)
    assert (answer.go, answer.limit, answer.origin) == (True, 1.5, (3, 2, 1))
    assert answer.station == station
    bare = Answer.unpack(Answer().pack(), atoms)
    assert (bare.go, bare.way, bare.station) == (True, None, None)
    assert not Answer.unpack(Answer(go=False).pack(), atoms).go


@pytest.mark.parametrize("relaxation", ["minimize", "md"])
def test_a_planned_training_finds_the_gap_and_its_paths_are_whole(tmp_path: Path, relaxation: str) -> None:
    torch.set_num_threads(1)
    config = planned_config(tmp_path, 300, relaxation)
    landscape = wall_with_a_gap()
    training, _ = train(config, lambda: analytic_engine(config, landscape), tmp_path / "run", 1.0)
    paths = WholePaths(RunDirectory(tmp_path / "run").trajectory_files())
    assert paths.orphans() == []
    goals = paths.episodes[paths.episodes["outcome"] == b"goal"]
    best = goals[goals["climb"].argmin()]
    path = paths.path(int(best["agent"]), int(best["episode"]))
    assert (paths.episodes["parent_agent"] > 0).any()
    assert Heights.of(path.potential_energy).climb == pytest.approx(best["climb"], abs=1e-9)
    jumps = np.linalg.norm(np.diff(path.tagged_position, axis=0), axis=1)
    assert jumps.max() < 2.0
    straight = landscape.energy_and_force(np.array([5.0, 6.0, 6.0]))[0]
    assert best["climb"] < 0.4 * straight
    at_wall = path.tagged_position[np.abs(path.tagged_position[:, 0] - 5.0).argmin()]
    assert np.linalg.norm(at_wall[1:] - [8.5, 6.0]) < 1.5

    guidance = training.guidance
    assert guidance is not None
    known = make_guidance(config, Environment(config, lambda: analytic_engine(config, landscape)).engine.atoms, 1)
    state = guidance.state_dict()
    known.load_state_dict(state)
    assert same_advice(known, guidance)
    assert known.planner.begun == guidance.planner.begun != {}
    known.load_state_dict({**state, "trust": np.zeros(2)})  # an older checkpoint
    assert same_advice(known, guidance)


def test_what_no_stored_path_leads_to_is_forgotten(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    config = planned_config(tmp_path, 300)
    training, _ = train(config, lambda: analytic_engine(config, wall_with_a_gap()), tmp_path / "run", 1.0)
    files, guidance = RunDirectory(tmp_path / "run").trajectory_files(), training.guidance
    assert guidance is not None
    planner, paths = guidance.planner, WholePaths(files)
    best, kept = planner.best, dict(planner.archive.cells)
    guidance.forget_lost(paths)
    assert (planner.best, planner.archive.cells) == (best, kept)

    parents = Counter(visit.origin[:2] for visit in kept.values())
    lost = max(parents, key=lambda numbers: parents[numbers])  # as if its agent had been killed in this episode
    gone = (paths.episodes["agent"] == lost[0]) & (paths.episodes["episode"] == lost[1])
    paths.episodes = paths.episodes[~gone]  # which may itself have come to the goal
    paths.ancestry = Ancestry(paths.episodes)
    orphans = {lost, *paths.orphans()}
    guidance.forget_lost(paths)
    assert {visit.origin for visit in planner.archive.visits} == {
        visit.origin for visit in kept.values() if visit.origin[:2] not in orphans
    }
    whole = [
        float(row["climb"])
        for row in paths.episodes
        if row["outcome"] == b"goal" and (int(row["agent"]), int(row["episode"])) not in orphans
    ]
    assert planner.best == min(whole, default=np.inf) >= best

    guidance.drop_after(1, 0)
    assert planner.archive.cells == {}
    guidance.forget_lost(WholePaths([]))
    assert (planner.best, planner.got_on_at) == (np.inf, 0)


def test_another_goal_has_no_best_path_yet(tmp_path: Path) -> None:
    config = planned_config(tmp_path, 1)
    atoms = analytic_engine(config, wall_with_a_gap()).atoms
    before = make_guidance(config, atoms, 1)
    start = before.planner.region.start
    before.planner.add(visit(start.tolist(), 0.0))
    before.planner.add(visit((start + [config.goal.distance, 0.0, 0.0]).tolist(), 0.0, 0.9))
    before.planner.archive.drop(lambda _: True)
    state = before.state_dict()
    assert state["best"] == 0.9
    for distance, best in ((config.goal.distance, 0.9), (config.goal.distance + 1.0, np.inf)):
        goal = config.goal.model_copy(update={"distance": distance})
        after = make_guidance(config.model_copy(update={"goal": goal}), atoms, 1)
        after.load_state_dict(state)
        assert after.planner.best == best


def same_advice(one: Guidance, other: Guidance) -> bool:
    assert (one.planner.seen, one.planner.got_on_at) == (other.planner.seen, other.planner.got_on_at)
    (first, *scores), (second, *same_scores) = one.planner._scores(), other.planner._scores()
    assert [visit.origin for visit in first] == [visit.origin for visit in second]
    np.testing.assert_array_equal(scores, same_scores)
    place = first[0].place
    advice, same = one.planner.advice(place), other.planner.advice(place)
    assert advice.way is not None
    np.testing.assert_array_equal(advice.way, same.way)
    return advice.limit == same.limit


def test_many_that_begin_at_once_take_different_ways_until_one_leads_to_the_goal() -> None:
    planner = Planner(Region(skew_host(), np.zeros(3), AXES, 5.0), agents=4)
    planner.add(visit([0, 0, 0], 0.0))

    def ways() -> list[bytes]:
        known = [planner.advice(np.zeros(3), agent).way for agent in (7, 3, 9, 11, 5, 7)]
        return [way.tobytes() for way in known if way is not None]

    *others, again = ways()
    np.testing.assert_array_equal(np.frombuffer(others[0]).reshape(-1, 3), planner.plan.way(np.zeros(3)))
    assert len(set(others)) >= 3  # chance may lead two the same way
    assert again == others[0]
    planner.add(visit([5.1, 0, 0], 0.0, 1.0))
    assert len(set(ways())) == 1
