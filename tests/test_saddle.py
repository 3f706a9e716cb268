"""Saddle search and verification on a landscape whose stationary points are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from muller_brown import MATCHER, MINIMA, SADDLES, SCALE, evaluate, place

from mapmpi.path.basins import StationaryPoint
from mapmpi.path.calculation import solve
from mapmpi.path.preconditioner import Metric
from mapmpi.path.saddle import CurvatureModel, Saddle, downhill, find_saddle, lowest_modes, verify_saddle

METRIC = Metric.uniform(5)
CONNECTS = {"upper": ("deep", "middle"), "lower": ("middle", "right")}


def minimum(name):
    x, y, energy = MINIMA[name]
    return StationaryPoint(place(x, y), SCALE * energy)


def hessian(positions):
    """Return the exact Hessian (15, 15) by small central differences."""
    rows = []
    for step in 1e-5 * np.eye(positions.size).reshape(-1, *positions.shape):
        rows.append((evaluate(positions - step)[1] - evaluate(positions + step)[1]).ravel() / 2e-5)
    return np.array(rows)


def search(name, shift=(0.12, 0.10), **options):
    x, y, _ = SADDLES[name]
    start = place(x + shift[0], y + shift[1])
    energy, forces = evaluate(start)
    tangent = minimum(CONNECTS[name][1]).positions - minimum(CONNECTS[name][0]).positions
    return solve(find_saddle(start, -forces, energy, tangent, METRIC, **options), evaluate)


@pytest.mark.parametrize("name", SADDLES)
def test_finds_the_saddle(name):
    x, y, energy = SADDLES[name]
    found = search(name, fmax=1e-3)
    assert found.residual <= 1e-3
    assert found.energy == pytest.approx(SCALE * energy, abs=1e-4 * SCALE * 200)  # 1e-4 of the energy scale
    assert found.positions[0] == pytest.approx([x, y, 0], abs=2e-3)
    assert found.calls < 40
    lowest = np.linalg.eigh(hessian(found.positions))[1][:, 0]
    assert abs(lowest @ found.mode.ravel()) > 0.9


def test_gives_up_by_calls_and_by_the_leash():
    assert search("upper", fmax=1e-9, max_calls=9).calls == 9
    strayed = search("upper", fmax=1e-9, leash=0.05)
    assert strayed.residual > 1e-9
    assert strayed.calls < 20


def test_lowest_modes_are_those_of_the_hessian():
    positions = place(*SADDLES["lower"][:2])
    guess = np.random.default_rng(2).normal(size=(5, 3))
    modes = solve(lowest_modes(positions, None, guess, METRIC, 2, 0.01, 100), evaluate)
    exact = np.linalg.eigvalsh(hessian(positions))[:2]
    found = [(v * a).sum() / (v**2).sum() for v, a in zip(modes.vectors[:2], modes.actions[:2], strict=True)]
    assert found == pytest.approx(exact, rel=0.1)  # the probes are finite


def test_curvature_model_knows_what_it_learned():
    model, random = CurvatureModel(METRIC, 6), np.random.default_rng(3)
    model.metric = Metric.uniform(2)
    matrix = random.normal(size=(6, 6))
    matrix = matrix + matrix.T
    for _ in range(12):
        step = random.normal(size=(2, 3))
        change = (matrix @ step.ravel()).reshape(2, 3)
        model.learn(step, change)
        assert model.predicted(step) == pytest.approx(change)
    lowest = model.lowest_mode()
    assert lowest @ matrix @ lowest / (lowest @ lowest) == pytest.approx(np.linalg.eigvalsh(matrix)[0], rel=0.05)


@pytest.mark.parametrize("name", SADDLES)
def test_verified(name):
    left, right = (minimum(end) for end in CONNECTS[name])
    checked = solve(verify_saddle(search(name), left, right, METRIC, MATCHER), evaluate)
    assert checked.faults == ()
    assert checked.verified
    assert checked.curvatures[0] < 0 < checked.curvatures[1]


def test_not_verified_between_other_minima():
    found = search("upper")
    checked = solve(verify_saddle(found, minimum("deep"), minimum("right"), METRIC, MATCHER), evaluate)
    assert checked.faults == ("the way down towards the end leads to another minimum",)


def test_a_minimum_is_not_a_saddle():
    point = minimum("middle")
    mode = np.zeros((5, 3))
    mode[0, 0] = 1.0
    fake = Saddle(point.positions, point.energy, mode, 0.0, 0)
    checked = solve(verify_saddle(fake, point, point, METRIC, MATCHER), evaluate)
    assert "0 curvatures are negative instead of one" in checked.faults


def test_a_hilltop_is_not_a_saddle():
    """V = -x² - 2y² + z²: two directions lead down."""

    def hill(positions):
        x, y, z = positions[0]
        forces = np.zeros_like(positions)
        forces[0] = 2 * x, 4 * y, -2 * z
        return -(x**2) - 2 * y**2 + z**2, forces - 4 * (positions - place(0, 0)) * (np.arange(5)[:, None] > 0)

    mode = np.zeros((5, 3))
    mode[0, 0] = 1.0
    point = Saddle(place(0, 0), 0.0, mode, 0.0, 0)
    sides = solve(downhill(replace(point), METRIC, 0.02, 5), hill)
    checked = solve(verify_saddle(point, *sides, METRIC, MATCHER, sides), hill)
    assert checked.faults == ("2 curvatures are negative instead of one",)


def test_forces_left_are_a_fault():
    x, y, energy = SADDLES["upper"]
    rough = replace(search("upper"), positions=place(x + 0.1, y), energy=SCALE * energy)
    checked = solve(verify_saddle(rough, minimum("deep"), minimum("middle"), METRIC, MATCHER), evaluate)
    assert any("is left" in fault for fault in checked.faults)
