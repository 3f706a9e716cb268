"""What an agent can do: displacement vectors, and which of them undo each other."""

from __future__ import annotations

from itertools import product

import numpy as np

from mapmpi.config import Actions, Goal, Vector, unit
from mapmpi.store.records import NO_ACTION


def goal_frame(direction: Vector) -> np.ndarray:
    """Return three orthonormal rows (3, 3): the goal direction and two across it.

    For a goal along an axis the two others are axes too; for the paper's +x the rows are x, y, z.
    """
    forward = unit(direction)
    second = np.eye(3)[(int(np.argmax(np.abs(forward))) + 1) % 3]
    second = unit(tuple(second - (second @ forward) * forward))
    return np.array([forward, second, np.cross(forward, second)])


_SETS = {
    # the paper's five, in the paper's order: forward, +y, +z, -y, -z; never backward
    "forward5": [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, -1, 0), (0, 0, -1)],
    "axes6": [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, -1, 0), (0, 0, -1), (-1, 0, 0)],
    "all26": [v for v in product((1, 0, -1), repeat=3) if any(v)],
}


def action_vectors(actions: Actions, goal: Goal) -> np.ndarray:
    """Return the displacements (actions, 3) in Å, each of length δ.

    Named sets are laid out along the goal direction; a list of vectors is taken as it stands.
    """
    if isinstance(actions.directions, str):
        directions = np.array(_SETS[actions.directions], dtype=float) @ goal_frame(goal.direction)
    else:
        directions = np.array(actions.directions, dtype=float)
    return actions.displacement * directions / np.linalg.norm(directions, axis=1, keepdims=True)


def reversals(vectors: np.ndarray) -> np.ndarray:
    """Return for each action (actions,) the index of the one that undoes it, or NO_ACTION."""
    undone = np.linalg.norm(vectors[:, None] + vectors[None], axis=2) < 1e-6 * np.linalg.norm(vectors[0])
    return np.where(undone.any(axis=1), undone.argmax(axis=1), NO_ACTION)
