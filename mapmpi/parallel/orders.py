"""What calculations ask for that go on side by side, the most urgent first. Who answers is another matter."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

import numpy as np

from mapmpi.calculation import Request, Subcalculation, Task


@dataclass(order=True)
class Order:
    """A request of a task, in the order in which they are handed out."""

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


class Orders:
    """The orders that wait to be handed out, of tasks that were begun here and of those that they have begun."""

    def __init__(self) -> None:
        self._queue: list[Order] = []
        self._ordered = 0
        self._parents: dict[Task[Any], tuple[Task[Any], int] | None] = {}
        self._ready: deque[tuple[Task[Any], Callable[[], None]]] = deque()
        self._watching: list[Task[Any]] = []
        self._news = False

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def ready(self) -> bool:
        """Whether a task can go on."""
        return bool(self._ready)

    def begin(self, task: Task[Any], parent: tuple[Task[Any], int] | None = None) -> None:
        """Begin a task; its result is the answer to a request of the parent's, at a place."""
        self._parents[task] = parent
        self._ready.append((task, task.begin))

    def go_on(self) -> Exception | None:
        """Let all tasks go on that can; return what one of them raises."""
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
                self.begin(request)
                self._answer(task, place, None)
            elif isinstance(request, np.ndarray | Subcalculation):
                self._ordered += 1
                self.put(Order(task.priority(), self._ordered, request, task, place))
            else:
                self.begin(Task(request, task.priority), (task, place))

    def _answer(self, task: Task[Any], place: int, answer: Any, calls: int = 0) -> None:
        """Give the answer to a request to the task that waits for it."""
        if task.done:
            return
        task.answer(place, answer, calls)
        if task.ready:
            self._ready.append((task, task.go_on))

    def next(self) -> Order | None:
        """Return the most urgent order, which stays here; those of tasks that were closed fall out."""
        while self._queue and self._queue[0].task.done:
            heappop(self._queue)
        return self._queue[0] if self._queue else None

    def take(self) -> Order:
        """Return the most urgent order; it is no longer here."""
        return heappop(self._queue)

    def put(self, order: Order) -> None:
        """Let an order wait to be handed out."""
        heappush(self._queue, order)

    def finish(self, order: Order, answer: Any, calls: int) -> None:
        """Take the answer to an order, or the EngineError that is there instead, and the force calls that it took."""
        self._news = True
        self._answer(order.task, order.place, answer, calls)

    def close(self) -> None:
        """Give all tasks up."""
        for task in self._parents:
            task.close()
