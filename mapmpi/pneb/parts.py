"""What searches have computed so far, kept on disk until they are done: a killed job loses only what is under way.

That saves time and nothing else, so trouble with these files, such as a full disk, never ends a job: the search goes
on, and is not kept.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mapmpi.calculation import Forces, Request, Subcalculation
from mapmpi.errors import UserError
from mapmpi.path.matching import StationaryPoint
from mapmpi.path.quench import Minimum
from mapmpi.path.saddle import Saddle
from mapmpi.store.journal import Journal, digest

KINDS = (Forces, Minimum, Saddle)
"""The records with which requests of a search are answered."""


class Parts:
    """A folder with a journal for each calculation that is under way.

    Half of the files that a process may have open are for them; calculations beyond that are not kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.free = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2

    def of(self, key: bytes) -> Answers | None:
        """Return what was kept of a calculation that ``key`` determines, until :meth:`forget`.

        None where nothing can be kept: too many are open, the disk is full, or the file is damaged.
        """
        if self.free <= 0:
            return None
        try:
            self.folder.mkdir(exist_ok=True)
            return Answers(self, Journal(self._file(key), KINDS))
        except (OSError, UserError):
            return None

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


class Answers:
    """The answers that a calculation was given, as they came: a :class:`~mapmpi.calculation.Memory`.

    Behind an EngineError none are kept: the next time the engine may not fail.
    """

    def __init__(self, parts: Parts, journal: Journal) -> None:
        self._parts, self._journal = parts, journal
        self._open, self._round, self._name = True, 0, b""
        parts.free -= 1

    def recall(self, wanted: list[Request]) -> tuple[list[Any], int] | None:
        """Return the answers to the next round of requests and their force calls; None if they are not known."""
        self._round += 1
        self._name = digest("calls first", self._round, *_marks(wanted))
        if not self._open or self._name not in self._journal:
            return None
        calls, *answers = self._journal[self._name]
        return answers, calls

    def keep(self, answers: list[Any], calls: int) -> None:
        """Keep the answers to the round that was asked for last, if that is possible."""
        try:
            if self._open:
                self._journal[self._name] = (calls, *answers)
        except OSError:
            self.close()

    def close(self) -> None:
        """Keep no more."""
        if self._open:
            self._open = False
            self._parts.free += 1
            with contextlib.suppress(OSError):
                self._journal.close(sync=False)


def _marks(requests: Sequence[Request]) -> list[Any]:
    """Return what tells requests apart: configurations, or the names of functions and where they begin."""
    marks: list[Any] = []
    for request in requests:
        if not isinstance(request, Subcalculation):
            marks.append(request)
            continue
        places = [one.positions if isinstance(one, StationaryPoint) else one for one in request.arguments]
        marks += [request.function.__name__, *(one for one in places if isinstance(one, (np.ndarray, int, float)))]
    return marks
