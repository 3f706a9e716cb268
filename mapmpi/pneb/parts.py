"""What searches have computed so far, kept on disk until they are done: a killed job loses only what is under way.

That saves time and nothing else, so trouble with these files, such as a full disk, never ends a job: the search goes
on, and is not kept.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mapmpi.calculation import Calculation, Forces, Request, Subcalculation
from mapmpi.errors import EngineError, UserError
from mapmpi.path.basins import StationaryPoint
from mapmpi.path.quench import Minimum
from mapmpi.path.saddle import Saddle
from mapmpi.store.journal import Journal, digest

ANSWERS = (Forces, Minimum, Saddle)
"""The dataclasses with which requests of a search are answered."""

Result = TypeVar("Result")


class Parts:
    """A folder with a journal for each calculation that is under way.

    Half of the files that a process may have open are for them; calculations beyond that are not kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.free = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2

    def kept(self, key: bytes, calculation: Calculation[Result]) -> Calculation[Result]:
        """Run a calculation that ``key`` determines; what it was answered before is not asked for again.

        Answers are kept as they come, until :meth:`forget`. Behind an EngineError none are: the next time the engine
        may not fail.
        """
        journal, number = self._open(key), 0
        try:
            requests = next(calculation)
            while True:
                number += 1
                name = digest(number, *_marks(requests))
                if journal is not None and name in journal:
                    requests = calculation.send(list(journal[name]))
                    continue
                try:
                    answers = yield requests
                except EngineError as error:
                    self._close(journal)
                    journal, requests = None, calculation.throw(error)
                    continue
                if journal is not None and not _written(journal, name, answers):
                    self._close(journal)
                    journal = None
                requests = calculation.send(answers)
        except StopIteration as stop:
            return stop.value
        finally:
            calculation.close()
            self._close(journal)

    def forget(self, key: bytes) -> None:
        """Remove what was kept of a calculation, now that its result is kept elsewhere."""
        with contextlib.suppress(OSError):
            self._file(key).unlink()

    def end(self) -> None:
        """Remove the folder if nothing is left in it: a calculation that other settings asked for may be."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _file(self, key: bytes) -> Path:
        return self.folder / key.hex()[:24]

    def _open(self, key: bytes) -> Journal | None:
        """Open the journal of a calculation, or begin it; None where that is not possible, or its file is damaged."""
        if self.free <= 0:
            return None
        try:
            self.folder.mkdir(exist_ok=True)
            journal = Journal(self._file(key), ANSWERS)
        except (OSError, UserError):
            return None
        self.free -= 1
        return journal

    def _close(self, journal: Journal | None) -> None:
        """Close a journal that is open."""
        if journal is not None:
            self.free += 1
            with contextlib.suppress(OSError):
                journal.close(sync=False)


def _written(journal: Journal, name: bytes, answers: Sequence[Any]) -> bool:
    """Write answers and tell whether that was possible."""
    try:
        journal[name] = tuple(answers)
    except OSError:
        return False
    return True


def _marks(requests: Sequence[Request]) -> list[Any]:
    """Return by what requests are known: they, or the names of functions and the places where these begin."""
    marks: list[Any] = []
    for request in requests:
        if not isinstance(request, Subcalculation):
            marks.append(request)
            continue
        places = [one.positions if isinstance(one, StationaryPoint) else one for one in request.arguments]
        marks += [request.function.__name__, *(one for one in places if isinstance(one, (np.ndarray, int, float)))]
    return marks
