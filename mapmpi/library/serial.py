"""A refinement on one engine, in this process: no MPI, nothing on disk, also where an event loop runs already."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from ase import Atoms

from mapmpi.calculation import Calculation, Evaluate, Forces, Request, solve
from mapmpi.config import Config
from mapmpi.errors import EngineError
from mapmpi.path.pathway import Pathway
from mapmpi.pneb.calculator import Calculator
from mapmpi.pneb.choose import StoredPath
from mapmpi.pneb.progress import Tally
from mapmpi.pneb.refine import Refinement

Result = TypeVar("Result")


class OneEngine:
    """In place of :class:`mapmpi.parallel.tasks.Pool`: every request is answered at once, one after the other."""

    lost: tuple[int, ...] = ()

    def __init__(self, evaluate: Evaluate) -> None:
        self._engine, self.interrupted = evaluate, False
        self.force_calls, self.last_error = 0, ""

    def evaluate(self, positions: np.ndarray) -> Forces:
        """Make a force call. Raises EngineError, and KeyboardInterrupt once ``interrupted`` is set."""
        if self.interrupted:
            raise KeyboardInterrupt
        self.force_calls += 1
        try:
            return self._engine(positions)
        except EngineError as error:
            self.last_error = str(error)
            raise

    async def submit(self, request: Request, priority: float = 0) -> Any:
        """Return the answer to a request."""
        return solve(_only(request), self.evaluate)

    async def compute(
        self, calculation: Calculation[Result], priority: Callable[[], float] = lambda: 0.0
    ) -> Result:
        """Run a calculation to its end and return its result."""
        return solve(calculation, self.evaluate)


def _only(request: Request) -> Calculation[Any]:
    """Ask for one thing and return its answer."""
    (answer,) = yield [request]
    return answer


class _NothingKept:
    """In place of :class:`mapmpi.pneb.parts.Parts`: a search that is broken off is lost."""

    def kept(self, key: bytes, calculation: Calculation[Result]) -> Calculation[Result]:
        return calculation

    def forget(self, key: bytes) -> None:
        pass


def refine_alone(config: Config, atoms: Atoms, engine: OneEngine, positions: np.ndarray) -> Pathway | None:
    """Refine a path (f, n, 3) Å of ``atoms`` on one engine; None where not a single frame could be quenched."""
    calculator = Calculator(config, atoms, engine, {}, _NothingKept(), Tally())  # type: ignore[arg-type]
    path = StoredPath("path", "frames of one's own", positions, None)
    return _finished(Refinement(config, calculator, path).run(), engine)


def _finished(main: Coroutine[Any, Any, Result], engine: OneEngine) -> Result:
    """Run a coroutine to its end and return its result; in a thread of its own where a loop runs, as in Jupyter."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main)
    with ThreadPoolExecutor(1) as threads:
        try:
            return threads.submit(asyncio.run, main).result()
        except BaseException:
            engine.interrupted = True  # or the thread would go on, and be waited for
            raise
