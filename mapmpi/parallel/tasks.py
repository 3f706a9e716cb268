"""Force calls and whole calculations spread over groups of ranks: rank 0 hands out, whoever is free computes.

What a calculation is, and what it may request, :mod:`mapmpi.calculation` says.

Rank 0 is in :meth:`Pool.run`: it lets calculations go on side by side and sends what they ask for to the groups; all
other ranks are in :func:`mapmpi.parallel.groups.follow`. A group is given the next request before it has answered the
last, so that none waits while rank 0 makes a force call of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from mpi4py import MPI

from mapmpi.calculation import Calculation, Evaluate, Result, Task
from mapmpi.errors import EngineError, EngineLost
from mapmpi.logs import log
from mapmpi.parallel.groups import Hand, PoolMail, PoolTag, Reply, Team
from mapmpi.parallel.layout import Layout
from mapmpi.parallel.orders import Order, Orders
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
        self._hands: dict[int, dict[int, Order]] = {number: {} for number in range(len(groups.groups))}
        self._orders = Orders()

    def run(self, calculation: Calculation[Result], tell: Callable[[], None] = lambda: None) -> Result:
        """Run a calculation to its end and return its result, once all groups have been sent home. Call it once.

        ``tell`` is called again and again meanwhile. Raises Interrupted (``interrupted`` was set), EngineError (no
        group is left) or what a calculation raises, when all that was under way has been closed.
        """
        main = Task(calculation)
        self._orders.begin(main)
        while True:
            reason = self._orders.go_on()
            if reason is None and not main.done and (self.interrupted or not self._hands):
                reason = Interrupted() if self.interrupted else EngineError("no group of ranks is left")
            if reason is not None or main.done:
                break
            tell()
            self._hand_out()
            busy = self._compute()
            self._take_messages()
            if not (busy or self._orders.ready):
                time.sleep(PAUSE_S)
        self._orders.close()
        self._send_home()
        if reason is not None:
            raise reason
        return main.result

    def _hand_out(self) -> None:
        """Give each idle group a request, rank 0's own the last of them, and only then fill hands.

        With Subcalculations only while there are PLENTY: in a hand one may wait long, while other groups become idle.
        """
        for burden in range(_FULL):
            for number in reversed(self._hands):  # rank 0's own group is the first
                order = self._orders.next()
                most = 1 if len(self._orders) > PLENTY * len(self._leaders) else 0
                if order is None or (order.long and burden > most):
                    return
                if self._burden(number, order) == burden:
                    self._give(self._orders.take(), number)

    def _burden(self, number: int, order: Order) -> int:
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

    def _give(self, order: Order, number: int) -> None:
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

    def _finish(self, order: Order, outcome: Reply) -> None:
        """Take what a request has come to."""
        self._count(outcome)
        self._orders.finish(order, outcome.answer, outcome.calls)

    def _retire(self, number: int, culprit: int) -> None:
        """Give up a group; what it had is computed elsewhere, unless that has killed others before."""
        self.lost.append(number)
        for order in self._hands.pop(number).values():
            if order.number == culprit:
                order.deaths += 1
            if order.deaths < LIVES:
                self._orders.put(order)
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
