"""The planner: keeps what was visited, and says from where exploring agents go on, and along which way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mapmpi.search.energymap import EnergyMap
from mapmpi.search.plan import Plan
from mapmpi.search.region import Region

CELL = 1.0
"""Å: states whose molecule is in one cube of this size are rivals, and the one on the lowest path is kept."""
REPLAN, GROWTH = 25, 0.2
"""Visits after which a plan is made anew, and the growth of their number that suffices, too."""
OPTIMISM = 1.0
"""Standard deviations by which a plan's energies lie below the map's."""
MARGIN = 0.2
"""Height, in units of the scale of the barriers, by which an episode may fall short of what was promised."""
DISCOUNT = 0.1
"""The same that a state loses with every time that one went on from it."""


@dataclass
class Visit:
    """A state that was visited: where, how high, and what it takes to go on from there."""

    place: np.ndarray
    """(3,) Å."""
    rise: float
    """Energy above that of the start in eV."""
    height: float
    """Height of the whole path up to here in eV."""
    station: Any
    tries: int = 0


@dataclass(frozen=True)
class Advice:
    """A way to follow, (k, 3) Å, and the height in eV above which it has not kept its promise."""

    way: np.ndarray
    limit: float


class Planner:
    """Exploration of a region. The height of a path is its highest energy above the start's, in eV."""

    def __init__(self, region: Region) -> None:
        self.region = region
        self.best = np.inf
        """Height of the best path to the goal."""
        self.cells: dict[tuple[int, ...], Visit] = {}
        self._map = EnergyMap(region)
        self._places: list[np.ndarray] = []
        self._rises: list[float] = []
        self._planned = 0
        self._plan: Plan | None = None

    @property
    def scale(self) -> float:
        """The scale of the barriers in eV: the height of the best path, or of what was met so far."""
        if np.isfinite(self.best):
            return max(self.best, 1e-3)
        rises = np.array(self._rises)
        met = rises[rises > 0.0]
        return float(np.median(met)) if len(met) else 1.0

    def add(self, visit: Visit) -> None:
        """Take up a visit."""
        self._places.append(visit.place)
        self._rises.append(visit.rise)
        if visit.height >= self.best:
            return
        if float((visit.place - self.region.start) @ self.region.axes[0]) >= self.region.distance:
            self.best = visit.height
            return
        key = tuple(np.floor((visit.place - self.region.start) / CELL + 0.5).astype(int).tolist())
        rival = self.cells.get(key)
        if rival is None or visit.height < rival.height:
            visit.tries = 0 if rival is None else rival.tries // 2
            self.cells[key] = visit

    @property
    def plan(self) -> Plan:
        """The plan over the map of what was visited, made anew from time to time."""
        visits = len(self._rises)
        if self._plan is None or visits - self._planned >= min(REPLAN, 5 + GROWTH * self._planned):
            self._planned = visits
            self._map.fit(np.array(self._places), np.array(self._rises), self.scale)
            self._plan = Plan(self.region, self._map.lower_bound(OPTIMISM), self.scale)
        return self._plan

    def begin(self) -> tuple[Visit, Advice]:
        """Return the visit from which an episode is to go on, and the way to follow."""
        visits, scores = self._scores()
        chosen = visits[int(scores.argmin())]
        chosen.tries += 1
        return chosen, self._advice(chosen.place, chosen.height)

    def go_on(self, place: np.ndarray, height: float) -> Advice | None:
        """Return how an episode is to go on from a place (3,) Å; None if another one promises more.

        ``height`` is that of its path so far.
        """
        own = max(height, float(self.plan.height(place)[0]))
        if own > self._scores()[1].min() + MARGIN * self.scale:
            return None
        return self._advice(place, height)

    def _scores(self) -> tuple[list[Visit], np.ndarray]:
        """Return the states that may lead to a better path, and the height that each promises (m,) in eV."""
        visits = [visit for visit in self.cells.values() if visit.height < self.best]
        promised = self.plan.height(np.array([visit.place for visit in visits]))
        tries = np.array([visit.tries for visit in visits])
        return visits, np.maximum([visit.height for visit in visits], promised) + DISCOUNT * self.scale * tries

    def _advice(self, place: np.ndarray, height: float) -> Advice:
        promised = max(height, float(self.plan.height(place)[0]))
        return Advice(self.plan.way(place), min(self.best, promised + MARGIN * self.scale))
