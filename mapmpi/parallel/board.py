"""The newest weights on a node, in memory that its ranks share: one agent fetches them, the others read.

So the learner sends a copy to each node instead of one to each agent, and nobody waits: who reads while another one
writes, or where two wrote at once, finds a wrong checksum, and looks again after its next action.
"""

from __future__ import annotations

import zlib

import numpy as np
from mpi4py import MPI

from mapmpi.parallel.agreement import meet

_HEAD = np.dtype([("asked", "i8"), ("version", "i8"), ("checksum", "u4"), ("size", "u4")])


class Board:
    """The board of the ranks of ``node``, all of which make it together, with room for ``size`` bytes."""

    def __init__(self, node: MPI.Intracomm, size: int) -> None:
        window = MPI.Win.Allocate_shared((_HEAD.itemsize + size) * (node.rank == 0), 1, comm=node)
        memory = np.asarray(window.Shared_query(0)[0], dtype=np.uint8)
        self._window, self._data = window, memory[_HEAD.itemsize :]
        self._head = memory[: _HEAD.itemsize].view(_HEAD)[0]
        if node.rank == 0:
            memory[:] = 0
        meet(node)
        self._seen = 0

    def fetches(self) -> bool:
        """Return whether who wants newer weights is to ask the learner, because nobody has since it last wanted them.

        So of many agents that want them every so often, one asks each time; if it dies, another one does.
        """
        own = int(self._head["asked"]) == self._seen
        if own:
            self._head["asked"] += 1  # two that do so at once both ask: no harm
        self._seen = int(self._head["asked"])
        return own

    def post(self, version: int, packed: np.ndarray) -> None:
        """Write packed weights for the others to read."""
        data = packed.view(np.uint8)
        self._data[: len(data)] = data
        self._head["version"], self._head["size"] = version, len(data)
        self._head["checksum"] = zlib.crc32(data.tobytes())

    def look(self, has: int) -> np.ndarray | None:
        """Return the packed weights (float32) if they are newer than version ``has`` and whole."""
        if int(self._head["version"]) <= has or not self._head["size"]:
            return None
        checksum, data = int(self._head["checksum"]), self._data[: int(self._head["size"])].copy()
        return data.view(np.float32) if zlib.crc32(data.tobytes()) == checksum else None

    def close(self) -> None:
        """Give the memory back (collective over the node)."""
        self._window.Free()
