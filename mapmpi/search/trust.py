"""How far the plan's promises can be trusted: what was left of them where agents went on as they promised."""

from __future__ import annotations

import numpy as np

MEMORY = 200.0
"""Visits after which what was seen counts 1/e."""
DOUBT = 20.0
"""Å without any loss that are added to those seen, so that little is concluded from little."""


class Trust:
    """The part of what an episode promises to win that is lost, per Å that its molecule moves along the plan.

    A plan over an uncertain map leads over the lowest of many passes that nobody has seen, so it promises too much,
    the more so the more of the way is unknown. A state close to the start would always promise a better path than one
    that has come far, and no episode would be played to its end. With the mean error of a step, learned while the
    search goes on, the two can be compared: Thayer, Dionne & Ruml, *Learning inadmissible heuristics during search*,
    ICAPS 2011. It is a part, as a wall on the way costs all that a path would win, wherever on the way it stands.
    Where the map is right nothing is lost, and promises stay as they are. From the limit on nothing can be won, so
    what a promise gains on its way back from there does not count.
    """

    def __init__(self) -> None:
        self.lost, self.walked = 0.0, 0.0
        """Parts and Å of late, of all agents that follow a plan; promises are those of the common one."""
        self._last: dict[int, tuple[np.ndarray, float] | None] = {}

    @property
    def rate(self) -> float:
        """The part that is lost per Å, 0 where more is won than was promised."""
        return max(0.0, self.lost / (self.walked + DOUBT))

    def left(self, lengths: np.ndarray) -> np.ndarray:
        """Return the part of a promise that is to be expected at the end of ways so long, (m,) Å.

        Some ways have walls and others have none, so what is lost per Å differs from way to way. If it is distributed
        exponentially, with its mean as seen, the mean of exp(-rate L) is 1 / (1 + rate L): a long way is not as
        hopeless as many short ones.
        """
        return 1.0 / (1.0 + self.rate * lengths)

    def follows(self, agent: int) -> bool:
        """Tell whether an agent is known to follow the plan."""
        return agent in self._last

    def begin(self, agent: int) -> None:
        """Note that an agent begins an episode by the plan."""
        self._last[agent] = None

    def first(self, agent: int) -> None:
        """Note that an agent is in another episode, which follows the plan only if it has just begun to."""
        if self._last.get(agent) is not None:
            self.end(agent)

    def end(self, agent: int) -> None:
        """Note that an agent does something else."""
        self._last.pop(agent, None)

    def note(self, agent: int, place: np.ndarray, promised: float, limit: float) -> None:
        """Take up the climb that the path of an agent that follows the plan promises at a place (3,) Å, in eV.

        A climb of ``limit`` eV wins nothing.
        """
        if (last := self._last[agent]) is not None and (hoped := limit - last[1]) > 0.0:
            forgotten = np.exp(-1.0 / MEMORY)
            self.lost = self.lost * forgotten + float(np.clip((promised - last[1]) / hoped, -1.0, 1.0))
            self.walked = self.walked * forgotten + float(np.linalg.norm(place - last[0]))
        self._last[agent] = place, promised
