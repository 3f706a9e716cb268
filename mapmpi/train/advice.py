"""What agents ask the planner, and what it answers: one layout for both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mapmpi.env.station import station_dtype

Kind = Literal["begin", "go_on", "way"]
"""What is asked for: a state to go on from; whether and how to go on; or a way, come what may."""

KINDS: tuple[Kind, ...] = ("begin", "go_on", "way")

QUESTION = np.dtype([("kind", "i4"), ("place", "f8", (3,)), ("heights", "f8", (4,)), ("spent", "i8", (2,))])
"""A question: place (3,) Å of the molecule, the heights of its path so far in eV; with ``begin``, the actions that the
agent has spent on searching and on practice."""


def visit_dtype(atoms: int) -> np.dtype:
    """Return the record of a visit, which follows the experience in its message: a state, as a frame of an episode."""
    fields = [("episode", "i4"), ("frame", "i4"), ("place", "f8", (3,)), ("station", station_dtype(atoms))]
    return np.dtype(fields)


_HEAD = np.dtype([("go", "i4"), ("origin", "i4", (3,)), ("limit", "f8"), ("points", "i4"), ("stations", "i4")])


@dataclass(frozen=True)
class Answer:
    """The planner's answer.

    ``go`` is false where an agent had better begin elsewhere, and in answer to ``begin`` where it had better practise.
    ``way`` (k, 3) Å is None where there is none, and its ``limit`` is in eV. The station and its origin (agent,
    episode, frame) answer ``begin``.
    """

    go: bool = True
    way: np.ndarray | None = None
    limit: float = np.inf
    origin: tuple[int, int, int] = (0, 0, 0)
    station: np.ndarray | None = None
    """A record of ``station_dtype``."""

    def pack(self) -> np.ndarray:
        """Return it as bytes."""
        head = np.zeros(1, dtype=_HEAD)
        way = np.empty((0, 3)) if self.way is None else np.ascontiguousarray(self.way, dtype=float)
        parts = [way.view(np.uint8).ravel()]
        if self.station is not None:
            parts.append(np.atleast_1d(self.station).view(np.uint8))
        head["go"], head["origin"], head["limit"] = self.go, self.origin, self.limit
        head["points"], head["stations"] = len(way), len(parts) - 1
        return np.concatenate([head.view(np.uint8), *parts])

    @classmethod
    def unpack(cls, data: np.ndarray, atoms: int) -> Answer:
        """Return the answer that bytes hold, of a training with so many atoms."""
        head = data[: _HEAD.itemsize].view(_HEAD)[0]
        if not head["go"]:
            return cls(go=False)
        behind = _HEAD.itemsize + 24 * int(head["points"])
        way = data[_HEAD.itemsize : behind].copy().view(float).reshape(-1, 3) if head["points"] else None
        station = data[behind:].copy().view(station_dtype(atoms))[0] if head["stations"] else None
        agent, episode, frame = (int(value) for value in head["origin"])
        return cls(True, way, float(head["limit"]), (agent, episode, frame), station)
