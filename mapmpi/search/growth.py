"""How far promises can be trusted: by how much they grew where agents went on as they promised."""

from __future__ import annotations

import numpy as np

MEMORY = 200.0
"""Visits after which what was seen counts 1/e."""
DOUBT = 20.0
"""Å without any growth that are added to those seen, so that little is concluded from little."""


class Growth:
    """The growth of the climb that an episode promises, per Å that its molecule moves along the plan.

    A plan over an uncertain map leads over the lowest of many passes that nobody has seen, so it promises too little
    climb, the more so the more of the way is unknown. A state close to the start would always promise a better path
    than one that has come far, and no episode would be played to its end. With the mean error of a step, learned while
    the search goes on, the two can be compared: Thayer, Dionne & Ruml, *Learning inadmissible heuristics during
    search*, ICAPS 2011. Where the map is right nothing grows, and promises stay as they are.
    """

    def __init__(self) -> None:
        self.grown, self.walked = 0.0, 0.0
        """eV and Å of late, of all agents that follow the plan."""
        self._last: dict[int, tuple[np.ndarray, float] | None] = {}

    @property
    def rate(self) -> float:
        """Growth in eV/Å, 0 where promises rather fall."""
        return max(0.0, self.grown / (self.walked + DOUBT))

    def follows(self, agent: int) -> bool:
        """Tell whether an agent is known to follow the plan."""
        return agent in self._last

    def begin(self, agent: int) -> None:
        """Note that an agent begins an episode by the plan."""
        self._last[agent] = None

    def end(self, agent: int) -> None:
        """Note that an agent does something else."""
        self._last.pop(agent, None)

    def note(self, agent: int, place: np.ndarray, promise: float) -> None:
        """Take up what the episode of an agent that follows the plan promises at a place (3,) Å, in eV."""
        if (last := self._last[agent]) is not None:
            forgotten = np.exp(-1.0 / MEMORY)
            self.grown = self.grown * forgotten + promise - last[1]
            self.walked = self.walked * forgotten + float(np.linalg.norm(place - last[0]))
        self._last[agent] = place, promise
