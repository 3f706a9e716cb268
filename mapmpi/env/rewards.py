"""The reward of one action: six terms, each weighted, each logged on its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapmpi.config import Rewards
from mapmpi.store.records import REWARD_TERMS


@dataclass(frozen=True)
class Outcome:
    """What an action led to, as far as the reward asks; Å and eV."""

    coordinate_before: float
    """The agent's coordinate along the goal direction before the action, from the start of the tagged atoms."""
    coordinate: float
    """The same after it."""
    energy: float
    """Present energy."""
    reference_energy: float
    """Mean energy over the last MD steps before the action."""
    highest_energy: float
    """Highest energy on the whole path before the action."""
    distances: np.ndarray
    """(m,) from the agent to the atoms near it that are not of the molecule."""
    tether_length: float
    """From the agent to the tagged atoms."""


def reward_terms(rewards: Rewards, outcome: Outcome) -> np.ndarray:
    """Return the weighted terms (6,) in the order of REWARD_TERMS; their sum is the reward.

    position, energy, density, distance and time are the paper's (section Reward); barrier punishes each new
    height on the way, because the highest point of a path decides its time.
    """
    coordinate = outcome.coordinate
    if rewards.position.measure == "progress":
        coordinate -= outcome.coordinate_before
    gain = outcome.reference_energy - outcome.energy
    near = outcome.distances[outcome.distances < rewards.density.radius]
    raw = {
        "position": coordinate,
        "energy": np.clip(gain, -rewards.energy.clip, rewards.energy.clip),
        "barrier": -max(0.0, outcome.energy - outcome.highest_energy),
        "density": -float((1.0 - near / rewards.density.radius).sum()),
        "distance": -max(0.0, outcome.tether_length - rewards.distance.threshold),
        "time": -1.0,
    }
    return np.array([_weight(rewards, term) * raw[term] for term in REWARD_TERMS])


def failure_terms(rewards: Rewards, actions_left: int) -> np.ndarray:
    """Return the terms (6,) of an action that broke the simulation: the time of all actions left.

    So it never pays to escape the time penalty into a failure.
    """
    terms = np.zeros(len(REWARD_TERMS))
    terms[REWARD_TERMS.index("time")] = -_weight(rewards, "time") * (actions_left + 1)
    return terms


def _weight(rewards: Rewards, term: str) -> float:
    reward = getattr(rewards, term)
    return reward.weight if reward.enabled else 0.0
