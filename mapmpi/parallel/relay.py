"""How the first rank of a group has the others do what it does, in both phases."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from mpi4py import MPI

from mapmpi.errors import EngineError
from mapmpi.parallel.naps import naps

PAUSE_S, IDLE_S = 2e-4, 0.01
"""How long a rank sleeps before it looks again: at first, and at most where it has nothing to do."""


def command(comm: MPI.Comm, what: int, argument: int = 0) -> None:
    """Tell the other ranks of a group what to do (the first rank)."""
    if comm.size > 1:
        comm.Ibcast(np.array([what, argument], dtype="i8")).Wait()


def obey(comm: MPI.Comm, act: Callable[[int, int], bool]) -> None:
    """Do what the first rank of a group commands, until ``act`` returns False (the others). Raises EngineLost."""
    going_on = True
    while going_on:
        what, argument = (int(value) for value in heard(comm, np.empty(2, dtype="i8")))
        try:
            going_on = act(what, argument)
        except EngineError:
            continue  # the first rank raises it too, and decides


def heard(comm: MPI.Comm, buffer: np.ndarray) -> np.ndarray:
    """Return a buffer with what the first rank of a group tells the others, once it has (the others)."""
    coming = comm.Ibcast(buffer)
    for _ in naps(PAUSE_S, IDLE_S):  # a blocking wait would take a core while the first rank thinks
        if coming.Test():
            break
    return buffer
