"""All ranks go on together or leave together: no rank raises alone and lets the others hang."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import TypeVar

from mpi4py import MPI

from mapmpi.errors import UserError

Value = TypeVar("Value")

FAREWELL_S = 0.5
"""Time for the words on a defect to get through mpiexec, which an abort may cut off."""
PATIENCE_S = 30.0
"""How long the first rank waits at the end for the others."""


def on_root(world: MPI.Comm, function: Callable[[], Value]) -> Value:
    """Call a function on rank 0 and return its value, or raise its UserError, on every rank (collective)."""
    answer: tuple[Value | None, UserError | None] = (None, None)
    if world.rank == 0:
        try:
            answer = (function(), None)
        except UserError as error:
            answer = (None, error)
    value, refusal = world.bcast(answer)
    if refusal is not None:
        raise refusal
    return value


def on_all(world: MPI.Comm, function: Callable[[], Value]) -> Value:
    """Call a function on every rank; if any raises UserError, all raise the first of them (collective)."""
    value, mine = None, None
    try:
        value = function()
    except UserError as error:
        mine = error
    errors = world.gather(mine)
    first = next((error for error in errors or [] if error is not None), None)
    first = world.bcast(first)
    if first is not None:
        raise first
    return value  # type: ignore[return-value]


def meet(comm: MPI.Comm) -> None:
    """Wait until all ranks of a communicator are here, without taking a core from those that still work."""
    everybody = comm.Ibarrier()
    while not everybody.Test():
        time.sleep(0.01)


def parse(world: MPI.Comm, parser: argparse.ArgumentParser, argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line on every rank; help and complaints come from rank 0 alone."""
    if world.rank == 0:
        return parser.parse_args(argv)
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        return parser.parse_args(argv)


def leave_together(world: MPI.Comm) -> None:
    """Wait for all ranks, without spinning; ranks that never come end the job once everything is written.

    A rank can hang inside LAMMPS when another of its group has died there; nothing but an abort gets it out.
    """
    everybody = world.Ibarrier()
    started = time.monotonic()
    while not everybody.Test():
        time.sleep(0.01)
        if world.rank == 0 and time.monotonic() - started > PATIENCE_S:
            print("mapmpi: some ranks hang in a dead group; ending the job, all results are written.", flush=True)
            world.Abort(3)


def run(main: Callable[[MPI.Comm], int]) -> int:
    """Run a program on all ranks and return its exit code.

    A UserError, which all ranks share, is printed once and gives 2. Anything else that a rank raises is a
    defect: it is printed with the rank's number and ends the whole job, so that no rank waits for a dead one.
    """
    world = MPI.COMM_WORLD
    try:
        return main(world)
    except UserError as error:
        if world.rank == 0:
            print(f"mapmpi: {error}", file=sys.stderr, flush=True)
        return 2
    except BaseException as error:
        if isinstance(error, SystemExit):
            return int(error.code or 0)
        print(f"mapmpi: rank {world.rank} failed\n{traceback.format_exc()}", file=sys.stderr, flush=True)
        time.sleep(FAREWELL_S)
        world.Abort(1)
        raise
