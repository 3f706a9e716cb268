"""Curvatures from forces: the lowest modes, and the Hessian that learns from every step."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from muller_brown import SADDLES, Uniform, evaluate, hessian, place
from scipy.linalg import eigh

from mapmpi.calculation import Forces, solve
from mapmpi.path.curvature import CurvatureModel, lowest_modes
from mapmpi.path.preconditioner import Metric
from mapmpi.path.transition import plain_curvatures


def quadratic(matrix):
    """Return the engine of V = ½xᵀHx."""

    def evaluate(positions):
        flat = positions.ravel()
        return Forces(0.5 * flat @ matrix @ flat, -(matrix @ flat).reshape(positions.shape))

    return evaluate


def symmetric(size, seed=3):
    matrix = np.random.default_rng(seed).normal(size=(size, size))
    return matrix + matrix.T


def springs(positions, stiffness):
    """Return the Hessian of springs between all pairs at rest, which no translation strains."""
    count = len(positions)
    matrix = np.zeros((count, 3, count, 3))
    for i in range(count):
        for j in range(i):
            along = (positions[i] - positions[j]) / np.linalg.norm(positions[i] - positions[j])
            block = stiffness[i, j] * np.outer(along, along)
            for a, b, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
                matrix[a, :, b] += sign * block
    return matrix.reshape(3 * count, 3 * count)


def dense(metric, size):
    return np.array([metric.times(row) for row in np.eye(size)])


@pytest.mark.parametrize("one_sided", [False, True])
def test_lowest_modes_of_a_known_hessian(one_sided):
    """H v = λ P v, in a metric that is not uniform."""
    solid = bulk("Cu", "fcc", 3.6, cubic=True)
    metric = Metric(solid, solid.positions)
    matrix = symmetric(12) + dense(metric, 12)
    values, vectors = eigh(matrix, dense(metric, 12))
    guess = np.random.default_rng(1).normal(size=(4, 3))
    gradient = (matrix @ solid.positions.ravel()).reshape(4, 3) if one_sided else None
    modes = solve(lowest_modes(solid.positions, gradient, guess, metric, 2, 1e-6, 100), quadratic(matrix))
    assert modes.accurate
    assert modes.curvatures[:2] == pytest.approx(values[:2], rel=1e-5)
    for found, exact in zip(modes.vectors[:2], vectors.T, strict=False):
        assert abs((found * metric.times(exact.reshape(4, 3))).sum()) == pytest.approx(1.0, abs=1e-4)
    assert modes.actions[0].ravel() == pytest.approx(matrix @ modes.vectors[0].ravel())
    assert plain_curvatures(modes)[0] == pytest.approx(values[0] / (modes.vectors[0] ** 2).sum(), rel=1e-5)


def test_at_a_saddle_of_the_landscape():
    """Four of its atoms feel neither each other nor the fifth: the Krylov space of a guess closes early."""
    positions = place(*SADDLES["lower"][:2])
    guess = np.zeros((5, 3))
    guess[0] = 0.6, -0.8, 0
    modes = solve(lowest_modes(positions, None, guess, Uniform(5), 2, 0.01, 100), evaluate)
    assert modes.accurate
    assert plain_curvatures(modes)[:2] == pytest.approx(np.linalg.eigvalsh(hessian(positions))[:2], rel=0.1)


def test_cut_off_is_not_accurate():
    matrix, guess = symmetric(15), np.random.default_rng(1).normal(size=(5, 3))
    start = np.zeros((5, 3))
    modes = solve(lowest_modes(start, None, guess, Uniform(5), 2, 0.01, 6), quadratic(matrix))
    assert modes.calls == 6
    assert not modes.accurate


@pytest.mark.parametrize("count", [2, 4])
def test_translations_are_left_out(count):
    """Also where no other direction is left to look into."""
    random = np.random.default_rng(5)
    positions, stiffness = random.normal(size=(count, 3)), random.normal(size=(count, count)) - 2.0
    matrix = springs(positions, stiffness)
    guess = random.normal(size=(count, 3))
    guess -= guess.mean(axis=0)  # as the tangent of a band
    modes = solve(lowest_modes(positions, None, guess, Uniform(count), 3, 1e-9, 100), quadratic(matrix))
    assert modes.accurate
    assert np.abs(modes.vectors.sum(axis=1)).max() < 1e-6
    apart = np.eye(3 * count) - np.tile(np.eye(3), (count, count)) / count
    exact = np.linalg.eigvalsh(apart @ matrix @ apart + 1e3 * (np.eye(3 * count) - apart))[:3]
    assert plain_curvatures(modes)[:3] == pytest.approx(exact, abs=1e-6)


def predicted(model, step):
    """Return the model's Hessian times a step: P, but for the subspace."""
    inside = (model.matrix - np.eye(len(model.matrix))) @ (model.duals @ step)
    return model.metric.times(step) + model.duals.T @ inside


def test_the_model_knows_what_it_learned():
    solid = bulk("Cu", "fcc", 3.6, cubic=True)
    model, matrix = CurvatureModel(Metric(solid, solid.positions), 12), symmetric(12)
    random = np.random.default_rng(3)
    other = random.normal(size=12)
    assert predicted(model, other) == pytest.approx(model.metric.times(other))  # nothing yet
    for _ in range(15):
        step = random.normal(size=12)
        model.learn(step.reshape(4, 3), (matrix @ step).reshape(4, 3))
        assert predicted(model, step) == pytest.approx(matrix @ step)
        assert model.vectors @ model.duals.T == pytest.approx(np.eye(len(model.vectors)), abs=1e-8)
        assert model.matrix == pytest.approx(model.matrix.T)


def test_the_model_finds_the_lowest_mode_and_the_saddle():
    vectors = np.linalg.eigh(symmetric(6))[1]
    matrix = vectors @ np.diag([-2.0, 1.0, 2.0, 3.0, 5.0, 7.0]) @ vectors.T
    model, random = CurvatureModel(Uniform(2), 6), np.random.default_rng(3)
    for _ in range(40):
        step = random.normal(size=6)
        model.learn(step.reshape(2, 3), (matrix @ step).reshape(2, 3))
    assert len(model.vectors) == 6
    lowest = model.lowest_mode()
    assert lowest @ model.metric.times(lowest) == pytest.approx(1.0)
    assert abs(lowest @ vectors[:, 0]) / np.linalg.norm(lowest) == pytest.approx(1.0, abs=1e-3)
    assert model.curvatures[0] == pytest.approx(lowest @ matrix @ lowest, rel=1e-2)
    place = random.normal(size=6)
    ahead = place + model.saddle_step((matrix @ place).reshape(2, 3)).ravel()
    assert np.linalg.norm(ahead) < 0.05 * np.linalg.norm(place)  # the saddle is at the origin


@pytest.mark.parametrize("lowest", [1.0, -2.0])
def test_a_guided_step_goes_up_along_the_tangent_while_no_curvature_is_negative(lowest):
    matrix = np.diag([lowest, 2.0, 3.0, 4.0, 5.0, 7.0])
    model, random = CurvatureModel(Uniform(2), 6), np.random.default_rng(3)
    for step in np.eye(6):
        model.learn(step.reshape(2, 3), (matrix @ step).reshape(2, 3))
    gradient, tangent = random.normal(size=(2, 6))
    uphill = tangent / np.linalg.norm(tangent) if lowest > 0 else np.eye(6)[0]
    mirrored = gradient - 2 * uphill * (uphill @ gradient)
    step = model.saddle_step(gradient.reshape(2, 3), tangent.reshape(2, 3)).ravel()
    assert step == pytest.approx(-np.linalg.solve(abs(matrix), mirrored), rel=1e-6)
