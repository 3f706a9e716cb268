"""The planner: keeps what was visited, and says from where exploring agents go on, and along which way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mapmpi.climb import Heights
from mapmpi.search.archive import Archive, Visit
from mapmpi.search.energymap import EnergyMap
from mapmpi.search.plan import Plan
from mapmpi.search.prior import Prior
from mapmpi.search.region import Region
from mapmpi.search.spread import spread

REPLAN, REPLAN_EACH, FIRST_PLANS, NEW_PART = 25, 4, 5, 0.2
"""A plan is made anew after 25 visits, or 4 of each agent; in the beginning when visits are 5 and a fifth more, or two
of each agent."""
FIRST_MARGIN, MARGIN = 2.0, 1.5
"""How many times as good as an episode's prospects those of the best state of the archive have to be for the episode
to end: before there is a way to the goal, and afterwards."""
PLAYED = 2
"""Of each agent's episodes every second is played to its end once there is a way to the goal, whatever else has
better prospects: it finds a path that may be a better one, and what lies far from the start."""
DISCOUNT = 0.7
"""What is left of a state's prospects each time that one went on from it: from an exact snapshot the same actions lead
to the same again."""
LEAST_WON = 0.01
"""What a path is expected to win at least, in units of the climb that wins nothing, so that no state stays untried."""
SPREAD = 0.2
"""Spread of energies at one place, in units of the scale, above which they are no function of it."""
PATIENCE, SMALLEST, WORTH_A_SEARCH = 2.0, 0.1, 0.01
"""Visits of all, in units of those after which a path was last better, after which searching gives way to practice
where the plan promises nearly the best path's climb; it is later the less it promises, down to the SMALLEST part that
counts. And the part of its climb by which a path has to be better for the search to have got on."""
LEAST_SCALE = 1e-3
"""eV: the scale of the barriers where there are none."""
DRAWS, DRAWN = 8, 1.0
"""Plans that agents follow before there is a way to the goal, lest many that begin at once all go the same way, and
how far they differ: standard deviation of the asinh of the energy where nothing was visited. Each is made anew after
DRAWS times as many visits as the common one, so that all together cost no more."""
MOST_VISITS = 8000
"""Visits that the map is learned from; of the older half every second is left out when there are more."""
MOST_STATES = 4000
"""States of the archive; the half with the poorer prospects is forgotten when there are more. Each has a snapshot, of
1,600 atoms 0.1 MB, and all of them are in every checkpoint."""


Known = list[tuple[np.ndarray, float]]
"""Places (3,) Å, and energies there in eV above the start's."""


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
        self.region, self._prior, self._planned = region, prior, mapped
        self.mapped = mapped
        """Whether there is a map; given up as long as the energy seems to be no function of the place."""
        self.best = np.inf
        """Climb of the best path to the goal in eV."""
        self.seen, self.got_on_at = 0, 0
        """Visits so far, and up to when one last found a path better than the best before (0: never)."""
        self.archive = Archive(region.start)
        self.visited: Known = []
        """Of each visit place (3,) Å and rise in eV; the map is learned from them,"""
        self.bounds: Known = []
        """and from where the tether pulled to: how high it is there at least."""
        self._met = 1.0  # eV, the median of the rises when the plan was last made
        self._worst = 0.0  # eV, the largest climb of the archive's states when they were last compared
        self._plan: Plan | None = None
        self._drawn: dict[int, tuple[Plan, int]] = {}
        self._draws: dict[int, int] = {}
        self.begun: Counter[int] = Counter()
        """How many episodes of the search each agent has begun."""
        self._agents = agents
        self._replan, self._new = max(REPLAN, REPLAN_EACH * agents), 0

    @property
    def _arrived(self) -> bool:
        """Whether there is a way to the goal."""
        return bool(np.isfinite(self.best))

    @property
    def scale(self) -> float:
        """The scale of the barriers in eV: the climb of the best path; before there is one, what was met so far."""
        return max(self.best if self._arrived else self._met, LEAST_SCALE)

    @property
    def _limit(self) -> float:
        """The climb in eV of paths that win nothing: that of the best, or of the worst before one arrives."""
        return self.best if self._arrived else self._worst

    @cached_property
    def _map(self) -> EnergyMap:
        return EnergyMap(self.region, self._prior)

    def spread(self) -> float:
        """Return by how many eV energies differ between visits to the same place, none high above the barriers."""
        visited = table(self.visited)
        low = visited[visited[:, 3] < 2.0 * self.scale]
        told = np.unique(low, axis=0)  # an episode's first state is told again
        return spread(told[:, :3], told[:, 3])

    def add(self, visit: Visit) -> None:
        """Take up a visit.

        At a wall the molecule stays while the tether pulls it on; what comes behind is never seen, a map takes it for
        lower, and leads there again and again. So it is also told how high it is at least where the tether pulls to:
        the least of the material's and the tether's energy together is nowhere higher than the material's there (the
        Moreau envelope).
        """
        self.seen += 1
        self._new += 1
        _learn(self.visited, visit.place, visit.rise)
        if visit.beyond is not None:
            _learn(self.bounds, visit.beyond[0], visit.beyond[1] - visit.heights.first)
        climb = visit.heights.climb
        if climb >= self.best:
            return
        if float((visit.place - self.region.start) @ self.region.axes[0]) >= self.region.distance:
            if self._arrived and climb < (1.0 - WORTH_A_SEARCH) * self.best:
                self.got_on_at = self.seen
            self.best = climb
            self.archive.drop(lambda known: known.heights.climb >= self.best)
            return
        self.archive.offer(visit)

    @property
    def plan(self) -> Plan:
        """The plan over the map of what was visited, made anew from time to time."""
        known = len(self.visited) - self._new
        if self._plan is None or self._new >= self._patience(known):
            visited = table(self.visited)
            if (visited[:, 3] > 0.0).any():
                self._met = float(np.median(visited[visited[:, 3] > 0.0, 3]))
            self._map.fit(visited[:, :3], visited[:, 3], self.scale, table(self.bounds), self.best)
            self._plan = Plan(self.region, self._map.energies(), self.scale)
            self._new = 0
            self.mapped = not self.spread() > SPREAD * self.scale
        return self._plan

    def _plan_of(self, agent: int) -> Plan:
        """Return the plan that an agent follows: the same for all once there is a way to the goal.

        Until then the first that asks follows the plan as it is, and the others what differs from it at random.
        """
        plan, draw = self.plan, self._draws.setdefault(agent, len(self._draws) % DRAWS)
        if self._arrived or draw == 0:
            return plan
        drawn, made_at = self._drawn.get(draw, (None, 0))
        if drawn is None or self.seen - made_at >= DRAWS * self._patience(made_at):
            energies = self._map.energies(DRAWN * self.region.random_field(draw))
            drawn = Plan(self.region, energies, self.scale)
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

        None for practice in its place: where the map promises nothing better than the best path, and where the
        agent that asks has ``searched`` for so many actions, against those that it ``practised``, that it is not worth
        while any more.
        """
        if self._planned:
            _ = self.plan  # may take the map up again
        visits, promised, prospects = self._scores()
        lowest = float(promised.min())
        if (self.mapped and lowest >= self.best) or self._had_its_share(searched, practised, lowest):
            return None
        chosen = visits[int(prospects.argmax())]
        chosen.tries += 1
        if len(visits) > MOST_STATES:
            poorer = {visits[number].origin for number in prospects.argsort()[: len(visits) // 2]}
            self.archive.drop(lambda known: known.origin in poorer)
        self.begun[agent] += 1
        return chosen, self.advice(chosen.place, agent)

    def go_on(self, place: np.ndarray, heights: Heights, agent: int = 0) -> Advice | None:
        """Return how an episode is to go on from a place (3,) Å; None if another one has better prospects.

        ``heights`` are those of its path so far.
        """
        if not self.mapped:
            return None
        return None if self._better_elsewhere(place, heights, agent) else self.advice(place, agent)

    def _better_elsewhere(self, place: np.ndarray, heights: Heights, agent: int) -> bool:
        """Tell whether an agent had better begin elsewhere than go on from a place (3,) Å."""
        if self._arrived and (agent + self.begun[agent]) % PLAYED == 0:  # half of the agents at any time
            return False
        elsewhere = self._scores()[2].max()
        here = self._prospects(self._promised(self.plan, place[None], [heights]))
        return bool((MARGIN if self._arrived else FIRST_MARGIN) * here[0] < elsewhere)

    def advice(self, place: np.ndarray, agent: int = 0) -> Advice:
        """Return the way on from a place (3,) Å."""
        return Advice(self._plan_of(agent).way(place) if self.mapped else None, self.best)

    @staticmethod
    def _promised(plan: Plan, places: np.ndarray, heights: list[Heights]) -> np.ndarray:
        """Return the climbs (m,) eV that paths will have at the goal by a plan, from places (m, 3) Å on."""
        climbs = np.array([known.climb for known in heights])
        lows = np.array([known.low - known.first for known in heights])
        return np.maximum(climbs, plan.height(places) - lows)

    def _prospects(self, promised: np.ndarray) -> np.ndarray:
        """Return what paths win that promise climbs of (m,) eV, (m,) eV."""
        return np.maximum(self._limit - promised, LEAST_WON * self._limit)

    def _scores(self) -> tuple[list[Visit], np.ndarray, np.ndarray]:
        """Return the states of the archive, the climbs that they promise, and their prospects, (m,) eV.

        Prospects are discounted by the states' tries. Without a map the climbs are those of the paths so far.
        """
        visits = self.archive.visits
        places, heights = np.array([visit.place for visit in visits]), [visit.heights for visit in visits]
        climbs = np.array([known.climb for known in heights])
        self._worst = float(climbs.max())
        promised = self._promised(self.plan, places, heights) if self.mapped else climbs
        discounts = DISCOUNT ** np.array([visit.tries for visit in visits])
        return visits, promised, self._prospects(promised) * discounts


def _learn(known: Known, place: np.ndarray, rise: float) -> None:
    """Add to what is known, and forget every second of the older half where there are more than MOST_VISITS."""
    known.append((place, rise))
    if len(known) > MOST_VISITS:
        half = MOST_VISITS // 2
        known[:half] = known[:half:2]


def table(known: Known) -> np.ndarray:
    """Return the places in Å and the rises in eV, (m, 4)."""
    return np.array([[*place, rise] for place, rise in known]).reshape(-1, 4)
