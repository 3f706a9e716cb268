"""Force calls and whole calculations spread over groups of ranks: rank 0 hands out, whoever is free computes.

What a calculation is, and what it may request, :mod:`mapmpi.calculation` says.

Rank 0 is in :meth:`Pool.run`: it lets calculations go on side by side and sends what they ask for to the groups; all
other ranks are in :func:`mapmpi.parallel.groups.follow`. A group is given the next request before it has answered the
last, so that none waits while rank 0 makes a force call of its own.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

import numpy as np
from mpi4py import MPI

from mapmpi.calculation import Calculation, Evaluate, Request, Result, Subcalculation, Task
from mapmpi.errors import EngineError, EngineLost
from mapmpi.logs import log
from mapmpi.parallel.groups import Hand, PoolMail, PoolTag, Reply, Team
from mapmpi.parallel.layout import Layout
from mapmpi.parallel.relay import PAUSE_S

GOODBYE_S = 20.0
"""How long a group may take over its last force call; who is silent longer counts as lost."""

PLENTY = 2
"""Requests for each group that have to wait before a group that is at a Subcalculation is given another."""

LIVES = 2
"""A request that has cost so many groups their lives is not tried again."""

_FULL = 3


class Interrupted(Exception):
    """The run was asked to stop (:attr:`Pool.interrupted`), and has stopped in order."""


@dataclass(order=True)
class _Order:
    """A request of a task on rank 0, in the order in which they are handed out."""

    priority: float
    number: int
    request: Request = field(compare=False)
    task: Task[Any] = field(compare=False)
    place: int = field(compare=False)
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
        self, world: MPI.Intracomm, groups: Layout, evaluate: Evaluate, renew: Callable[[], None]
    ) -> None:
        self.groups, self._leaders = groups, groups.leaders
        self.interrupted = False
        self.force_calls, self.busy_s = 0, 0.0
        self.lost: list[int] = []
        self._mail = PoolMail(world)
        self._own = None if groups.comm is None else Hand(Team(groups.comm, evaluate, renew))
        self._hands: dict[int, dict[int, _Order]] = {number: {} for number in range(len(groups.groups))}
        self._queue: list[_Order] = []
        self._ordered = 0
        self._parents: dict[Task[Any], tuple[Task[Any], int] | None] = {}
        self._ready: deque[tuple[Task[Any], Callable[[], None]]] = deque()
        self._watching: list[Task[Any]] = []
        self._news = False

    def run(self, calculation: Calculation[Result], tell: Callable[[], None] = lambda: None) -> Result:
        """Run a calculation to its end and return its result, once all groups have been sent home. Call it once.

        ``tell`` is called again and again meanwhile. Raises Interrupted (``interrupted`` was set), EngineError (no
        group is left) or what a calculation raises, when all that was under way has been closed.
        """
        main = Task(calculation)
        self._begin(main)
        while True:
            reason = self._go_on()
            if reason is None and not main.done and (self.interrupted or not self._hands):
                reason = Interrupted() if self.interrupted else EngineError("no group of ranks is left")
            if reason is not None or main.done:
                break
            tell()
            self._hand_out()
            busy = self._compute()
            self._take_messages()
            if not (busy or self._ready):
                time.sleep(PAUSE_S)
        for task in self._parents:
            task.close()
        self._send_home()
        if reason is not None:
            raise reason
        return main.result

    def _begin(self, task: Task[Any], parent: tuple[Task[Any], int] | None = None) -> None:
        """Begin a calculation; its result is the answer to a request of the parent's, at a place."""
        self._parents[task] = parent
        self._ready.append((task, task.begin))

    def _go_on(self) -> Exception | None:
        """Let all calculations go on that can; return what one of them raises."""
        while self._ready or (self._news and self._watching):
            if not self._ready:
                self._ready.extend((task, task.go_on) for task in self._watching)
                self._watching.clear()
                self._news = False
            task, step = self._ready.popleft()
            if task.done:  # it was closed
                continue
            try:
                step()
            except Exception as error:
                return error
            if not task.done:
                self._ask(task)
                continue
            self._news = True
            if (parent := self._parents.pop(task)) is not None:
                self._answer(*parent, task.outcome, task.calls)
        return None

    def _ask(self, task: Task[Any]) -> None:
        """See to what a task wants."""
        if not task.wanted:
            self._watching.append(task)
        for place, request in enumerate(task.wanted):
            if isinstance(request, Task):
                self._begin(request)
                self._answer(task, place, None)
            elif isinstance(request, np.ndarray | Subcalculation):
                self._ordered += 1
                heappush(self._queue, _Order(task.priority(), self._ordered, request, task, place))
            else:
                self._begin(Task(request, task.priority), (task, place))

    def _answer(self, task: Task[Any], place: int, answer: Any, calls: int = 0) -> None:
        """Give the answer to a request to the task that waits for it."""
        if task.done:
            return
        task.answer(place, answer, calls)
        if task.ready:
            self._ready.append((task, task.go_on))

    def _next(self) -> _Order | None:
        """Return the next request of the queue; those of tasks that were closed fall out."""
        while self._queue and self._queue[0].task.done:
            heappop(self._queue)
        return self._queue[0] if self._queue else None

    def _hand_out(self) -> None:
        """Give each idle group a request, rank 0's own the last of them, and only then fill hands.

        With Subcalculations only while there are PLENTY: in a hand one may wait long, while other groups become idle.
        """
        for burden in range(_FULL):
            for number in reversed(self._hands):  # rank 0's own group is the first
                order = self._next()
                most = 1 if len(self._queue) > PLENTY * len(self._leaders) else 0
                if order is None or (order.long and burden > most):
                    return
                if self._burden(number, order) == burden:
                    self._give(heappop(self._queue), number)

    def _burden(self, number: int, order: _Order) -> int:
        """Return what a group has before one more request: 0 nothing, 1 a Subcalculation, 2 more, _FULL no room.

        Rank 0's own needs nothing in hand: it can begin the next at once.
        """
        hand = self._hands[number].values()
        if not hand:
            return 0
        single = sum(not one.long for one in hand)
        if self._leaders[number] == 0 and (single or order.long):
            return _FULL
        return len(hand) if single < len(hand) else len(hand) + 1

    def _give(self, order: _Order, number: int) -> None:
        self._hands[number][order.number] = order
        if self._leaders[number] != 0:
            self._mail.tell(self._leaders[number], PoolTag.TASK, (order.number, order.request))
        elif self._own is not None:
            self._own.take(order.number, order.request)

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
        while (message := self._mail.hear()) is not None:
            tag, source, content = message
            if tag is PoolTag.ANSWER:
                # a group that was given up may still have answered: somebody else computes that by now
                hand = self._hands.get(self._leaders.index(source), {})
                order = hand.pop(content.number, None)
                if order is not None:
                    self._finish(order, content)
            elif tag is PoolTag.LOST:
                number, culprit = content
                if number in self._hands:
                    self._retire(number, culprit)
            elif tag is PoolTag.GOODBYE:
                self._hands.pop(self._leaders.index(source), None)
                for outcome in content:
                    self._count(outcome)

    def _count(self, outcome: Reply) -> None:
        self.force_calls += outcome.calls
        self.busy_s += outcome.busy_s

    def _finish(self, order: _Order, outcome: Reply) -> None:
        """Take what a request has come to."""
        self._count(outcome)
        self._news = True
        self._answer(order.task, order.place, outcome.answer, outcome.calls)

    def _retire(self, number: int, culprit: int) -> None:
        """Give up a group; what it had is computed elsewhere, unless that has killed others before."""
        self.lost.append(number)
        for order in self._hands.pop(number).values():
            if order.number == culprit:
                order.deaths += 1
            if order.deaths < LIVES:
                heappush(self._queue, order)
            else:
                error = EngineError(f"{LIVES} groups of ranks died of this configuration or calculation")
                self._finish(order, Reply(order.number, error))

    def _send_home(self) -> None:
        """Tell all groups to stop after the force call that they make, and see them off."""
        if self._own is not None:
            for outcome in self._own.broken_off():
                self._count(outcome)
            del self._hands[0]
            self._own.team.dismiss()
        for leader in self._leaders:
            if leader != 0:
                self._mail.tell(leader, PoolTag.STOP)
        started = time.monotonic()
        # what was sent to a dead group never leaves, and leave_together ends the job
        while self._hands or not (self.lost or self._mail.quiet()):
            self._take_messages()
            time.sleep(PAUSE_S)
            if time.monotonic() - started > GOODBYE_S:
                self.lost.extend(self._hands)
                return
