"""Force calls and whole calculations spread over groups of ranks: rank 0 hands out, whoever is free computes.

What a calculation is, and what it may request, :mod:`mapmpi.calculation` says.

Rank 0 runs the calculations of :meth:`Pool.compute` side by side in asyncio's loop and sends what they ask for to
the groups; all other ranks are in :func:`follow`. A group is given the next request before it has answered the last,
so that none waits while rank 0 makes a force call of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, TypeVar

from mpi4py import MPI

from mapmpi.calculation import Evaluate, Request, Subcalculation
from mapmpi.errors import EngineError, EngineLost
from mapmpi.logs import log
from mapmpi.parallel.groups import PAUSE_S, Groups, Hand, Mailbox, Outcome, Tag, Team

Result = TypeVar("Result")

GOODBYE_S = 20.0
"""How long a group may take over its last force call; who is silent longer counts as lost."""

PLENTY = 2
"""Requests for each group that have to wait before a group that is at a Subcalculation is given another."""

LIVES = 2
"""A request that has cost so many groups their lives is not tried again."""

_NOBODY = "no group of ranks is left"
_FULL = 3
_PAUSE_S = 5e-4
_HOPS = 12
"""Turns of asyncio's loop in which an answer gets through nested tasks to the requests that it leads to."""


class Interrupted(Exception):
    """The run was asked to stop (:attr:`Pool.interrupted`), and has stopped in order."""


def follow(
    world: MPI.Intracomm, groups: Groups, evaluate: Evaluate, renew: Callable[[], None] | None = None
) -> None:
    """Compute what rank 0 hands out until it is done (every rank but 0; one in no group returns at once).

    ``renew`` makes the engine anew after an EngineError. Anything else that is raised is a defect and passes.
    A group that is lost is reported to rank 0; its other ranks may hang, see
    :func:`mapmpi.parallel.agreement.leave_together`. Signals are for rank 0 alone: ignore them here.
    """
    if groups.comm is None:
        return
    mail, team = Mailbox(world), Team(groups.comm, evaluate, renew)
    try:
        if groups.comm.rank == 0:
            _lead(mail, team)
        else:
            team.follow()
    except EngineLost as error:
        if groups.leaders[groups.number] == 0:
            raise  # rank 0 itself hangs: nobody is left to go on
        log.warning("group %d is lost: %s", groups.number, error)
        mail.post(0, Tag.LOST, (groups.number, team.number))
        stopped = groups.comm.rank > 0
        while not (stopped and mail.quiet()):
            message = mail.take()
            stopped |= message is not None and message[0] is Tag.STOP
            time.sleep(PAUSE_S)


def _lead(mail: Mailbox, team: Team) -> None:
    """Be the leader of a group: compute request after request. Raises EngineLost."""
    hand, stopped = Hand(team), False
    while not stopped:
        while (message := mail.take()) is not None:
            if message[0] is Tag.STOP:
                stopped = True
            else:
                hand.take(*message[2])
        if stopped:
            break
        if not hand:
            time.sleep(PAUSE_S)
        elif (outcome := hand.advance()) is not None:
            mail.post(0, Tag.ANSWER, outcome)
    team.dismiss()
    mail.post(0, Tag.GOODBYE, hand.broken_off())
    while not mail.quiet():
        mail.take()
        time.sleep(PAUSE_S)


@dataclass(order=True)
class _Task:
    """A request on rank 0, in the order in which they are handed out."""

    priority: float
    number: int
    request: Request = field(compare=False)
    future: asyncio.Future[Any] = field(compare=False)
    deaths: int = field(default=0, compare=False)

    @property
    def long(self) -> bool:
        """Whether it is a whole calculation."""
        return isinstance(self.request, Subcalculation)


class Pool:
    """Rank 0's side: all groups of ranks as one place to have requests answered.

    ``interrupted`` may be set at any time, by a signal's handler, to end :meth:`run`. ``force_calls`` counts what
    has been answered, ``busy_s`` sums the seconds that groups spent on it, ``lost`` are the dead groups' numbers.
    """

    def __init__(
        self, world: MPI.Intracomm, groups: Groups, evaluate: Evaluate, renew: Callable[[], None] | None = None
    ) -> None:
        self.groups = groups
        self.interrupted = False
        self.force_calls, self.busy_s = 0, 0.0
        self.lost: list[int] = []
        self._mail = Mailbox(world)
        self._own = None if groups.comm is None else Hand(Team(groups.comm, evaluate, renew))
        self._hands: dict[int, dict[int, _Task]] = {number: {} for number in range(len(groups.leaders))}
        self._queue: list[_Task] = []
        self._submitted = 0
        self._answered = False

    @property
    def outstanding(self) -> int:
        """How many requests wait or are computed."""
        return len(self._queue) + sum(map(len, self._hands.values()))

    def submit(self, request: Request, priority: float = 0) -> asyncio.Future[Any]:
        """Have a request answered; what has the lowest ``priority`` goes first, then what came first.

        The future raises EngineError where the computation did. Cancel it to take the request back.
        """
        self._submitted += 1
        task = _Task(priority, self._submitted, request, asyncio.get_running_loop().create_future())
        if self._hands:
            heappush(self._queue, task)
        else:
            task.future.set_exception(EngineError(_NOBODY))
        return task.future

    async def compute(
        self, calculation: Generator[Any, Any, Result], priority: Callable[[], float] = lambda: 0.0
    ) -> Result:
        """Drive a calculation to its end and return its result; EngineError of any answer is thrown into it.

        ``priority`` is asked for that of each request.
        """
        try:
            wanted = next(calculation)
            while True:
                futures = [self.submit(request, priority()) for request in wanted]
                answers = await asyncio.gather(*futures, return_exceptions=True)
                error = next((answer for answer in answers if isinstance(answer, BaseException)), None)
                wanted = calculation.send(answers) if error is None else calculation.throw(error)
        except StopIteration as stop:
            return stop.value
        finally:
            calculation.close()

    def run(self, main: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine that submits and computes; return its result, once all groups have been sent home.

        Raises Interrupted (``interrupted`` was set) or EngineError (no group is left) after ``main`` was
        cancelled, and whatever ``main`` raises. Call it once.
        """
        return asyncio.run(self._run(main))

    async def _run(self, main: Coroutine[Any, Any, Result]) -> Result:
        driver = asyncio.create_task(main)
        reason: Exception | None = None
        while not driver.done():
            if reason is None and (self.interrupted or not self._hands):
                reason = Interrupted() if self.interrupted else EngineError(_NOBODY)
                driver.cancel()
            self._hand_out()
            computing = self._compute()
            self._take_messages()
            await self._let_others_run(computing)
        self._send_home()
        if reason is None:
            return driver.result()
        raise reason from (None if driver.cancelled() else driver.exception())

    async def _let_others_run(self, busy: bool) -> None:
        """Let the coroutines go on; sleep if there was nothing to do."""
        hops, self._answered = (_HOPS if self._answered else 1), False
        if hops == 1 and not busy:
            await asyncio.sleep(_PAUSE_S)
        for _ in range(hops):
            await asyncio.sleep(0)

    def _next(self) -> _Task | None:
        """Return the next request of the queue; those that were cancelled fall out."""
        while self._queue and self._queue[0].future.done():
            heappop(self._queue)
        return self._queue[0] if self._queue else None

    def _hand_out(self) -> None:
        """Give each idle group a request, rank 0's own the last of them, and only then fill hands.

        With Subcalculations only while there are PLENTY: in a hand one may wait long, while other groups become idle.
        """
        for burden in range(_FULL):
            for number in reversed(self._hands):  # rank 0's own group is the first
                task = self._next()
                plenty = len(self._queue) > PLENTY * len(self.groups.leaders)
                if task is None or (task.long and burden > plenty):
                    return
                if self._burden(number, task) == burden:
                    self._give(heappop(self._queue), number)
        while not self._hands and self._next() is not None:
            heappop(self._queue).future.set_exception(EngineError(_NOBODY))

    def _burden(self, number: int, task: _Task) -> int:
        """Return what a group has before one more request: 0 nothing, 1 a Subcalculation, 2 a second request, _FULL.

        Rank 0's own needs nothing in hand: it can begin the next at once.
        """
        hand = self._hands[number].values()
        if not hand:
            return 0
        single = sum(not one.long for one in hand)
        if self.groups.leaders[number] == 0 and (single or task.long):
            return _FULL
        return len(hand) + (single == len(hand))

    def _give(self, task: _Task, number: int) -> None:
        self._hands[number][task.number] = task
        if self.groups.leaders[number] != 0:
            self._mail.post(self.groups.leaders[number], Tag.TASK, (task.number, task.request))
        elif self._own is not None:
            self._own.take(task.number, task.request)

    def _compute(self) -> bool:
        """Make one force call on rank 0's own group; return whether there was one to make."""
        if not self._own:
            return False
        try:
            outcome = self._own.advance()
        except EngineLost as error:
            log.warning("rank 0's group is lost: %s", error)
            culprit, self._own = self._own.team.number, None
            self._retire(0, culprit)
            return True
        if outcome is not None:
            self._finish(self._hands[0].pop(outcome.number), outcome)
        return True

    def _take_messages(self) -> None:
        while (message := self._mail.take()) is not None:
            tag, source, content = message
            if tag is Tag.ANSWER:
                # a group that was given up may still have answered: somebody else computes that by now
                hand = self._hands.get(self.groups.leaders.index(source), {})
                task = hand.pop(content.number, None)
                if task is not None:
                    self._finish(task, content)
            elif tag is Tag.LOST:
                number, culprit = content
                if number in self._hands:
                    self._retire(number, culprit)
            elif tag is Tag.GOODBYE:
                self._hands.pop(self.groups.leaders.index(source), None)
                for outcome in content:
                    self._count(outcome)

    def _count(self, outcome: Outcome) -> None:
        self.force_calls += outcome.calls
        self.busy_s += outcome.busy_s

    def _finish(self, task: _Task, outcome: Outcome) -> None:
        """Give an answer to who waits for it."""
        self._count(outcome)
        self._answered = True
        if task.future.done():
            return
        if outcome.error is not None:
            task.future.set_exception(outcome.error)
        else:
            task.future.set_result(outcome.answer)

    def _retire(self, number: int, culprit: int) -> None:
        """Give up a group; what it had is computed elsewhere, unless that has killed others before."""
        self.lost.append(number)
        for task in self._hands.pop(number).values():
            task.deaths += task.number == culprit
            if task.deaths < LIVES:
                heappush(self._queue, task)
            else:
                error = EngineError(f"{LIVES} groups of ranks died of this configuration or calculation")
                self._finish(task, Outcome(task.number, error=error))

    def _send_home(self) -> None:
        """Tell all groups to stop after the force call that they make, and see them off."""
        if self._own is not None:
            for outcome in self._own.broken_off():
                self._count(outcome)
            del self._hands[0]
            self._own.team.dismiss()
        for leader in self.groups.leaders:
            if leader != 0:
                self._mail.post(leader, Tag.STOP)
        started = time.monotonic()
        # what was sent to a dead group never leaves, and leave_together ends the job
        while self._hands or not (self.lost or self._mail.quiet()):
            self._take_messages()
            time.sleep(_PAUSE_S)
            if time.monotonic() - started > GOODBYE_S:
                self.lost.extend(self._hands)
                return
