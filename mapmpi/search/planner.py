"""The planner: keeps what was visited, and says from where exploring agents go on, and along which way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from mapmpi.climb import Heights
from mapmpi.search.archive import Archive, Visit
from mapmpi.search.energymap import EnergyMap
from mapmpi.search.growth import Growth
from mapmpi.search.plan import Plan
from mapmpi.search.prior import Prior
from mapmpi.search.region import Region

REPLAN, REPLAN_EACH, FIRST_PLANS, NEW_PART = 25, 4, 5, 0.2
"""A plan is made anew after 25 visits, or 4 of each agent; in the beginning when visits are 5 and a fifth more, or two
of each agent."""
OPTIMISM = 1.0
"""Standard deviations by which a plan's energies lie below the map's."""
FIRST_MARGIN, MARGIN = 1.0, 0.2
"""Climb, in units of the scale of the barriers, by which an episode may promise less than the best state of the
archive before it had better begin there: before there is a way to the goal, and afterwards."""
PLAYED = 2
"""Of each agent's episodes every second is played to its end once there is a way to the goal, whatever else promises
more: it finds a path that may be a better one, and what lies far from the start."""
DISCOUNT = 0.1
"""Climb, in units of the scale, that a state loses with every time that one went on from it."""
REPEATED, ALIKE, FEWEST_PAIRS, SPREAD = 0.2, 0.05, 30, 0.2
"""Å between places of which one is the other visited again, and within which their distance says nothing; pairs of
them that tell; the spread of energies at one place, in units of the best path's climb (before there is one, of the
scale), above which they are no function of it."""
PATIENCE, WORTH_A_SEARCH = 2.0, 0.01
"""Visits, of those it took to come to the best path so far, after which searching on gives way to practice where the
plan promises nothing better, and the part of its climb by which a path has to be better for the search to have got on.
"""
LEAST_SCALE, SMALLEST = 1e-3, 0.1
"""eV: the scale of the barriers where there are none; and the part of the best path's climb that it is at least. A
plan that is far too hopeful makes it small, then what lies low all but rules the next fit, and that hopes for more."""
DRAWS, DRAWN = 8, 1.0
"""Plans that agents follow before there is a way to the goal, lest many that begin at once all go the same way, and
how far they differ: standard deviation of the asinh of the energy where nothing was visited. Each is made anew after
DRAWS times as many visits as the common one, so that all together cost no more."""
MOST_VISITS = 8000
"""Visits that the map is learned from; of the older half every second is left out when there are more."""


@dataclass(frozen=True)
class Advice:
    """A way to follow, (k, 3) Å, and the climb in eV of the best path so far, from which on it is of no use.

    Where there is no map there is no way: None.
    """

    way: np.ndarray | None
    limit: float


class Planner:
    """Exploration of a region by a number of agents, for the path whose climb is least."""

    def __init__(self, region: Region, agents: int = 1, mapped: bool = True, prior: Prior | None = None) -> None:
        """Begin to explore. If it is not ``mapped``, there is the archive alone, the lowest path first."""
        self.region, self._prior = region, prior
        self.mapped = mapped
        """Whether there is a map; given up where the energy turns out to be no function of the place."""
        self.best = np.inf
        """Climb of the best path to the goal in eV."""
        self.seen, self.got_on_at = 0, 0
        """Visits so far, and up to when one last found a path better than the best before (0: never)."""
        self.archive = Archive(region.start)
        self.visited: list[tuple[np.ndarray, float]] = []
        """Place (3,) Å and rise in eV of what the map is learned from."""
        self.scale = 1.0
        """The scale of the barriers in eV: what was met so far, or once there is a way, what the plan expects."""
        self.growth = Growth()
        """By how much the climbs that the plan promises grow on the way."""
        self._plan: Plan | None = None
        self._drawn: dict[int, tuple[Plan, int]] = {}
        self._draws: dict[int, int] = {}
        self._begun: Counter[int] = Counter()
        self._agents = agents
        self._replan, self._new = max(REPLAN, REPLAN_EACH * agents), 0

    @cached_property
    def _map(self) -> EnergyMap:
        return EnergyMap(self.region, self._prior)

    def spread(self) -> float:
        """Return by how many eV energies differ between visits to the same place (standard deviation).

        It is the nugget of the variogram: half the mean square of a difference grows with the square of the distance
        by what the slopes are, and what is left of it at none is the spread (Cressie, *Statistics for Spatial Data*,
        1993, section 2.3). NaN where too few places were visited again, none high above the barriers.
        """
        low = [(place, rise) for place, rise in self.visited if rise < 2.0 * self.scale]
        if len(low) < FEWEST_PAIRS:
            return np.nan
        places, rises = map(np.array, zip(*low, strict=True))
        pairs = cKDTree(places).query_pairs(REPEATED, output_type="ndarray")
        if len(pairs) < FEWEST_PAIRS:
            return np.nan
        one, other = pairs.T
        squares = ((places[one] - places[other]) ** 2).sum(axis=1)
        certain = 1.0 / (squares + ALIKE**2)  # the scatter of a square grows with its mean
        terms = np.stack([np.ones(len(pairs)), squares], axis=1) * certain[:, None]
        halves = 0.5 * (rises[one] - rises[other]) ** 2 * certain
        return float(np.sqrt(max(np.linalg.lstsq(terms, halves)[0][0], 0.0)))

    def add(self, visit: Visit) -> None:
        """Take up a visit."""
        self.visited.append((visit.place, visit.rise))
        self._new += 1
        self.seen += 1
        if len(self.visited) > MOST_VISITS:
            half = MOST_VISITS // 2
            self.visited = self.visited[:half:2] + self.visited[half:]
        agent, climb = visit.origin[0], visit.heights.climb
        if self._plan is not None and self.growth.follows(agent):
            promise = float(self._promised(self._plan, visit.place[None], [visit.heights])[0])
            self.growth.note(agent, visit.place, min(promise, self.best))
        if climb >= self.best:
            return
        if float((visit.place - self.region.start) @ self.region.axes[0]) >= self.region.distance:
            if np.isfinite(self.best) and climb < (1.0 - WORTH_A_SEARCH) * self.best:
                self.got_on_at = self.seen
            self.best, self.scale = climb, max(min(climb, self.scale), LEAST_SCALE)
            self.archive.drop(lambda known: known.heights.climb >= self.best)
            return
        self.archive.offer(visit)

    @property
    def plan(self) -> Plan:
        """The plan over the map of what was visited, made anew from time to time."""
        known = len(self.visited) - self._new
        if self._plan is None or self._new >= self._patience(known):
            places, rises = map(np.array, zip(*self.visited, strict=True))
            if not np.isfinite(self.best) and (rises > 0.0).any():
                self.scale = max(float(np.median(rises[rises > 0.0])), LEAST_SCALE)
            self._map.fit(places, rises, self.scale)
            self._plan = Plan(self.region, self._map.lower_bound(OPTIMISM), self.scale)
            self._new = 0
            expected = min(self.best, max(float(self._plan.height(self.region.start)[0]), LEAST_SCALE))
            if np.isfinite(self.best):  # the first way may be far from the best
                self.scale = max(expected, SMALLEST * self.best)
            self.mapped = not self.spread() > SPREAD * (self.best if np.isfinite(self.best) else self.scale)
        return self._plan

    def _plan_of(self, agent: int) -> Plan:
        """Return the plan that an agent follows: the same for all once there is a way to the goal.

        Until then the first that asks follows the plan as it is, and the others what differs from it at random.
        """
        plan, draw = self.plan, self._draws.setdefault(agent, len(self._draws) % DRAWS)
        if np.isfinite(self.best) or draw == 0:
            return plan
        drawn, made_at = self._drawn.get(draw, (None, 0))
        if drawn is None or self.seen - made_at >= DRAWS * self._patience(made_at):
            lowered = self._map.lower_bound(OPTIMISM, DRAWN * self.region.random_field(draw))
            drawn = Plan(self.region, lowered, self.scale)
            self._drawn[draw] = drawn, self.seen
        return drawn

    def _patience(self, known: int) -> float:
        """Return how many more visits make a plan anew that was made after ``known``."""
        return min(self._replan, max(2 * self._agents, FIRST_PLANS + NEW_PART * known))

    def plan_anew(self) -> None:
        """Have the plan made anew when it is next asked for."""
        self._plan, self._drawn = None, {}

    def _had_its_share(self, searched: int, practised: int, promised: float) -> bool:
        """Return whether who has spent so many actions on searching had better practise now.

        All are worth spending on the search until it has improved on the first path, and for some time after, the
        longer the lower the climb that is ``promised``; then it falls with the visits that have brought nothing.
        """
        if not (self.mapped and self.got_on_at):
            return False
        patience = PATIENCE * self.got_on_at / max(promised / self.best, SMALLEST)
        return searched > min(1.0, patience / self.seen) * (searched + practised)

    def begin(self, searched: int = 0, practised: int = 0, agent: int = 0) -> tuple[Visit, Advice] | None:
        """Return the visit from which an episode is to go on, and the way to follow. At least one is known.

        None for practice in its place: where the map promises nothing better than the best path that there is, and
        where the agent that asks has ``searched`` for so many actions, against those that it ``practised``, that it is
        not worth while any more.
        """
        self.growth.end(agent)
        visits, promised, expected = self._scores()
        lowest = float(promised.min())
        if (self.mapped and lowest >= self.best) or self._had_its_share(searched, practised, lowest):
            return None
        chosen = visits[int(expected.argmin())]
        chosen.tries += 1
        self._begun[agent] += 1
        if self.mapped:
            self.growth.begin(agent)
        return chosen, self.advice(chosen.place, agent)

    def go_on(self, place: np.ndarray, heights: Heights, agent: int = 0) -> Advice | None:
        """Return how an episode is to go on from a place (3,) Å; None if another one promises more.

        ``heights`` are those of its path so far.
        """
        if not self.mapped:
            return None
        return None if self._better_elsewhere(place, heights, agent) else self.advice(place, agent)

    def _better_elsewhere(self, place: np.ndarray, heights: Heights, agent: int) -> bool:
        """Tell whether an agent had better begin elsewhere than go on from a place (3,) Å."""
        arrived = bool(np.isfinite(self.best))
        if arrived and (agent + self._begun[agent]) % PLAYED == 0:  # half of the agents at any time
            return False
        margin = self.scale * (MARGIN if arrived else FIRST_MARGIN)
        here = self._promised(self.plan, place[None], [heights]) + self._to_grow(place[None])
        return bool(here[0] > self._scores()[2].min() + margin)

    def advice(self, place: np.ndarray, agent: int = 0) -> Advice:
        """Return the way on from a place (3,) Å."""
        return Advice(self._plan_of(agent).way(place) if self.mapped else None, self.best)

    @staticmethod
    def _promised(plan: Plan, places: np.ndarray, heights: list[Heights]) -> np.ndarray:
        """Return the climbs (m,) eV that paths will have at the goal by a plan, from places (m, 3) Å on."""
        climbs = np.array([known.climb for known in heights])
        lows = np.array([known.low - known.first for known in heights])
        return np.maximum(climbs, plan.height(places) - lows)

    def _to_grow(self, places: np.ndarray) -> np.ndarray:
        """Return by how much the climbs promised at places (m, 3) Å will have grown at the goal, (m,) eV."""
        return self.growth.rate * self.plan.length(places)

    def _scores(self) -> tuple[list[Visit], np.ndarray, np.ndarray]:
        """Return the states of the archive, and the climbs that they promise and that are to be expected, (m,) eV.

        Both with what the states' tries cost. Without a map they are the climbs of the paths so far.
        """
        visits = self.archive.visits
        price = DISCOUNT * self.scale * np.array([visit.tries for visit in visits])
        if not self.mapped:
            climbs = np.array([visit.heights.climb for visit in visits]) + price
            return visits, climbs, climbs
        places = np.array([visit.place for visit in visits])
        promised = self._promised(self.plan, places, [visit.heights for visit in visits]) + price
        return visits, promised, promised + self._to_grow(places)
