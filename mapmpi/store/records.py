"""The records that travel from agents to the learner and lie on disk: one definition for all uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NO_ACTION = -1
"""Stands where no action is meant: an episode's first frame, nothing forbidden."""

REWARD_TERMS = ("position", "energy", "barrier", "density", "distance", "time")
"""The terms of the reward, in the order of every array of terms."""

EPISODE = np.dtype(
    [
        ("agent", "i4"),  # number of the agent, from 1
        ("episode", "i4"),  # number of the agent's episode, from 1
        ("parent_agent", "i4"),  # the agent from whose episode this one goes on; 0: it begins at the start
        ("parent_episode", "i4"),  # that episode
        ("parent_frame", "i4"),  # and its frame, from 0, whose state the first frame of this one shows
        ("policy", "S8"),  # explore; practise (network and plan from the start, when there is nothing left to
        # explore); greedy (the network alone, ε = 0); or straight (to the goal, for comparison)
        ("epsilon", "f8"),  # exploration rate of this episode
        ("first_frame", "i8"),  # row of the trajectory where the episode begins
        ("frames", "i4"),  # its number of frames: one per action, and the first
        ("actions", "i4"),
        ("final_x", "f8"),  # Å, the agent's coordinate along the goal direction at the end
        ("progress", "f8"),  # Å, the tagged atoms' way along the goal direction, from the start
        ("highest_energy", "f8"),  # eV, highest energy of the whole path above the start's
        ("climb", "f8"),  # eV, largest rise of the energy from any earlier point of the whole path
        ("total_reward", "f8"),
        *[(term, "f8") for term in REWARD_TERMS],  # weighted sums over the episode
        ("outcome", "S16"),  # goal, step_limit, tether, failed, stopped, left
        ("failure", "S16"),  # of a failed one: what was wrong with the simulation (errors.FAILURES)
        ("wall_time", "f8"),  # s
        ("ended", "f8"),  # s since the training began
    ]
)
"""A finished episode: a row of ``/mapmpi/episodes``, of metrics.csv, and of a message to the learner.

The whole path of an episode leads from the start over its ancestors' frames to its own (:mod:`mapmpi.store.ancestry`).
"""

EPISODE_UNITS = {
    "final_x": "Angstrom",
    "progress": "Angstrom",
    "highest_energy": "eV",
    "climb": "eV",
    "wall_time": "s",
    "ended": "s",
}


@dataclass(frozen=True)
class Frame:
    """The state after an action, or at the start of an episode; n atoms."""

    step: int
    """MD steps: since the episode began from an environment, since the trajectory began in a file."""
    positions: np.ndarray
    """(n, 3) Å, unwrapped."""
    potential_energy: float
    """eV, without the tether's."""
    temperature: float
    """K."""
    agent_position: np.ndarray
    """(3,) Å, the tether's far end."""
    tagged_position: np.ndarray
    """(3,) Å, center of mass of the tagged atoms, unwrapped."""
    action: int
    """Index of the action that led here; NO_ACTION in an episode's first frame."""
    reward_terms: np.ndarray
    """(6,) weighted terms of this action's reward, in the order of REWARD_TERMS."""
