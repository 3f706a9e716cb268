"""The archive: the states that exploration goes on from, of each small piece of the region one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mapmpi.climb import Heights

CELL = 1.0
"""Å: states whose molecule is in one cube of this size are rivals, and the one on the lowest path is kept."""


@dataclass
class Visit:
    """A state that was visited."""

    place: np.ndarray
    """(3,) Å."""
    energy: float
    """Present energy in eV."""
    heights: Heights
    """Of the whole path up to here."""
    origin: tuple[int, int, int]
    """Agent, episode and frame."""
    station: Any
    """What it takes to go on from there; the planner does not look into it."""
    beyond: tuple[np.ndarray, float] | None = None
    """Where it is pulled to, (3,) Å, and how high at least it is there: the energy with the tether's, in eV."""
    tries: int = 0
    """How often one went on from it."""

    @property
    def rise(self) -> float:
        """Energy above that of the start in eV."""
        return self.energy - self.heights.first


class Archive:
    """The state on the lowest path in each cube of CELL Å around a start (3,) Å."""

    def __init__(self, start: np.ndarray) -> None:
        self._start = start
        self.cells: dict[tuple[int, ...], Visit] = {}

    @property
    def visits(self) -> list[Visit]:
        """All of its states."""
        return list(self.cells.values())

    def offer(self, visit: Visit) -> None:
        """Keep a state if its path climbs less than that of its rival, half of whose tries it inherits."""
        rival = self.cells.get(self._cell(visit))
        if rival is None or visit.heights.climb < rival.heights.climb:
            visit.tries = 0 if rival is None else rival.tries // 2
            self.keep(visit)

    def keep(self, visit: Visit) -> None:
        """Keep a state, whatever there was."""
        self.cells[self._cell(visit)] = visit

    def drop(self, useless: Callable[[Visit], bool]) -> None:
        """Forget states."""
        self.cells = {cell: visit for cell, visit in self.cells.items() if not useless(visit)}

    def _cell(self, visit: Visit) -> tuple[int, ...]:
        return tuple(np.floor((visit.place - self._start) / CELL + 0.5).astype(int).tolist())
