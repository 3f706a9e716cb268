"""n-step returns: an agent's steps become transitions (Sutton 1988; Hessel et al. 2018, Rainbow)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mapmpi.rl.exploration import masked_argmax
from mapmpi.store.records import NO_ACTION

NO_STATE = -1
"""In place of the sequence number of a next state: the episode ended for good, nothing follows."""

TRANSITION = np.dtype(
    [
        ("sequence", "i8"),  # the agent's number of the state s
        ("next_sequence", "i8"),  # of the state s' that the return is continued from, or NO_STATE
        ("action", "i2"),
        ("next_forbidden", "i2"),  # action that is not allowed in s', or NO_ACTION
        ("ret", "f4"),  # Σ γ^j r_j over the k <= n steps from s to s'
        ("discount", "f4"),  # γ^k, or 0 if the episode ended for good
        ("td_error", "f4"),  # |ret + discount·max Q(s', ·) - Q(s, action)| as the agent's weights have it
        ("advised", "i2"),  # the plan's action in s, which is to be learned, or NO_ACTION
    ]
)
"""A transition as it travels from an agent to the learner."""

Ended = Literal["", "terminal", "truncated"]
"""Whether an episode goes on, has ended for good (goal, failure), or was merely cut off (step limit)."""


@dataclass
class _Open:
    """A state whose return still grows."""

    sequence: int
    action: int
    advised: int
    q: float
    ret: float = 0.0
    discount: float = 1.0


class NStep:
    """Collects the rewards of one agent's episode into n-step returns with discount γ per action.

    An agent calls ``start`` with an episode's first state and ``step`` after every action. It numbers its states
    by a sequence that grows over all episodes.
    """

    def __init__(self, n: int, gamma: float) -> None:
        self.n = n
        self.gamma = gamma
        self._open: deque[_Open] = deque()
        self._state: tuple[int, np.ndarray] | None = None

    def start(self, sequence: int, q: np.ndarray) -> None:
        """Begin an episode at the state numbered ``sequence`` with values ``q`` (A,); drop what was unfinished."""
        self._open.clear()
        self._state = (sequence, q)

    def step(
        self,
        action: int,
        reward: float,
        next_sequence: int,
        next_q: np.ndarray,
        next_forbidden: int = NO_ACTION,
        ended: Ended = "",
        advised: int = NO_ACTION,
    ) -> np.ndarray:
        """Return the transitions that this step completes, TRANSITION records, the oldest first.

        ``next_q`` (A,) are the values of the state that the action led to; ``advised`` is the plan's action in its
        place. At the end of an episode all open
        returns are completed: after "truncated" they continue from the final state, which the learner therefore
        needs; after "terminal" nothing follows, and the three next_ arguments have no effect.
        Raises RuntimeError outside an episode.
        """
        if self._state is None:
            raise RuntimeError("NStep.step needs an episode; call start first")
        sequence, q = self._state
        self._open.append(_Open(sequence, action, advised, float(q[action])))
        for item in self._open:
            item.ret += item.discount * reward
            item.discount *= self.gamma
        self._state = None if ended else (next_sequence, next_q)
        complete = len(self._open) if ended else int(len(self._open) == self.n)  # the oldest is n steps old then
        finished = [self._open.popleft() for _ in range(complete)]
        return _records(finished, next_sequence, next_q, next_forbidden, ended)

    def cut(self, next_sequence: int, next_q: np.ndarray, next_forbidden: int = NO_ACTION) -> np.ndarray:
        """End an episode where it is; return the transitions that are still open, as of an episode cut off.

        They continue from the present state, whose number and values these are.
        """
        finished, self._state = list(self._open), None
        self._open.clear()
        return _records(finished, next_sequence, next_q, next_forbidden, "truncated")


def _records(
    finished: list[_Open], next_sequence: int, next_q: np.ndarray, next_forbidden: int, ended: Ended
) -> np.ndarray:
    """Return the transitions of finished returns, which continue from the next state unless that was the end."""
    if ended == "terminal":
        next_sequence, next_forbidden, best = NO_STATE, NO_ACTION, 0.0
    else:
        best = float(next_q[masked_argmax(next_q, next_forbidden)])
    records = []
    for x in finished:
        discount = 0.0 if ended == "terminal" else x.discount
        td_error = abs(x.ret + discount * best - x.q)
        records.append((x.sequence, next_sequence, x.action, next_forbidden, x.ret, discount, td_error, x.advised))
    return np.array(records, TRANSITION)
