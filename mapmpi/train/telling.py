"""What an agent tells the learner: states, the transitions that they complete, visits for the planner."""

from __future__ import annotations

import numpy as np

from mapmpi.config import Learning
from mapmpi.env.step import TERMINAL, Step
from mapmpi.parallel.messages import AgentLink, Tag, experience_dtype
from mapmpi.rl.returns import TRANSITION, Ended, NStep


def how_ended(ending: str) -> Ended:
    """Return what an episode's ending means for its returns."""
    if not ending:
        return ""
    return "terminal" if ending in TERMINAL else "truncated"


class Telling:
    """Tells of one agent's states, each under a new number.

    Once it is ``silent`` it tells nothing more of an episode, but at its end how many actions these were.
    """

    def __init__(self, link: AgentLink, shape: tuple[int, ...], learning: Learning) -> None:
        self._link, self._returns = link, NStep(learning.steps, learning.discount)
        self._record = experience_dtype(shape, TRANSITION, learning.steps)
        self._sequence, self._untold, self.silent = 0, 0, False

    def begin(self, step: Step, q: np.ndarray, visit: np.ndarray | None, silent: bool) -> None:
        """Tell an episode's first state, whose values are ``q`` (A,), with a ``visit`` for the planner."""
        self.silent = silent
        self._sequence += 1
        self._returns.start(self._sequence, q)
        self._tell(step, np.empty(0, dtype=TRANSITION), False, visit)

    def go_on(
        self, action: int, advised: int, step: Step, q: np.ndarray, ending: str, visit: np.ndarray | None
    ) -> None:
        """Tell the state that an action led to, and the transitions that it completes.

        These are none where it was not the material that failed. ``advised`` is what the plan would have done.
        """
        self._sequence += 1
        completed = np.empty(0, dtype=TRANSITION)
        if not (self.silent or (step.failure is not None and step.failure.kind == "engine")):
            ended = how_ended(ending)
            completed = self._returns.step(action, step.reward, self._sequence, q, step.forbidden, ended, advised)
        self._tell(step, completed, True, visit)

    def cut(self, step: Step, q: np.ndarray) -> None:
        """Tell the transitions that are still open, for nothing will be told of what follows."""
        self._sequence += 1
        self._tell(step, self._returns.cut(self._sequence, q, step.forbidden), False)

    def end(self) -> None:
        """Tell of how many actions nothing was told."""
        if self._untold:
            self._link.send(Tag.UNTOLD, np.array([self._untold], dtype="i8"))
            self._untold = 0

    def _tell(self, step: Step, transitions: np.ndarray, acted: bool, visit: np.ndarray | None = None) -> None:
        if self.silent:
            self._untold += acted
            return
        record = np.zeros(1, dtype=self._record)
        record["sequence"], record["acted"], record["version"] = self._sequence, acted, self._link.version
        record["transitions"] = len(transitions)
        record["transition"][0, : len(transitions)] = transitions
        record["state"] = np.moveaxis(step.state, 0, -1)
        parts = [record] if visit is None else [record, visit]
        self._link.send(Tag.EXPERIENCE, np.concatenate([part.view(np.uint8) for part in parts]))
