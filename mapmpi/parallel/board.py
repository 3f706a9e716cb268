"""The newest weights on a node, in memory that its ranks share: one agent fetches them, the others read.

So the learner sends a copy to each node instead of one to each agent, and nobody waits: who reads while another one
writes, or where two wrote at once, finds a wrong checksum, and looks again after its next action.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import zlib
from pathlib import Path

import numpy as np
from mpi4py import MPI

from mapmpi.logs import log
from mapmpi.parallel.agreement import share, wait_for

_HEAD = np.dtype([("asked", "i8"), ("version", "i8"), ("checksum", "u4"), ("size", "u4")])


SHARED = Path("/dev/shm")
"""Where Linux keeps shared memory; without it, a file in the folder for temporary ones."""


def make_board(node: MPI.Intracomm, size: int) -> Board | None:
    """Return a board of the ranks of ``node`` with room for ``size`` bytes (collective).

    None where they cannot share memory: no room there, or each rank in a container of its own.
    """
    name = share(node, _file(_HEAD.itemsize + size) if node.rank == 0 else "")
    memory = _mapped(name)
    together = np.array([memory is not None], dtype="i8")
    wait_for(node.Iallreduce(MPI.IN_PLACE, together, op=MPI.MIN))
    if node.rank == 0 and name:
        os.unlink(name)  # the memory stays as long as a rank has it
    return Board(memory) if memory is not None and together[0] else None


def _file(size: int) -> str:
    """Return a new file of zeros; empty where there is no room for it."""
    folder = SHARED if SHARED.is_dir() else None
    try:
        with tempfile.NamedTemporaryFile(prefix="mapmpi-", dir=folder, delete=False) as handle:
            try:
                handle.write(bytes(size))
                handle.flush()
            except OSError:
                os.unlink(handle.name)
                raise
    except OSError as error:
        log.warning("no shared memory for weights (%s); each agent fetches its own", error.strerror or error)
        return ""
    return handle.name


def _mapped(name: str) -> mmap.mmap | None:
    """Return a file's memory; None where this rank does not see it."""
    try:
        with open(name, "r+b") as handle:
            return mmap.mmap(handle.fileno(), 0)
    except OSError:
        return None


class Board:
    """A board in ``memory`` that several ranks share, zero at the beginning."""

    def __init__(self, memory: mmap.mmap) -> None:
        whole = np.frombuffer(memory, dtype=np.uint8)
        self._head, self._data = whole[: _HEAD.itemsize].view(_HEAD)[0], whole[_HEAD.itemsize :]
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
        """Return the bytes of packed weights, as float32, if they are newer than version ``has`` and whole."""
        if int(self._head["version"]) <= has or not self._head["size"]:
            return None
        checksum, data = int(self._head["checksum"]), self._data[: int(self._head["size"])].copy()
        return data.view(np.float32) if zlib.crc32(data.tobytes()) == checksum else None
