"""A whole input, and what ``mode: paper`` changes in it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mapmpi.config.environment import Actions, Episode, Goal, Rewards, StateGrid, Tether
from mapmpi.config.material import Dynamics, ForceField, Structure
from mapmpi.config.refinement import Pneb
from mapmpi.config.section import Section
from mapmpi.config.training import Exploration, Learning, NetworkSettings, ReplaySettings, Train


class Config(Section):
    """A whole input."""

    mode: Literal["default", "paper"] = Field("default", description="paper: vanilla DQN and its rewards")
    seed: int = Field(1, ge=0, le=2**32 - 1, description="of all random numbers")
    deterministic: bool = Field(
        False,
        description="equal seeds repeat a whole training, to the last bit, with one agent on one rank: learner and "
        "agent wait for each other, and a stopped training goes on from its last whole episode",
    )
    structure: Structure
    forcefield: ForceField = ForceField()
    dynamics: Dynamics = Dynamics()
    tether: Tether = Tether()
    actions: Actions = Actions()
    goal: Goal
    state: StateGrid = StateGrid()
    rewards: Rewards = Rewards()
    episode: Episode = Episode()
    network: NetworkSettings = NetworkSettings()
    learning: Learning = Learning()
    replay: ReplaySettings = ReplaySettings()
    exploration: Exploration = Exploration()
    train: Train = Train()
    pneb: Pneb = Pneb()


PAPER: dict[str, Any] = {
    "dynamics": {"relaxation": "md"},
    "actions": {"directions": "forward5", "forbid_reversal": False},
    "state": {"channels": "merged"},
    "rewards": {
        "position": {"measure": "coordinate"},
        "energy": {"average_steps": 1},
        "barrier": {"enabled": False},
    },
    "network": {"dueling": False},
    "learning": {"steps": 1, "double": False, "imitation": 0.0},
    "exploration": {"kind": "random", "epsilon_max": 0.4, "schedule": "apex"},
}
"""What ``mode: paper`` changes: the paper's rewards, action set and vanilla DQN (target network, prioritized
replay). What the input itself says goes before it."""
