"""The environment with Gymnasium's interface, for learners other than ours.

``gymnasium.make("mapmpi.env.ids:mapmpi/CopperAdatom-v0")`` and the other ids of :mod:`mapmpi.env.ids` lead here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from mapmpi.config import Config, load
from mapmpi.env import ids
from mapmpi.env.environment import Environment
from mapmpi.env.step import TERMINAL
from mapmpi.store.records import REWARD_TERMS


class PathfinderEnv(gymnasium.Env[np.ndarray, np.int64]):
    """Observation: the density grid, uint8 (channels, points, points, points). Action: index of a displacement.

    ``info`` has the reward's terms, the progress in Å, the highest energy above the start in eV, and the
    action that would undo the last one (-1: none), which a learner may mask.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  (Gymnasium's own form)

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.observation_space = gymnasium.spaces.Box(0, 255, environment.grid.shape, np.uint8)
        self.action_space = gymnasium.spaces.Discrete(len(environment.vectors))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode; equal seeds give equal velocities."""
        super().reset(seed=seed, options=options)
        step = self.environment.reset(int(self.np_random.integers(1 << 31)))
        return step.state, {"forbidden": step.forbidden}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take an action; terminated at the goal or by a failure, truncated at the step limit."""
        step = self.environment.step(int(action))
        info = {
            "terms": dict(zip(REWARD_TERMS, step.terms.tolist(), strict=True)),
            "ending": step.ending,
            "progress": step.progress,
            "highest_energy": step.heights.rise,
            "forbidden": step.forbidden,
            "failure": str(step.failure or ""),
        }
        return step.state, step.reward, step.ending in TERMINAL, step.ending == "step_limit", info

    def close(self) -> None:
        """Close the engine."""
        self.environment.close()


def make(
    what: str | Path | Mapping[str, Any] | Config,
    settings: Sequence[str] | None = None,
    allow_commands: bool = False,
) -> gymnasium.Env[np.ndarray, np.int64]:
    """Return an environment by its registered id, or of an input: a file, a dictionary like one, or a configuration.

    ``settings`` (``key=value``, before the input) and ``allow_commands`` are those of :func:`mapmpi.load`. Raises
    UserError for what is wrong with the input, gymnasium.error.Error for an id that is not registered.
    """
    if isinstance(what, str) and what.startswith(f"{ids.NAMESPACE}/"):
        return gymnasium.make(what, settings=settings)
    config = what if isinstance(what, Config) else load(what, settings, allow_commands=allow_commands)
    return PathfinderEnv(Environment(config))


def make_registered(file: str, settings: Sequence[str] | None = None) -> PathfinderEnv:
    """Return the environment of an input that comes with mapmpi; Gymnasium calls this for an id."""
    return PathfinderEnv(Environment(load(ids.INPUTS / file, settings)))
