"""The Markov decision process on the analytic landscape: what an action does, how episodes end, failures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from analytic import AnalyticEngine
from conftest import analytic_config, analytic_engine, wall_with_a_gap

from mapmpi.config import Config
from mapmpi.env.environment import Environment
from mapmpi.errors import EngineError
from mapmpi.md.engine import Segment
from mapmpi.store.records import REWARD_TERMS

FORWARD, UP = 0, 1


def make(config: Config) -> Environment:
    return Environment(config, lambda: analytic_engine(config, wall_with_a_gap()))


def test_an_action_moves_the_agent_and_the_atom_follows(tmp_path: Path) -> None:
    environment = make(analytic_config(tmp_path))
    first = environment.reset(1)
    assert first.frame is not None
    start = first.frame.agent_position
    step = environment.step(UP)
    assert step.frame is not None
    np.testing.assert_allclose(step.frame.agent_position - start, [0, 0.4, 0], atol=1e-12)
    assert np.linalg.norm(step.frame.tagged_position - step.frame.agent_position) < 0.4
    assert step.forbidden == 3  # -y would undo it
    assert step.reward == pytest.approx(step.terms.sum())
    assert step.frame.step > first.frame.step


def test_going_forward_ends_at_the_goal_over_the_wall(tmp_path: Path) -> None:
    environment = make(analytic_config(tmp_path))
    environment.reset(1)
    endings = []
    while not endings or not endings[-1]:
        step = environment.step(FORWARD)
        endings.append(step.ending)
    assert endings[-1] == "goal"
    assert step.progress >= 6.0
    assert step.heights.rise > 1.0  # straight on lies the wall


def test_the_step_limit_and_the_clamp(tmp_path: Path) -> None:
    config = analytic_config(
        tmp_path,
        episode={"max_actions": 30},
        tether={"spring_constant": 5.0, "limit": 1.2},
        goal={"distance": 11.0},
    )
    environment = make(config)
    environment.reset(2)
    for count in range(1, 31):
        step = environment.step(FORWARD)
        assert step.frame is not None
        assert step.ending == ("step_limit" if count == 30 else "")
        # clamped before the MD run, in which the atom moves a little
        assert np.linalg.norm(step.frame.agent_position - step.frame.tagged_position) < 1.6
    assert step.progress < 3.0  # a weak spring held at 1.2 Å does not cross the wall


def test_ending_at_the_tethers_limit_is_a_switch(tmp_path: Path) -> None:
    config = analytic_config(
        tmp_path, tether={"spring_constant": 5.0, "limit": 1.2, "at_limit": "end"}, goal={"distance": 11.0}
    )
    environment = make(config)
    environment.reset(2)
    step = environment.step(FORWARD)
    while not step.ending:
        step = environment.step(FORWARD)
    assert step.ending == "tether"


def test_equal_seeds_give_equal_episodes(tmp_path: Path) -> None:
    environment = make(analytic_config(tmp_path))
    energies = []
    for seed in (5, 5, 6):
        environment.reset(seed)
        energies.append([environment.step(action).heights.rise for action in (0, 0, 1, 0, 0, 0)])
    assert energies[0] == energies[1]
    assert energies[0] != energies[2]


class Brittle(AnalyticEngine):
    """Fails in its fourth run."""

    runs = 0

    def run(self, steps: int) -> Segment:
        self.runs += 1
        if self.runs == 4:
            raise EngineError("Lost atoms: original 65 current 64")
        return super().run(steps)


def test_a_failure_ends_the_episode_and_the_engine_is_made_anew(tmp_path: Path) -> None:
    config = analytic_config(tmp_path)
    made: list[Brittle] = []

    def new() -> Brittle:
        made.append(Brittle(wall_with_a_gap(), np.array([2.0, 6.0, 6.0]), config.dynamics, 100.0))
        return made[-1]

    environment = Environment(config, new)
    environment.reset(1)
    assert environment.step(FORWARD).ending == ""
    assert environment.step(FORWARD).ending == ""
    broken = environment.step(FORWARD)
    assert broken.ending == "failed"
    assert "Lost atoms" in str(broken.failure)
    assert broken.frame is None
    assert broken.terms[REWARD_TERMS.index("time")] == pytest.approx(-0.05 * (60 - 3 + 1))
    assert len(made) == 2
    again = environment.reset(2)  # training goes on, from the start
    assert again.progress == pytest.approx(0.0, abs=0.05)
    assert environment.step(FORWARD).ending == ""


def test_a_start_that_always_fails_is_given_up(tmp_path: Path) -> None:
    config = analytic_config(tmp_path, dynamics={"max_temperature": 1e-6})
    with pytest.raises(EngineError, match="temperature"):
        make(config).reset(1)


def test_the_molecules_own_atoms_do_not_count_as_too_near(tmp_path: Path) -> None:
    """Agent and tagged atom coincide at the start; only foreign atoms may cost."""
    environment = make(analytic_config(tmp_path, rewards={"density": {"radius": 2.5, "weight": 1.0}}))
    environment.reset(1)
    density = REWARD_TERMS.index("density")
    assert environment.step(UP).terms[density] == 0.0  # the wall is 3 Å away
    steps = [environment.step(FORWARD) for _ in range(4)]
    assert steps[-1].terms[density] < 0.0


class Faulty(AnalyticEngine):
    """Returns, from its third run on, what no simulation should."""

    energy, moved = 0.0, 0.0
    runs = 0

    def run(self, steps: int) -> Segment:
        self.runs += 1
        segment = super().run(steps)
        if self.runs < 3:
            return segment
        self._positions[0] += self.moved
        return Segment(segment.energies + self.energy, segment.temperature)


@pytest.mark.parametrize(
    ("energy", "moved", "kind", "words"),
    [
        (25.0, 0.0, "energy_step", r"changed by \+2\d\.\d eV in one action \(dynamics.max_energy_step\)"),
        (-25.0, 0.0, "energy_step", r"changed by -2\d\.\d eV"),
        (np.nan, 0.0, "not_a_number", "energy is nan"),
        (0.0, np.nan, "not_a_number", "positions are not numbers"),
    ],
)
def test_what_no_simulation_should_give_ends_the_episode(
    tmp_path: Path, energy: float, moved: float, kind: str, words: str
) -> None:
    config = analytic_config(tmp_path)

    def new() -> Faulty:
        engine = Faulty(wall_with_a_gap(), np.array([2.0, 6.0, 6.0]), config.dynamics, 100.0)
        engine.energy, engine.moved = energy, moved
        return engine

    environment = Environment(config, new)
    environment.reset(1)
    assert environment.step(UP).ending == ""
    broken = environment.step(UP)
    assert (broken.ending, broken.frame) == ("failed", None)
    assert broken.failure is not None
    assert broken.failure.kind == kind
    assert re.search(words, str(broken.failure))
    assert environment.reset(1).progress == pytest.approx(0.0, abs=0.05)
