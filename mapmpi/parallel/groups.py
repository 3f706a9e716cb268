"""Ranks in groups that compute together, what they are asked for, and the messages between leaders and rank 0."""

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
from mapmpi.logs import log
from mapmpi.parallel.layout import Layout
from mapmpi.parallel.mail import Mailbox
from mapmpi.parallel.naps import naps
from mapmpi.parallel.relay import IDLE_S, PAUSE_S, command, heard, obey

SERVE_ONLY = 64
"""With more groups than this, rank 0 belongs to none of them: handing out work keeps it busy enough."""

_DISMISS = -1


def divide(size: int, ranks_per_image: int) -> tuple[list[tuple[int, ...]], list[int]]:
    """Return groups and idle ranks; UserError if not even one group fits.

    Where rank 0 only serves the others it is neither.
    """
    if size < ranks_per_image:
        raise UserError(
            f"pneb.ranks_per_image: {size} rank{'s' * (size > 1)} cannot hold a group of {ranks_per_image}; "
            f"start at least {ranks_per_image}, for example with mpiexec -n {2 * ranks_per_image}."
        )
    first = 1 if size // ranks_per_image > SERVE_ONLY else 0
    end = first + (size - first) // ranks_per_image * ranks_per_image
    groups = [tuple(range(leader, leader + ranks_per_image)) for leader in range(first, end, ranks_per_image)]
    return groups, list(range(end, size))


def make_groups(world: MPI.Intracomm, ranks_per_image: int) -> Layout:
    """Split the world (collective). Raises UserError, on every rank, if not even one group fits."""
    groups, idle = divide(world.size, ranks_per_image)
    number = next((number for number, ranks in enumerate(groups) if world.rank in ranks), -1)
    comm = world.Split(MPI.UNDEFINED if number < 0 else number, world.rank)
    return Layout(number, None if number < 0 else comm, groups, idle)


class PoolTag(IntEnum):
    """What a message is, and what it holds."""

    TASK = 1  # rank 0: number of the request, request
    STOP = 2  # rank 0: None
    ANSWER = 3  # leader: Reply
    LOST = 4  # any rank of a group: number of the group, number of the request it died of
    GOODBYE = 5  # leader: Outcomes of what STOP broke off


class PoolMail(Mailbox):
    """Pickled messages between rank 0 and the leaders."""

    def __init__(self, world: MPI.Intracomm) -> None:
        super().__init__(world, PoolTag)

    def tell(self, destination: int, tag: PoolTag, content: Any = None) -> None:
        """Send something and go on."""
        self.post(np.frombuffer(pickle.dumps(content, protocol=5), dtype=np.uint8), destination, tag)

    def hear(self) -> tuple[IntEnum, int, Any] | None:
        """Return tag, source and content of a message that has come, or None when there is none."""
        message = self.take()
        return None if message is None else (message.tag, message.source, pickle.loads(message.data.data))


class Team:
    """The ranks of one group: what the leader evaluates, all evaluate together.

    ``renew`` makes the engine anew after an EngineError, which all ranks of a group raise together.
    """

    def __init__(self, comm: MPI.Comm, evaluate: Evaluate, renew: Callable[[], None]) -> None:
        self._comm, self._evaluate, self._renew = comm, evaluate, renew
        self.number = 0
        """The request that is computed."""

    def evaluate(self, number: int, positions: np.ndarray) -> Forces:
        """Evaluate positions (n, 3) Å for a request (leader). Raises EngineError; EngineLost ends the group."""
        command(self._comm, number, len(positions))
        if self._comm.size > 1:
            self._comm.Ibcast(np.ascontiguousarray(positions, dtype=float)).Wait()
        self.number = number
        return self._call(positions)

    def dismiss(self) -> None:
        """Send the other ranks home (leader)."""
        command(self._comm, _DISMISS)

    def follow(self) -> None:
        """Evaluate what the leader does, until it dismisses (the other ranks). Raises EngineLost."""
        obey(self._comm, self._follow)

    def _follow(self, number: int, rows: int) -> bool:
        if number == _DISMISS:
            return False
        self.number = number
        self._call(heard(self._comm, np.empty((rows, 3))))
        return True

    def _call(self, positions: np.ndarray) -> Forces:
        try:
            return self._evaluate(positions)
        except EngineError:
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


def follow(world: MPI.Intracomm, groups: Layout, evaluate: Evaluate, renew: Callable[[], None]) -> None:
    """Compute what rank 0 hands out until it is done (every rank but 0; one in no group returns at once).

    ``renew`` makes the engine anew after an EngineError. Anything else that is raised is a defect and passes.
    A group that is lost is reported to rank 0; its other ranks may hang, see
    :func:`mapmpi.parallel.agreement.leave_together`. Signals are for rank 0 alone: ignore them here.
    """
    if groups.comm is None:
        return
    mail, team = PoolMail(world), Team(groups.comm, evaluate, renew)
    try:
        if groups.comm.rank == 0:
            _lead(mail, team)
        else:
            team.follow()
    except EngineLost as error:
        if groups.leaders[groups.number] == 0:
            raise  # rank 0 itself hangs: nobody is left to go on
        log.warning("group %d is lost: %s", groups.number, error)
        mail.tell(0, PoolTag.LOST, (groups.number, team.number))
        stopped = groups.comm.rank > 0
        while not (stopped and mail.quiet()):
            message = mail.hear()
            stopped |= message is not None and message[0] is PoolTag.STOP
            time.sleep(PAUSE_S)


def _lead(mail: PoolMail, team: Team) -> None:
    """Be the leader of a group: compute request after request. Raises EngineLost."""
    hand, stopped, idle = Hand(team), False, naps(PAUSE_S, IDLE_S)
    while not stopped:
        if (message := mail.hear()) is not None:
            stopped, idle = message[0] is PoolTag.STOP, naps(PAUSE_S, IDLE_S)
            if not stopped:
                hand.take(*message[2])
        elif not hand:
            next(idle)
        elif (outcome := hand.advance()) is not None:
            mail.tell(0, PoolTag.ANSWER, outcome)
    team.dismiss()
    mail.tell(0, PoolTag.GOODBYE, hand.broken_off())
    while not mail.quiet():
        mail.hear()
        time.sleep(PAUSE_S)
