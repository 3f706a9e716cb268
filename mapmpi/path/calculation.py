"""Calculations that ask for forces and do not care who computes them.

Every algorithm of this room (quench, band, saddle search, Hessian) is a generator. It yields a list of
configurations, each (n, 3) Å, is sent back a list of :class:`Forces` in the same order, and returns its result
when it is done. So the same algorithm runs on one engine (:func:`solve`) and, a force call at a time, spread
over the ranks of a machine (:mod:`mapmpi.parallel.tasks`), and nothing idles for the sake of a band's size.
A configuration that an engine cannot compute raises EngineError inside the algorithm, at its ``yield``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mapmpi.errors import EngineError


@dataclass(frozen=True)
class Forces:
    """The answer for one configuration: energy in eV, forces (n, 3) in eV/Å."""

    energy: float
    forces: np.ndarray


Result = TypeVar("Result")
Calculation = Generator[list[np.ndarray], list[Forces], Result]


def solve(calculation: Calculation[Result], evaluate: Callable[[np.ndarray], tuple[float, np.ndarray]]) -> Result:
    """Run a calculation to its end on one engine's ``evaluate`` and return its result."""
    try:
        wanted = next(calculation)
        while True:
            try:
                answers = [Forces(*evaluate(positions)) for positions in wanted]
            except EngineError as error:
                wanted = calculation.throw(error)
            else:
                wanted = calculation.send(answers)
    except StopIteration as stop:
        return stop.value
