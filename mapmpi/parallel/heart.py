"""The learner's heart: it beats in a thread of its own.

So an agent can tell a learner that is dead from one that is busy, with a checkpoint on a slow file system for example.
"""

from __future__ import annotations

import threading

import numpy as np
from mpi4py import MPI

BEAT_S, BEATS_PER_S = 4.0, 16.0
"""Least time between two beats of the learner's heart, and most beats a second to all agents together: MPICH has 64
places for what lies in a node's shared memory until its receiver looks, who may be at an action of seconds."""
BEATS_MISSED = 5
"""A learner of whom nothing has been heard for the time of so many beats is dead."""


def beat_s(agents: int) -> float:
    """Return the seconds between two beats of the heart of a learner with so many agents."""
    return max(BEAT_S, agents / BEATS_PER_S)


class Heart(threading.Thread):
    """Sends an empty message with a tag to every agent from time to time, whatever the learner is at.

    All beats are one call of MPI: between two calls this thread may wait long for its turn in a learner that computes.
    """

    def __init__(self, world: MPI.Intracomm, leaders: list[int], tag: int) -> None:
        super().__init__(name="heart", daemon=True)
        self._world, self._leaders, self._tag = world, leaders, tag
        self._beats: list[MPI.Prequest] = []
        self._ended = threading.Event()

    def run(self) -> None:
        """Beat until :meth:`end`."""
        nothing = np.zeros(0, dtype=np.uint8)
        self._beats = [self._world.Send_init(nothing, dest=leader, tag=self._tag) for leader in self._leaders]
        due = self._beats
        while not self._ended.is_set():
            MPI.Prequest.Startall(due)
            self._ended.wait(beat_s(len(self._leaders)))
            left = MPI.Request.Testsome(self._beats) or []  # who does not take them in is not sent more
            due = [self._beats[place] for place in left]

    def end(self) -> None:
        """Stop beating."""
        self._ended.set()
        self.join()

    def flushed(self) -> bool:
        """Return whether every beat has been taken in, after :meth:`end`; nothing of them is left then."""
        if not MPI.Request.Testall(self._beats):
            return False
        for beat in self._beats:
            beat.Free()
        self._beats = []
        return True
