"""Calculations that ask for forces and do not care who computes them.

Every algorithm of ``path/`` (quench, band, saddle search, Hessian) is a generator. It yields a list of requests, is
sent the list of their answers in the same order, and returns its result when it is done. A request is

- a configuration, (n, 3) Å; its answer are the :class:`Forces`;
- a :class:`Subcalculation`, which one engine computes whole; its answer is its result;
- another calculation, whose own requests are answered beside all others; its answer is its result;
- a :class:`Task`, a calculation that is begun and not waited for; its answer is None;
- CALLS, alone; its answer are the force calls that were made so far for the calculation that asks.

A list without requests means: go on as soon as something else has been answered. A configuration that an engine cannot
compute raises EngineError inside the algorithm, at its ``yield``.

A :class:`Task` goes through a calculation and counts its force calls. Who answers is not its matter: one engine, one
request after another (:func:`solve`), the ranks of a machine (:mod:`mapmpi.parallel.tasks`), or a :class:`Memory`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from mapmpi.errors import EngineError


class Forces(NamedTuple):
    """The answer for one configuration: energy in eV, forces (n, 3) in eV/Å."""

    energy: float
    forces: np.ndarray


@dataclass(frozen=True)
class Subcalculation:
    """A whole calculation for one engine, ``function(*arguments)``, such as a quench.

    Both must be fit to be pickled: the function of a module, by its name.
    """

    function: Callable[..., Generator[Any, Any, Any]]
    arguments: tuple[Any, ...] = ()


CALLS = object()
Request = Any
Result = TypeVar("Result")
Calculation = Generator[list[Request], list[Any], Result]
"""Yields requests, is sent their answers, returns a Result."""
Evaluate = Callable[[np.ndarray], Forces]
"""What computes one configuration (n, 3) Å, such as an engine's ``evaluate``."""


class Memory(Protocol):
    """What a calculation was answered earlier, round by round of its requests."""

    def recall(self, wanted: list[Request]) -> tuple[list[Any], int] | None:
        """Return the answers to the next round of requests and their force calls; None if they are not known."""

    def keep(self, answers: list[Any], calls: int) -> None:
        """Keep the answers to the last round that was not known, and their force calls."""

    def close(self) -> None:
        """Keep no more."""


class Task(Generic[Result]):
    """A calculation under way: what it waits for (``wanted``), and the force calls that were made for it (``calls``).

    ``priority`` tells how soon its requests should be answered; the lowest goes first. Once it is ``done``, its
    ``outcome`` is its result, or the EngineError with which it ended. Anything else that it raises passes.
    """

    def __init__(
        self,
        calculation: Calculation[Result],
        priority: Callable[[], float] = lambda: 0.0,
        memory: Memory | None = None,
    ) -> None:
        self.priority, self.calls, self.done = priority, 0, False
        self.outcome: Result | EngineError | None = None
        self.wanted: list[Request] = []
        self._calculation, self._memory = calculation, memory
        self._answers: list[Any] = []
        self._missing, self._new_calls = 0, 0

    @property
    def result(self) -> Result:
        """What the calculation has returned; raises the EngineError with which it ended."""
        if isinstance(self.outcome, EngineError):
            raise self.outcome
        return self.outcome  # type: ignore[return-value]

    @property
    def ready(self) -> bool:
        """Whether all that it waits for has been answered."""
        return not self.done and self._missing == 0

    def begin(self) -> None:
        """Go on to the first requests."""
        self._step(lambda: next(self._calculation))

    def answer(self, place: int, answer: Any, calls: int = 0) -> None:
        """Take an answer, or the EngineError that is there instead, and the force calls that it took."""
        self._answers[place] = answer
        self._missing -= 1
        self._new_calls += calls

    def go_on(self) -> None:
        """Go on with the answers; the first error among them is raised in the calculation."""
        answers, calls = self._answers, self._new_calls
        error = next((one for one in answers if isinstance(one, EngineError)), None)
        if error is not None:
            self._forget()
            self._step(lambda: self._calculation.throw(error))
            return
        self.calls += calls
        if self._memory is not None:
            self._memory.keep(answers, calls)
        self._step(lambda: self._calculation.send(answers))

    def close(self) -> None:
        """Give the calculation up."""
        self.done = True
        self._calculation.close()
        self._forget()

    def _step(self, step: Callable[[], list[Request]]) -> None:
        """Make a step, and others as long as the answers are known here."""
        try:
            self.wanted = step()
            while (known := self._known()) is not None:
                self.wanted = self._calculation.send(known)
        except StopIteration as stop:
            self.outcome = stop.value
            self.close()
        except EngineError as error:
            self.outcome = error
            self.close()
        self._answers = [None] * len(self.wanted)
        self._missing, self._new_calls = len(self.wanted), 0

    def _known(self) -> list[Any] | None:
        """Return the answers to what is wanted, if nobody has to be asked."""
        if len(self.wanted) == 1 and self.wanted[0] is CALLS:
            return [self.calls]
        if self._memory is None or (found := self._memory.recall(self.wanted)) is None:
            return None
        self.calls += found[1]
        return found[0]

    def _forget(self) -> None:
        if self._memory is not None:
            self._memory.close()
        self._memory = None


def alone(request: Request) -> Calculation[Any]:
    """Return the answer to a request."""
    (answer,) = yield [request]
    return answer


def solve(calculation: Calculation[Result], evaluate: Evaluate) -> Result:
    """Run a calculation to its end on one engine's ``evaluate`` and return its result."""
    task = Task(calculation)
    for _ in in_steps(task, evaluate):
        pass
    return task.result


def in_steps(task: Task[Any], evaluate: Evaluate) -> Iterator[None]:
    """Go through a task to its end on one engine, one request after another; pause after every force call.

    Behind an EngineError the other requests of a round are left out; EngineLost passes through.
    """
    task.begin()
    while not task.done:
        for place, request in enumerate(task.wanted):
            answer: Any = None
            calls = 0
            if isinstance(request, np.ndarray):
                try:
                    answer, calls = evaluate(request), 1
                except EngineError as error:
                    answer = error
                else:
                    yield
            elif isinstance(request, Task):
                yield from in_steps(request, evaluate)
            else:
                whole = isinstance(request, Subcalculation)
                inner = Task(request.function(*request.arguments) if whole else request)
                yield from in_steps(inner, evaluate)
                answer, calls = inner.outcome, inner.calls
            task.answer(place, answer, calls)
            if isinstance(answer, EngineError):
                break
        task.go_on()
