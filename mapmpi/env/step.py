"""The answer of an environment to an action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mapmpi.climb import Heights
from mapmpi.errors import EngineError
from mapmpi.store.records import Frame

Ending = Literal["", "goal", "step_limit", "tether", "failed"]
"""Why an episode ended; empty while it goes on."""

TERMINAL = ("goal", "tether", "failed")
"""Endings after which nothing follows; at the step limit the future is only not seen."""


@dataclass
class Step:
    """The answer to an action: state uint8 (channels, points, points, points), weighted reward terms (6,)."""

    state: np.ndarray
    terms: np.ndarray
    ending: Ending
    frame: Frame | None
    """The configuration, for the trajectory; None when the simulation failed."""
    forbidden: int
    """The action that would undo this one (NO_ACTION: none)."""
    coordinate: float
    """The agent's coordinate along the goal direction in Å."""
    progress: float
    """The tagged atoms' way from their start along the goal direction in Å."""
    heights: Heights
    """Of the whole path so far."""
    agent: np.ndarray
    """(3,) the tether's far end in Å."""
    place: np.ndarray
    """(3,) the tagged atoms' center of mass in Å, unwrapped."""
    rise: float
    """Present energy above that of the start, in eV."""
    failure: EngineError | None = None
    """What broke the simulation."""

    @property
    def reward(self) -> float:
        """The sum of the terms."""
        return float(self.terms.sum())
