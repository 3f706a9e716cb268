"""Quenches to known minima, with few force calls and in spite of steps in the energy."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from ase.build import bulk
from muller_brown import MINIMA, SCALE, TOLERANCE_EV, Uniform, evaluate, place

from mapmpi.calculation import Forces, solve
from mapmpi.config import QuenchSettings
from mapmpi.errors import EngineError
from mapmpi.path.preconditioner import Metric
from mapmpi.path.quench import LARGEST_TRUST, TRAIL, clipped, quench


@pytest.mark.parametrize("name", MINIMA)
def test_reaches_the_minimum(name):
    x, y, energy = MINIMA[name]
    found = solve(quench(place(x + 0.08, y - 0.08), Uniform(5), QuenchSettings(force=1e-3)), evaluate)
    assert found.residual <= 1e-3
    assert found.energy == pytest.approx(SCALE * energy, abs=TOLERANCE_EV)
    assert found.positions[0] == pytest.approx([x, y, 0], abs=1e-3)
    assert found.calls < 40


def test_the_trail_leads_from_the_start_to_the_minimum():
    start = place(-1.2, -0.2)
    found = solve(quench(start, Uniform(5), QuenchSettings(force=1e-3)), evaluate)
    assert np.array_equal(found.trail[0], start)
    assert np.array_equal(found.trail[-1], found.positions)
    assert len(found.trail) >= 4
    steps = np.linalg.norm(np.diff(found.trail, axis=0), axis=(1, 2))
    assert steps[:-1].min() > TRAIL  # the last point is wherever the minimum is
    assert steps.max() < TRAIL + LARGEST_TRUST + 1e-9
    assert found.trail_energies == pytest.approx([evaluate(point)[0] for point in found.trail])
    assert np.diff(found.trail_energies).max() < 0


def test_a_minimum_stays_where_it_is():
    x, y, _ = MINIMA["middle"]
    found = solve(quench(place(x, y), Uniform(5), QuenchSettings(force=1e-3)), evaluate)
    assert found.calls == 1
    assert np.array_equal(found.positions, place(x, y))
    assert found.trail.shape == (2, 5, 3)


def test_clipped():
    step = np.array([[0.3, 0.4, 0.0], [0.1, 0.0, 0.0]])
    assert clipped(step, 0.25) == pytest.approx(step / 2)
    assert np.array_equal(clipped(step, 0.6), step)
    assert not clipped(0 * step, 0.1).any()


def test_steps_in_the_energy_do_not_stop_it():
    """ReaxFF's energy has steps of a meV; here of 3 meV, so any line search on energies would fail."""

    def rough(positions):
        energy, forces = evaluate(positions)
        return Forces(energy + 0.003 * (np.floor(1e3 * positions[0, 0]) % 2), forces)

    x, y, _ = MINIMA["right"]
    found = solve(quench(place(x - 0.1, y + 0.1), Uniform(5), QuenchSettings(force=1e-3)), rough)
    assert found.residual <= 1e-3
    assert found.positions[0] == pytest.approx([x, y, 0], abs=1e-3)


def test_gives_up_and_says_so():
    found = solve(quench(place(-0.3, 1.0), Uniform(5), QuenchSettings(force=1e-6, calls=4)), evaluate)
    assert found.calls == 4
    assert found.residual > 1e-6


def test_from_beside_a_saddle_it_does_not_creep():
    x, y, _ = MINIMA["deep"]
    found = solve(quench(place(-0.80, 0.66), Uniform(5), QuenchSettings(force=1e-2)), evaluate)
    assert found.positions[0] == pytest.approx([x, y, 0], abs=1e-2)
    assert found.calls < 50


def test_engine_errors_pass_through():
    def broken(positions):
        raise EngineError("lost atoms")

    with pytest.raises(EngineError, match="lost atoms"):
        solve(quench(place(0, 0), Uniform(5), QuenchSettings()), broken)


def test_metric_of_a_solid():
    """Its inverse undoes it; bonds are stiffer than what does not stretch them."""
    solid = bulk("Cu", "fcc", 3.6, cubic=True) * 2
    metric = Metric(solid, solid.positions)
    random = np.random.default_rng(1).normal(size=(4, len(solid), 3))
    assert metric.solve(metric.times(random)) == pytest.approx(random, abs=1e-9)
    assert metric.times(random)[2] == pytest.approx(metric.times(random[2]))
    drift, single = np.ones((len(solid), 3)), np.zeros((len(solid), 3))
    single[0] = np.sqrt(len(solid))
    assert (single * metric.times(single)).sum() > 5 * (drift * metric.times(drift)).sum()


def test_a_metric_is_pickled_as_what_it_was_made_from():
    solid = bulk("Cu", "fcc", 3.6, cubic=True) * 3
    solid.rattle(0.05, seed=1)
    metric, some = Metric(solid, solid.positions), np.random.default_rng(1).normal(size=(len(solid), 3))
    metric.solve(some)
    pickled = pickle.dumps(metric)
    copy = pickle.loads(pickled)
    assert np.array_equal(copy.times(some), metric.times(some))
    assert np.array_equal(copy.solve(some), metric.solve(some))
    assert len(pickled) < 3 * solid.positions.nbytes + 2000


def at_a_step(slope):
    """Return the engine of wells at 0 around a step: the force along x jumps there by twice the slope (eV/Å)."""

    def engine(positions):
        apart = positions - place(0, 0)
        gradient = 4 * apart
        gradient[0, 0] += slope * np.sign(apart[0, 0])
        return Forces(2 * (apart**2).sum() + slope * abs(apart[0, 0]), -gradient)

    return engine


def test_a_minimum_at_a_step_is_a_minimum():
    """No point feels less than 0.03 eV/Å; the lowest is where the energy falls no more."""
    found = solve(quench(place(0.3, 0.2), Uniform(5), QuenchSettings(force=0.01, calls=400)), at_a_step(0.03))
    assert found.at_rest
    assert 0.01 < found.residual < 0.05
    assert found.energy < 2e-4
    assert found.calls < 80
    assert np.array_equal(found.trail[-1], found.positions)
    assert found.trail_energies[-1] == found.energy


def test_large_forces_are_no_rest_whatever_the_energy_does():
    found = solve(quench(place(0.3, 0.2), Uniform(5), QuenchSettings(force=0.01, calls=90)), at_a_step(0.5))
    assert not found.at_rest
    assert found.calls == 90


def test_a_quench_that_is_given_up_is_not_at_rest():
    assert not solve(quench(place(-1.2, -0.2), Uniform(5), QuenchSettings(force=1e-3, calls=3)), evaluate).at_rest
    assert solve(quench(place(-1.2, -0.2), Uniform(5), QuenchSettings(force=1e-3)), evaluate).at_rest
