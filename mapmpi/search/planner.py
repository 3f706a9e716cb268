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
REPLAN, REPLAN_EACH, FIRST_PLANS, GROWTH = 25, 4, 5, 0.2
"""A plan is made anew after 25 visits, or 4 of each agent; in the beginning when visits are 5 and a fifth more."""
OPTIMISM = 1.0
"""Standard deviations by which a plan's energies lie below the map's."""
MARGIN = 0.2
"""Height, in units of the scale of the barriers, by which an episode may fall short of what was promised."""
DISCOUNT = 0.1
"""The same that a state loses with every time that one went on from it."""
MOST_VISITS = 8000
"""Visits that the map is learned from; of the older half every second is left out when there are more."""


@dataclass
class Visit:
    """A state that was visited."""

    place: np.ndarray
    """(3,) Å."""
    rise: float
    """Energy above that of the start in eV."""
    height: float
    """Height of the whole path up to here in eV."""
    origin: tuple[int, int, int]
    """Agent, episode and frame."""
    station: Any
    """What it takes to go on from there; the planner does not look into it."""
    tries: int = 0
    """How often one went on from it."""


@dataclass(frozen=True)
class Advice:
    """A way to follow, (k, 3) Å, and the height in eV above which it has not kept its promise."""

    way: np.ndarray
    limit: float


class Planner:
    """Exploration of a region by a number of agents.

    The height of a path is its highest energy above the start's, in eV.
    """

    def __init__(self, region: Region, agents: int = 1) -> None:
        self.region = region
        self.best = np.inf
        """Height of the best path to the goal."""
        self.cells: dict[tuple[int, ...], Visit] = {}
        """The archive: the state on the lowest path in each cube of CELL Å."""
        self.visited: list[tuple[np.ndarray, float]] = []
        """Place (3,) Å and rise in eV of what the map is learned from."""
        self._map = EnergyMap(region)
        self._plan: Plan | None = None
        self._replan, self._new = max(REPLAN, REPLAN_EACH * agents), 0

    @property
    def scale(self) -> float:
        """The scale of the barriers in eV: the height of the best path, or of what was met so far."""
        if np.isfinite(self.best):
            return max(self.best, 1e-3)
        met = [rise for _, rise in self.visited if rise > 0.0]
        return float(np.median(met)) if met else 1.0

    def add(self, visit: Visit) -> None:
        """Take up a visit."""
        self.visited.append((visit.place, visit.rise))
        self._new += 1
        if len(self.visited) > MOST_VISITS:
            half = MOST_VISITS // 2
            self.visited = self.visited[:half:2] + self.visited[half:]
        if visit.height >= self.best:
            return
        if float((visit.place - self.region.start) @ self.region.axes[0]) >= self.region.distance:
            self.best = visit.height
            self.cells = {key: known for key, known in self.cells.items() if known.height < self.best}
            return
        rival = self.cells.get(self._cell(visit.place))
        if rival is None or visit.height < rival.height:
            visit.tries = 0 if rival is None else rival.tries // 2
            self.keep(visit)

    def keep(self, visit: Visit) -> None:
        """Put a state into the archive."""
        self.cells[self._cell(visit.place)] = visit

    def _cell(self, place: np.ndarray) -> tuple[int, ...]:
        return tuple(np.floor((place - self.region.start) / CELL + 0.5).astype(int).tolist())

    @property
    def plan(self) -> Plan:
        """The plan over the map of what was visited, made anew from time to time."""
        known = len(self.visited) - self._new
        if self._plan is None or self._new >= min(self._replan, FIRST_PLANS + GROWTH * known):
            places, rises = zip(*self.visited, strict=True)
            self._map.fit(np.array(places), np.array(rises), self.scale)
            self._plan = Plan(self.region, self._map.lower_bound(OPTIMISM), self.scale)
            self._new = 0
        return self._plan

    def begin(self) -> tuple[Visit, Advice]:
        """Return the visit from which an episode is to go on, and the way to follow. At least one is known."""
        visits, scores = self._scores()
        chosen = visits[int(scores.argmin())]
        chosen.tries += 1
        return chosen, self.advice(chosen.place, chosen.height)

    def go_on(self, place: np.ndarray, height: float) -> Advice | None:
        """Return how an episode is to go on from a place (3,) Å; None if another one promises more.

        ``height`` is that of its path so far.
        """
        own = max(height, float(self.plan.height(place)[0]))
        if own > self._scores()[1].min() + MARGIN * self.scale:
            return None
        return self.advice(place, height)

    def advice(self, place: np.ndarray, height: float) -> Advice:
        """Return the way on from a place (3,) Å for a path of a height so far."""
        promised = max(height, float(self.plan.height(place)[0]))
        return Advice(self.plan.way(place), min(self.best, promised + MARGIN * self.scale))

    def _scores(self) -> tuple[list[Visit], np.ndarray]:
        """Return the states of the archive, and the height that each promises (m,) in eV."""
        visits = list(self.cells.values())
        promised = self.plan.height(np.array([visit.place for visit in visits]))
        tries = np.array([visit.tries for visit in visits])
        return visits, np.maximum([visit.height for visit in visits], promised) + DISCOUNT * self.scale * tries
