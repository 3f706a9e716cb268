"""Calculations that ask for forces and do not care who computes them.

Every algorithm of ``path/`` (quench, band, saddle search, Hessian) is a generator. It yields a list of requests, is
sent the list of their answers in the same order, and returns its result when it is done. A request is a configuration,
(n, 3) Å, whose answer is :class:`Forces`, or a :class:`Subcalculation`, whose answer is its result. So the same
algorithm runs on one engine (:func:`solve`) and, a force call at a time, spread over the ranks of a machine
(:mod:`mapmpi.parallel.tasks`), and nothing idles for the sake of a band's size. A configuration that an engine cannot
compute raises EngineError inside the algorithm, at its ``yield``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from mapmpi.errors import EngineError, EngineLost


class Forces(NamedTuple):
    """The answer for one configuration: energy in eV, forces (n, 3) in eV/Å."""

    energy: float
    forces: np.ndarray


@dataclass(frozen=True)
class Subcalculation:
    """A whole calculation that needs no company, ``function(*arguments)``, such as a quench.

    Both must be fit to be pickled: the function of a module, by its name.
    """

    function: Callable[..., Generator[Any, Any, Any]]
    arguments: tuple[Any, ...] = ()


Request = np.ndarray | Subcalculation
Evaluate = Callable[[np.ndarray], Forces]
"""What computes one configuration (n, 3) Å, such as an engine's ``evaluate``."""

Result = TypeVar("Result")
Calculation = Generator[list[Request], list[Any], Result]
"""Yields requests, is sent their answers, returns a Result."""


def solve(calculation: Calculation[Result], evaluate: Evaluate) -> Result:
    """Run a calculation to its end on one engine's ``evaluate`` and return its result."""
    steps = solve_in_steps(calculation, evaluate)
    try:
        while True:
            next(steps)
    except StopIteration as stop:
        return stop.value


def solve_in_steps(calculation: Calculation[Result], evaluate: Evaluate) -> Generator[None, None, Result]:
    """Return the result of a calculation; pause after every force call.

    An EngineError is thrown in at the calculation's ``yield``; EngineLost ends it.
    """
    try:
        wanted = next(calculation)
        while True:
            try:
                answers = []
                for one in wanted:
                    answers.append((yield from answer_in_steps(one, evaluate)))
            except EngineLost:
                raise
            except EngineError as error:
                wanted = calculation.throw(error)
            else:
                wanted = calculation.send(answers)
    except StopIteration as stop:
        return stop.value


def answer_in_steps(request: Request, evaluate: Evaluate) -> Generator[None, None, Any]:
    """Return the answer to a request; pause after every force call. Raises EngineError where nobody takes it."""
    if isinstance(request, Subcalculation):
        return (yield from solve_in_steps(request.function(*request.arguments), evaluate))
    answer = evaluate(request)
    yield
    return answer
