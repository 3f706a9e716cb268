"""Pure pursuit: follow a way with the actions there are (Coulter, CMU-RI-TR-92-01, 1992)."""

from __future__ import annotations

import numpy as np

AHEAD = 0.6
"""Å ahead of the molecule at which an agent aims."""
STALLED, STALLED_SHARE, HURRY = 0.1, 0.25, 0.3
"""Å: a molecule that moved less along its way in an action, or less than a share of the action's length, has the aim
run ahead by so much more."""


class Pursuit:
    """Follows a way (k, 3) Å with displacements ``vectors`` (actions, 3) Å."""

    def __init__(self, way: np.ndarray, vectors: np.ndarray) -> None:
        self._way, self._vectors = way, vectors
        pieces = np.linalg.norm(np.diff(way, axis=0), axis=1)
        self._along = np.concatenate([[0.0], np.cumsum(pieces)])
        last = way[-1] - way[-2] if len(way) > 1 else np.zeros(3)
        self._onward = last / max(float(np.linalg.norm(last)), 1e-9)
        self._reached, self._ahead = 0.0, AHEAD
        self._least = min(STALLED, STALLED_SHARE * float(np.linalg.norm(vectors, axis=1).max()))

    def choose(self, place: np.ndarray, agent: np.ndarray) -> int:
        """Return the action that brings ``agent`` (3,) nearest to the aim, the molecule being at ``place`` (3,) Å."""
        reached = max(self._reached, self._nearest(place))
        self._ahead = AHEAD if reached - self._reached > self._least else self._ahead + HURRY
        self._reached = reached
        apart = np.linalg.norm(agent + self._vectors - self._at(np.array([reached + self._ahead])), axis=1)
        return int(apart.argmin())

    def off(self, place: np.ndarray) -> float:
        """Return how far off the way a place (3,) is, in Å."""
        return float(np.linalg.norm(self._at(np.array([self._nearest(place)]))[0] - place))

    def _nearest(self, place: np.ndarray) -> float:
        """Return how far along the way its point nearest to a place is, not far behind or ahead of the last one."""
        samples = self._reached + np.arange(-0.5, 2.01, 0.1)
        return float(samples[np.linalg.norm(self._at(samples) - place, axis=1).argmin()])

    def _at(self, along: np.ndarray) -> np.ndarray:
        """Return the points (m, 3) so many Å along the way; past its end it goes on straight."""
        points = np.stack([np.interp(along, self._along, column) for column in self._way.T], axis=-1)
        return points + np.maximum(along - self._along[-1], 0.0)[..., None] * self._onward
