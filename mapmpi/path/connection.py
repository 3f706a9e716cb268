"""From the first basin of a path to the last over as many saddles as there are: which gaps to search next.

Pathways in a glass are chains: the saddle found between two minima often leads to others. All minima and saddles
found so far form a graph, and the next searches are those along its cheapest way from end to end, where a known
saddle costs nothing, a gap the square of its length, and a gap that was searched in vain much more (after
J. M. Carr, S. A. Trygubenko and D. J. Wales, J. Chem. Phys. 122, 234903 (2005)). So side valleys are left alone,
and a gap that nothing crosses is circumvented where that is possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from scipy.sparse.csgraph import dijkstra

from mapmpi.path.band import difference
from mapmpi.path.barrier import Barrier
from mapmpi.path.basins import Matcher, StationaryPoint
from mapmpi.path.quench import Minimum
from mapmpi.path.saddle import Saddle
from mapmpi.path.transition import Verification, same_place

KNOWN = 1e-6
"""Å²: what crossing a known saddle costs; more than nothing, for a graph without weights has no edges."""
IN_VAIN = 1e3
"""How many times as much a gap costs once it was searched in vain."""

Gap = tuple[int, int]
"""The numbers of two minima, in the sense in which the gap is to be crossed."""


@dataclass(frozen=True)
class Crossing:
    """A saddle that joins minima ``first`` and ``last`` (numbers), with the ends of the ways down from it."""

    first: int
    last: int
    saddle: Saddle
    sides: tuple[Minimum, Minimum]
    verification: Verification


class Connection:
    """What is known between the basins of a path; the first is the start, the last of them the end.

    ``minima`` are numbered as they are found, the basins first; ``crossings`` the saddles; ``reasons`` says of each
    gap that was searched and not crossed why, ``merged`` are gaps whose two ends turned out to be one minimum.
    ``searches`` is the number of searches that may still be made.
    """

    def __init__(self, basins: Sequence[StationaryPoint], matcher: Matcher, searches: int) -> None:
        self.minima = list(basins)
        self.end = len(basins) - 1
        self.crossings: list[Crossing] = []
        self.reasons: dict[Gap, str] = {}
        self.merged: set[Gap] = set()
        self.searches = searches
        self._matcher = matcher
        self._begun: set[Gap] = set()
        self._guesses: dict[Gap, list[np.ndarray]] = {}

    def guess(self, gap: Gap, path: Sequence[np.ndarray]) -> None:
        """Keep a path (configurations (n, 3) Å, both minima included) as the first band across a gap."""
        self._guesses.setdefault(_unordered(gap), list(path) if gap[0] < gap[1] else list(path)[::-1])

    def first_path(self, gap: Gap) -> list[np.ndarray] | None:
        """Return the path to begin with, in the gap's sense; None where nothing better than the two ends is known."""
        path = self._guesses.get(_unordered(gap))
        return path if path is None or gap[0] < gap[1] else path[::-1]

    def _number(self, point: StationaryPoint) -> int:
        """Return the number of a minimum, new or known."""
        for number, known in enumerate(self.minima):
            if same_place(self._matcher, known, point):
                return number
        self.minima.append(point)
        return len(self.minima) - 1

    def _costs(self) -> np.ndarray:
        """Return the cost (m, m) of each gap in Å²."""
        count = len(self.minima)
        costs = np.zeros((count, count))
        for gap in combinations(range(count), 2):
            first, last = (self.minima[number].positions for number in gap)
            costs[gap] = (difference(first, last, self._matcher.pbc) ** 2).sum() + KNOWN
            if gap in self.reasons:
                costs[gap] *= IN_VAIN
        for crossing in self.crossings:
            if crossing.verification.verified:
                costs[_unordered((crossing.first, crossing.last))] = KNOWN
        for gap in self.merged:
            costs[gap] = KNOWN
        return costs

    def way(self) -> list[int]:
        """Return the numbers of the minima along the cheapest way from start to end."""
        _, before = dijkstra(self._costs(), directed=False, indices=0, return_predecessors=True)
        way = [self.end]
        while way[-1] != 0:
            way.append(int(before[way[-1]]))
        return way[::-1]

    def crossing(self, gap: Gap) -> Crossing | None:
        """Return the lowest saddle known across a gap; one that was verified goes first."""
        found = [crossing for crossing in self.crossings if {crossing.first, crossing.last} == set(gap)]
        return min(found, key=lambda one: (not one.verification.verified, one.saddle.energy), default=None)

    def next_gaps(self) -> list[Gap]:
        """Return the gaps to search now; none when all is connected, or nothing is left to try or only to wait for.

        Each is handed out once; :meth:`learn` is to follow.
        """
        gaps = []
        for gap in pairwise(self.way()):
            key = _unordered(gap)
            known = key in self.merged or self.crossing(gap) is not None
            if not known and key not in self._begun and self.searches > 0:
                self._begun.add(key)
                self.searches -= 1
                gaps.append(gap)
        return gaps

    def learn(self, gap: Gap, barrier: Barrier, verification: Verification | None) -> None:
        """Take up what a search across a gap has found, with the check of its saddle where it has one."""
        key = _unordered(gap)
        if barrier.status == "same basin":
            self.merged.add(key)
            return
        self.reasons[key] = f"{barrier.status}: {barrier.reason}"
        if barrier.saddle is None or barrier.sides is None or verification is None:
            self._take_inner(gap, barrier)
            return
        first, last = (self._number(side) for side in barrier.sides)
        below = max(self.minima[number].energy for number in (first, last)) - barrier.saddle.energy
        if below >= 0:
            self.reasons[key] = f"not converged: the saddle lies {below:.4f} eV below a minimum beside it"
        elif first != last:
            self.crossings.append(Crossing(first, last, barrier.saddle, barrier.sides, verification))
            self.reasons.pop(_unordered((first, last)), None)
            top = 1 + int(np.argmax(barrier.energies[1:-1]))
            if first != gap[0]:
                self.guess((gap[0], first), [*barrier.band[:top], *barrier.sides[0].trail])
            if last != gap[1]:
                self.guess((last, gap[1]), [*barrier.sides[1].trail[::-1], *barrier.band[top + 1 :]])

    def _take_inner(self, gap: Gap, barrier: Barrier) -> None:
        """Take up minima that were found without a saddle, each with a path from the ends of the gap."""
        top = 1 + int(np.argmax(barrier.energies[1:-1]))
        for point in barrier.inner:
            number = self._number(point)
            if number not in gap:
                self.guess((gap[0], number), [*barrier.band[:top], *point.trail])
                self.guess((number, gap[1]), [*point.trail[::-1], *barrier.band[top + 1 :]])


def _unordered(gap: Gap) -> Gap:
    return min(gap), max(gap)
