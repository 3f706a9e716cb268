"""Exploration: ε-greedy, with an ε of its own for every agent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mapmpi import config
from mapmpi.store.records import NO_ACTION


def epsilons(exploration: config.Exploration, agents: int) -> np.ndarray:
    """Return the exploration rate of each agent, shape (agents,), the largest first.

    apex: ε_i = ε_max^(1 + α·i/(N-1)), i = 0 … N-1 (Horgan et al. 2018, Distributed prioritized experience replay).
    linear: evenly spaced, ε_i = ε_max·(N-i)/N, so that none is zero. One agent alone has ε_max.
    """
    rank = np.arange(agents)
    if exploration.schedule == "linear":
        return exploration.epsilon_max * (agents - rank) / agents
    return exploration.epsilon_max ** (1.0 + exploration.alpha * rank / max(agents - 1, 1))


def masked_argmax(q: np.ndarray, forbidden: int = NO_ACTION) -> int:
    """Return the index of the largest of ``q`` (A,) that is not ``forbidden``; the first of equals."""
    allowed = _allowed(len(q), forbidden)
    return int(allowed[q[allowed].argmax()])


def choose(
    q: np.ndarray,
    epsilon: float,
    forbidden: int,
    rng: np.random.Generator,
    planned: Callable[[], int | None] = lambda: None,
) -> int:
    """Return an action.

    With probability ``epsilon`` it is the ``planned`` one, whatever it is, or where there is no plan one drawn evenly
    from all that are not ``forbidden`` (NO_ACTION: none is), else the best of ``q`` (A,) of these. Raises ValueError
    if no action is left.
    """
    if rng.random() >= epsilon:
        return masked_argmax(q, forbidden)
    action = planned()
    return int(rng.choice(_allowed(len(q), forbidden))) if action is None else action


def _allowed(actions: int, forbidden: int) -> np.ndarray:
    return np.flatnonzero(np.arange(actions) != forbidden)
