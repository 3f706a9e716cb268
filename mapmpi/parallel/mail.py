"""Messages that leave and come while their ranks compute, in both phases.

MPICH spins in blocking calls, so nobody blocks: waiting is looking, with short sleeps in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from mpi4py import MPI


@dataclass(frozen=True)
class Message:
    """A message that has come: its tag, the world rank it came from, its bytes."""

    tag: IntEnum
    source: int
    data: np.ndarray


class Mailbox:
    """The messages of this rank, each with one of ``tags``."""

    def __init__(self, world: MPI.Intracomm, tags: type[IntEnum]) -> None:
        self._world, self._tags = world, tags
        self._leaving: list[tuple[MPI.Request, np.ndarray]] = []  # buffers stay as they are until they have left
        self._coming: list[tuple[MPI.Request, Message]] = []

    def post(self, buffer: np.ndarray, destination: int, tag: IntEnum) -> None:
        """Send a buffer that nobody changes any more; return at once."""
        self.sweep()
        data = buffer.view(np.uint8) if buffer.dtype.names else buffer
        self._leaving.append((self._world.Isend(data, dest=destination, tag=tag), data))

    def sweep(self) -> bool:
        """Let go of what has left; return whether all has."""
        self._leaving = [(request, data) for request, data in self._leaving if not request.Test()]
        return not self._leaving

    def take(self, wait: bool = False) -> Message | None:
        """Return the next message that is there as a whole; None when there is none.

        A large one may need its sender for its way, who may be at a force call: nobody waits for it, and only what the
        same rank has sent after it comes later. Where senders are always about, one that begins to come is waited for.
        """
        while True:
            late: set[int] = set()
            for place, (request, message) in enumerate(self._coming):
                if message.source not in late and request.Test():
                    del self._coming[place]
                    return message
                late.add(message.source)
            status = MPI.Status()
            waiting = self._world.Improbe(status=status)
            if waiting is None:
                return None
            data = np.empty(status.Get_count(MPI.BYTE), dtype=np.uint8)
            request = waiting.Irecv(data)
            if wait:
                request.Wait()
            self._coming.append((request, Message(self._tags(status.Get_tag()), status.Get_source(), data)))

    def quiet(self) -> bool:
        """Return whether all has left, and all that began to come has been taken.

        A message that nobody has received when MPI is closed may bring MPICH down.
        """
        return self.sweep() and not self._coming
