"""All ranks go on together or leave together: no rank raises alone and lets the others hang."""

from __future__ import annotations

import argparse
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import NoReturn, TypeVar

import numpy as np
from mpi4py import MPI

from mapmpi import logs
from mapmpi.errors import FAILED, HANGING, REFUSED, UserError, told
from mapmpi.logs import log
from mapmpi.parallel.naps import naps

Value = TypeVar("Value")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""Signals by which a batch system, or a user, ends a run in order."""
_asked_to_stop: list[int] = []
FAREWELL_S = 2.0
"""Time for the last words to get through mpiexec, which an abort cuts off; half a second was too short under load."""
PATIENCE_S = 30.0
"""How long the first rank waits at the end for the others."""


def wait_for(request: MPI.Request) -> None:
    """Wait until a request is done, without taking a core from those that still work."""
    for _ in naps():
        if request.Test():
            return


def share(world: MPI.Intracomm, value: Value, root: int = 0) -> Value:
    """Return what ``root`` gave, which must be fit to be pickled, on every rank (collective)."""
    data = np.frombuffer(pickle.dumps(value), dtype=np.uint8) if world.rank == root else np.empty(0, np.uint8)
    size = np.array([len(data)], dtype="i8")
    wait_for(world.Ibcast(size, root=root))
    if world.rank != root:
        data = np.empty(int(size[0]), dtype=np.uint8)
    wait_for(world.Ibcast(data, root=root))
    return value if world.rank == root else pickle.loads(data.tobytes())


def on_root(world: MPI.Intracomm, function: Callable[[], Value]) -> Value:
    """Call a function on rank 0 and return its value, or raise its UserError, on every rank (collective)."""
    answer: tuple[Value | None, UserError | None] = (None, None)
    if world.rank == 0:
        try:
            answer = (function(), None)
        except UserError as error:
            answer = (None, error)
    value, refusal = share(world, answer)
    if refusal is not None:
        raise refusal
    return value  # type: ignore[return-value]


def on_all(world: MPI.Intracomm, function: Callable[[], Value]) -> Value:
    """Call a function on every rank; if any raises UserError, all raise the first of them (collective)."""
    value, mine = None, None
    try:
        value = function()
    except UserError as error:
        mine = error
    first = np.array([world.size if mine is None else world.rank], dtype="i8")
    wait_for(world.Iallreduce(MPI.IN_PLACE, first, op=MPI.MIN))
    if first[0] < world.size:
        refusal = share(world, mine, root=int(first[0]))
        assert refusal is not None
        raise refusal
    return value  # type: ignore[return-value]


def meet(comm: MPI.Comm) -> None:
    """Wait until all ranks of a communicator are here, without taking a core from those that still work."""
    wait_for(comm.Ibarrier())


def parse(world: MPI.Intracomm, parser: argparse.ArgumentParser, argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line on every rank; help and complaints come from rank 0 alone."""
    if world.rank == 0:
        return parser.parse_args(argv)
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        return parser.parse_args(argv)


def heed_stop_signals(then: Callable[[], None] = lambda: None) -> None:
    """Let no stop signal kill this rank; call ``then`` when one comes, or if one has come since the first call."""

    def heed(number: int, _: object) -> None:
        log.info("asked to stop by %s", signal.Signals(number).name)
        _asked_to_stop.append(number)
        then()

    for number in STOP_SIGNALS:
        signal.signal(number, heed)
    if _asked_to_stop:
        then()


def abort(world: MPI.Intracomm, words: str, code: int = FAILED) -> NoReturn:
    """End the whole job, once the words on the cause have got out."""
    log.critical(words)
    sys.stderr.flush()
    sys.stdout.flush()
    time.sleep(FAREWELL_S)
    world.Abort(code)
    os._exit(code)  # where an abort comes back, for another rank's is under way


def leave_together(world: MPI.Intracomm, code: int = 0, missing: str = "") -> int:
    """Wait for all ranks, without spinning, and return the largest exit code among them (collective).

    Ranks that never come (``missing`` names those that are known to) end the job once everything is written: a rank
    can hang inside LAMMPS when another of its group has died there, and nothing but an abort gets it out.
    """
    codes = np.array([code], dtype="i8")
    everybody = world.Iallreduce(MPI.IN_PLACE, codes, op=MPI.MAX)
    started = time.monotonic()
    for _ in naps():
        if everybody.Test():
            break
        if world.rank == 0 and time.monotonic() - started > PATIENCE_S:
            who = missing or "some ranks"
            abort(world, f"{who} hang in a dead group; ending the job, all results are written.", code or HANGING)
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # all is written: what comes now must not spoil the exit code
    return int(codes[0])


def leave_at_once(code: int) -> NoReturn:
    """End this process past the clean-up of its libraries, but with MPI closed in order (collective)."""
    MPI.Finalize()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(main: Callable[[MPI.Intracomm], int]) -> int:
    """Run a program on all ranks and return its exit code.

    A UserError, which all ranks share, is printed once and gives 2. Anything else that a rank raises is a
    defect: it is printed with the rank's number and ends the whole job, so that no rank waits for a dead one.
    """
    world = MPI.COMM_WORLD
    logs.to_terminal()
    try:
        return main(world)
    except UserError as error:
        if world.rank == 0:
            log.error(told(error))
        return REFUSED
    except BaseException as error:
        if isinstance(error, SystemExit):
            return int(error.code or 0)
        where = f"rank {world.rank} failed ({logs.Place.doing})"
        if isinstance(error, OSError):
            place = f"{error.filename}: " if error.filename else ""
            abort(world, f"{where}: {place}{error.strerror or error}; what was committed before stays good.")
        abort(world, f"{where}\n{traceback.format_exc()}")
