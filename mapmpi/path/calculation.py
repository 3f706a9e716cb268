"""Calculations that ask for forces and do not care who computes them.

Every algorithm of this room (quench, band, saddle search, Hessian) is a generator. It yields a list of
configurations, each (n, 3) Å, is sent back a list of :class:`Forces` in the same order, and returns its result
when it is done. So the same algorithm runs on one engine (:func:`solve`) and, a force call at a time, spread
over the ranks of a machine (:mod:`mapmpi.parallel.tasks`), and nothing idles for the sake of a band's size.
In place of a configuration it may ask for a whole calculation that needs no company, such as a quench: a
:class:`~mapmpi.parallel.groups.Work`, whose answer is its result.
A configuration that an engine cannot compute raises EngineError inside the algorithm, at its ``yield``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from mapmpi.parallel.groups import Request, solve_in_steps


@dataclass(frozen=True)
class Forces:
    """The answer for one configuration: energy in eV, forces (n, 3) in eV/Å."""

    energy: float
    forces: np.ndarray


Result = TypeVar("Result")
Calculation = Generator[list[Request], list[Any], Result]
"""Yields configurations (or Works), is sent their Forces (or results), returns a Result."""


def solve(calculation: Calculation[Result], evaluate: Callable[[np.ndarray], tuple[float, np.ndarray]]) -> Result:
    """Run a calculation to its end on one engine's ``evaluate`` and return its result."""
    steps = solve_in_steps(calculation, lambda positions: Forces(*evaluate(positions)))
    try:
        while True:
            next(steps)
    except StopIteration as stop:
        return stop.value
