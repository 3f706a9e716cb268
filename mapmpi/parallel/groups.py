"""Ranks in groups that compute together, what they are asked for, and the messages between leaders and rank 0.

MPICH spins in blocking calls, so nobody blocks: waiting is looking, with short sleeps in between.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from mpi4py import MPI

from mapmpi.calculation import Evaluate, Forces, Request, Subcalculation, Task, alone, in_steps
from mapmpi.errors import EngineError, EngineLost, UserError
from mapmpi.parallel.messages import Outbox
from mapmpi.parallel.naps import naps

SERVE_ONLY = 64
"""With more groups than this, rank 0 belongs to none of them: handing out work keeps it busy enough."""

PAUSE_S, IDLE_S = 2e-4, 0.01
"""How long a rank sleeps before it looks again: at first, and at most where it has nothing to do."""

_DISMISS = -1


@dataclass(frozen=True)
class Groups:
    """The groups of ranks, and the place of this rank among them.

    ``number`` is this rank's group, counted from 0, and ``comm`` its communicator (-1 and None: in no group).
    ``leaders`` are the world ranks of the groups' first ranks, ``idle`` those that do not fill a group.
    """

    number: int
    comm: MPI.Comm | None
    leaders: list[int]
    idle: list[int]


def divide(size: int, ranks_per_image: int) -> tuple[list[int], list[int]]:
    """Return leaders and idle ranks; UserError if not even one group fits.

    Where rank 0 only serves the others it is neither.
    """
    if size < ranks_per_image:
        raise UserError(
            f"pneb.ranks_per_image: {size} rank{'s' * (size > 1)} cannot hold a group of {ranks_per_image}; "
            f"start at least {ranks_per_image}, for example with mpiexec -n {2 * ranks_per_image}."
        )
    first = 1 if size // ranks_per_image > SERVE_ONLY else 0
    end = first + (size - first) // ranks_per_image * ranks_per_image
    return list(range(first, end, ranks_per_image)), list(range(end, size))


def make_groups(world: MPI.Intracomm, ranks_per_image: int) -> Groups:
    """Split the world (collective). Raises UserError, on every rank, if not even one group fits."""
    leaders, idle = divide(world.size, ranks_per_image)
    outside = world.rank in idle or world.rank < leaders[0]
    number = -1 if outside else (world.rank - leaders[0]) // ranks_per_image
    comm = world.Split(MPI.UNDEFINED if outside else number, world.rank)
    return Groups(number, None if outside else comm, leaders, idle)


class PoolTag(IntEnum):
    """What a message is, and what it holds."""

    TASK = 1  # rank 0: number of the request, request
    STOP = 2  # rank 0: None
    ANSWER = 3  # leader: Reply
    LOST = 4  # any rank of a group: number of the group, number of the request it died of
    GOODBYE = 5  # leader: Outcomes of what STOP broke off


class Mailbox:
    """Pickled messages that leave and come while the ranks compute."""

    def __init__(self, world: MPI.Intracomm) -> None:
        self._world, self._outbox = world, Outbox(world)
        self._coming: list[tuple[MPI.Request, np.ndarray, PoolTag, int]] = []

    def post(self, destination: int, tag: PoolTag, content: Any = None) -> None:
        """Send something and go on."""
        self._outbox.post(np.frombuffer(pickle.dumps(content, protocol=5), dtype=np.uint8), destination, tag)

    def take(self) -> tuple[PoolTag, int, Any] | None:
        """Return tag, source and content of a message that has come, or None when there is none."""
        self._outbox.sweep()
        status = MPI.Status()
        while (waiting := self._world.Improbe(status=status)) is not None:
            data = np.empty(status.Get_count(MPI.BYTE), dtype=np.uint8)
            # a large message comes in only while its sender looks too: do not wait for that
            self._coming.append((waiting.Irecv(data), data, PoolTag(status.Get_tag()), status.Get_source()))
        for place, (request, data, tag, source) in enumerate(self._coming):
            if request.Test():
                del self._coming[place]
                return tag, source, pickle.loads(data.data)
        return None

    def quiet(self) -> bool:
        """Return whether all has left, and all that began to come has been taken.

        A message that nobody has received when MPI is closed may bring MPICH down.
        """
        return self._outbox.sweep() and not self._coming


def heard(comm: MPI.Comm, buffer: np.ndarray) -> np.ndarray:
    """Return a buffer with what the first rank of a group tells the others, once it has (the others)."""
    coming = comm.Ibcast(buffer)
    for _ in naps(PAUSE_S, IDLE_S):  # a blocking wait would take a core while the first rank thinks
        if coming.Test():
            break
    return buffer


class Team:
    """The ranks of one group: what the leader evaluates, all evaluate together.

    ``renew`` makes the engine anew after an EngineError, which all ranks of a group raise together.
    """

    def __init__(self, comm: MPI.Comm, evaluate: Evaluate, renew: Callable[[], None] | None = None) -> None:
        self._comm, self._evaluate, self._renew = comm, evaluate, renew
        self.number = 0
        """The request that is computed."""

    def evaluate(self, number: int, positions: np.ndarray) -> Forces:
        """Evaluate positions (n, 3) Å for a request (leader). Raises EngineError; EngineLost ends the group."""
        if self._comm.size > 1:
            self._comm.Ibcast(np.array([number, len(positions)], dtype="i8")).Wait()
            self._comm.Ibcast(np.ascontiguousarray(positions, dtype=float)).Wait()
        self.number = number
        return self._call(positions)

    def dismiss(self) -> None:
        """Send the other ranks home (leader)."""
        if self._comm.size > 1:
            self._comm.Ibcast(np.array([_DISMISS, 0], dtype="i8")).Wait()

    def follow(self) -> None:
        """Do what the leader says, until it dismisses (the other ranks). Raises EngineLost."""
        while True:
            number, rows = (int(value) for value in heard(self._comm, np.empty(2, dtype="i8")))
            if number == _DISMISS:
                return
            self.number = number
            positions = heard(self._comm, np.empty((rows, 3)))
            try:
                self._call(positions)
            except EngineLost:
                raise
            except EngineError:
                continue  # the leader raises it too, and reports it

    def _call(self, positions: np.ndarray) -> Forces:
        try:
            return self._evaluate(positions)
        except EngineLost:
            raise
        except EngineError:
            if self._renew is not None:
                try:
                    self._renew()
                except (EngineError, UserError, OSError) as error:
                    raise EngineLost(f"the engine could not be made anew: {error}") from error
            raise


@dataclass
class Reply:
    """The answer to a request, or its EngineError, the force calls, and the seconds that the group spent on it."""

    number: int
    answer: Any = None
    calls: int = 0
    busy_s: float = 0.0


class Computation:
    """A request that is computed by this rank's group, a force call at a time."""

    def __init__(self, number: int, request: Request, team: Team) -> None:
        self.outcome, self.long = Reply(number), isinstance(request, Subcalculation)
        self._team, self._task = team, Task(alone(request))
        self._steps = in_steps(self._task, self._evaluate)

    def advance(self) -> bool:
        """Make a force call; return whether ``outcome`` is complete. Raises EngineLost."""
        began = time.monotonic()
        next(self._steps, None)
        self.outcome.busy_s += time.monotonic() - began
        self.outcome.answer = self._task.outcome
        return self._task.done

    def _evaluate(self, positions: np.ndarray) -> Forces:
        self.outcome.calls += 1
        return self._team.evaluate(self.outcome.number, positions)


class Hand:
    """The requests that a group has been given. A configuration goes before a Subcalculation.

    That goes on after it. A band asks for a few configurations, round after round; otherwise each round would wait
    for calculations of a hundred force calls.
    """

    def __init__(self, team: Team) -> None:
        self.team = team
        self._computations: list[Computation] = []

    def __bool__(self) -> bool:
        return bool(self._computations)

    def take(self, number: int, request: Request) -> None:
        """Take a request up."""
        self._computations.append(Computation(number, request, self.team))

    def advance(self) -> Reply | None:
        """Make a force call; return the outcome if that completes a request. Raises EngineLost."""
        turn = min(self._computations, key=lambda one: one.long)  # of equals the first
        if not turn.advance():
            return None
        self._computations.remove(turn)
        return turn.outcome

    def broken_off(self) -> list[Reply]:
        """Return what there is of requests that will not be completed."""
        return [one.outcome for one in self._computations]
