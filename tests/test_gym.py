"""The environment for other learners: what Gymnasium and Stable-Baselines3 ask of one, with real LAMMPS too."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, analytic_config, analytic_engine, wall_with_a_gap
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as baselines_check

from mapmpi.env.environment import Environment
from mapmpi.env.gym import PathfinderEnv
from mapmpi.md.factory import make_engine
from mapmpi.structures.inputs import read_input

SILICA = pytest.param("silica", marks=pytest.mark.lammps)


def make(kind: str, folder: Path) -> Environment:
    """Return an environment on the analytic landscape or with water in silica."""
    if kind == "silica":
        config, atoms = read_input(ROOT / "inputs" / "silica-small.yaml", ["dynamics.steps_per_action=10"])
        return Environment(config, lambda: make_engine(config, atoms))
    config = analytic_config(folder)
    return Environment(config, lambda: analytic_engine(config, wall_with_a_gap()))


@pytest.fixture(params=["analytic", SILICA])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Environment]:
    """Return each kind of environment in turn."""
    made = make(request.param, tmp_path)
    yield made
    made.close()


def test_gymnasium_accepts_it(environment: Environment) -> None:
    gymnasium_check(PathfinderEnv(environment), skip_render_check=True)


def test_stable_baselines_accept_it(environment: Environment) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        baselines_check(PathfinderEnv(environment))
    words = [str(one.message) for one in told]
    assert all("unconventional shape" in one for one in words), words  # theirs is for pictures, ours has depth


def test_what_comes_does_not_depend_on_what_was(environment: Environment, tmp_path: Path) -> None:
    """The same seed and actions give the same bits: first, later, behind other episodes, in another engine."""

    def play(place: Environment, seed: int) -> list[np.ndarray]:
        place.reset(seed)
        steps = [place.step(action) for action in (0, 0, 1, 0)]
        return [array for step in steps if step.frame is not None for array in (step.frame.positions, step.terms)]

    first = play(environment, 7)
    play(environment, 8)
    environment.engine.evaluate(environment.engine.positions() + 0.01)
    other = make("silica" if len(environment.engine.atoms) == 195 else "analytic", tmp_path)
    for again in (play(environment, 7), play(environment, 7), play(other, 7)):
        assert len(again) == len(first) == 8
        for one, two in zip(first, again, strict=True):
            np.testing.assert_array_equal(one, two)
    other.close()


def test_a_snapshot_is_exact(environment: Environment, tmp_path: Path) -> None:
    engine = environment.engine
    agent = engine.tagged_position() + [0.8, 0.2, 0.0]
    engine.restore(engine.snapshot(), seed=3)
    engine.set_tether(agent)
    engine.run(40)
    saved = engine.snapshot()
    went_on = engine.run(20).energies, engine.positions()
    other = make("silica" if len(engine.atoms) == 195 else "analytic", tmp_path)
    for place in (environment, other):
        place.engine.restore(saved)
        place.engine.set_tether(agent)
        np.testing.assert_array_equal(place.engine.run(20).energies, went_on[0])
        np.testing.assert_array_equal(place.engine.positions(), went_on[1])
    other.close()
