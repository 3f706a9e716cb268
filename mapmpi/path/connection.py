"""From the first basin of a path to the last over as many saddles as there are: which gaps to search next.

Pathways in a glass are chains: the saddle found between two minima often leads to others. All minima and saddles
found so far form a graph, and the next searches are those along its cheapest way from end to end, where a known
saddle costs nothing, a gap the square of its length, and a gap that was searched in vain much more (after
J. M. Carr, S. A. Trygubenko and D. J. Wales, J. Chem. Phys. 122, 234903 (2005)). So side valleys are left alone,
and a gap that nothing crosses is circumvented where that is possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

import numpy as np
from scipy.sparse.csgraph import dijkstra

from mapmpi.path.barrier import Barrier
from mapmpi.path.basins import Alignment, Matcher, StationaryPoint
from mapmpi.path.quench import Minimum

KNOWN = 1e-6
"""Å²: what crossing a known saddle costs; more than nothing, for a graph without weights has no edges."""
UNGUIDED = 2.0
"""How many times as much a gap costs for which no path is known to begin with."""
IN_VAIN = 1e3
"""How many times as much a gap costs once it was searched in vain."""
ATTEMPTS = 3
"""How often a gap is searched, each time from another path."""

Gap = tuple[int, int]
"""The numbers of two minima, in the sense in which the gap is to be crossed."""


@dataclass(frozen=True)
class Crossing:
    """A saddle that joins minima ``first`` and ``last`` (numbers), as the search ``barrier`` found it.

    The two alignments lead from the labels of the search to those of the minima.
    """

    first: int
    last: int
    barrier: Barrier
    to_first: Alignment
    to_last: Alignment

    @property
    def energy(self) -> float:
        """Energy of the saddle in eV."""
        assert self.barrier.saddle is not None
        return self.barrier.saddle.energy

    @property
    def verified(self) -> bool:
        """Whether the saddle was verified."""
        return self.barrier.verification is not None and self.barrier.verification.verified


@dataclass
class _Attempts:
    """The searches of one gap: how many were begun, the path for the next, and why the last failed."""

    begun: int = 0
    path: list[np.ndarray] | None = None
    reason: str = ""


@dataclass
class Connection:
    """What is known between the basins of a path; the first is the start, the last of them the end.

    ``minima`` are numbered as they are found, the basins first, structures that differ by an exchange of equal atoms
    as one; ``merged`` are gaps whose two ends turned out to be one minimum. ``searches`` is the number of searches
    that may still be made. What lies above ``ceiling_ev`` is not used: the path itself, as it was stored, is lower.
    """

    basins: Sequence[StationaryPoint]
    matcher: Matcher
    searches: int
    ceiling_ev: float = np.inf
    minima: list[StationaryPoint] = field(init=False)
    crossings: list[Crossing] = field(init=False, default_factory=list)
    merged: set[Gap] = field(init=False, default_factory=set)
    _gaps: dict[Gap, _Attempts] = field(init=False, default_factory=dict)
    _lengths: dict[Gap, float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.minima = list(self.basins)
        self.end = len(self.minima) - 1

    def _attempts(self, gap: Gap) -> _Attempts:
        return self._gaps.setdefault(_unordered(gap), _Attempts())

    def reason(self, gap: Gap) -> str:
        """Return why the last search of a gap failed."""
        return self._attempts(gap).reason

    def guess(self, gap: Gap, path: Sequence[np.ndarray]) -> None:
        """Keep a path (configurations (n, 3) Å, both minima included) as the next first band across a gap.

        Its ends may have other labels than the minima, but the same all along. It goes before what was kept.
        """
        attempts = self._attempts(gap)
        attempts.path = list(path) if gap[0] < gap[1] else list(path)[::-1]
        attempts.reason = ""

    def first_path(self, gap: Gap) -> list[np.ndarray]:
        """Return the path to begin with, in the gap's sense: the two minima where nothing better is known."""
        path = self._attempts(gap).path
        if path is not None:
            return path if gap[0] < gap[1] else path[::-1]
        first, last = (self.minima[number].positions for number in gap)
        return [first, self.matcher.nearest_labels(first, last).apply(last)]

    def _number(self, point: StationaryPoint) -> tuple[int, Alignment]:
        """Return the number of a minimum, new or known, and the alignment from its labels to the known one's."""
        for number, known in enumerate(self.minima):
            alignment = self.matcher.match(known, point)
            if alignment is not None:
                return number, alignment
        self.minima.append(point)
        return len(self.minima) - 1, Alignment.identity(len(point.positions))

    def _length2(self, gap: Gap) -> float:
        """Return the square of a gap's length in Å², equal atoms exchanged so that it is the least."""
        if gap not in self._lengths:
            first, last = (self.minima[number].positions for number in gap)
            apart = self.matcher.nearest_labels(first, last).apply(last) - first
            self._lengths[gap] = float(((apart - apart.mean(axis=0)) ** 2).sum())
        return self._lengths[gap]

    def _costs(self) -> np.ndarray:
        """Return the cost (m, m) of each gap in Å², its lower number first."""
        count = len(self.minima)
        costs = np.zeros((count, count))
        for gap in combinations(range(count), 2):
            attempts = self._gaps.get(gap, _Attempts())
            costs[gap] = self._length2(gap) * (1.0 if attempts.path is not None else UNGUIDED) + 2 * KNOWN
            if attempts.reason:
                costs[gap] *= IN_VAIN
            if max(self.minima[number].energy for number in gap) > self.ceiling_ev:
                costs[gap] *= IN_VAIN**2
        for crossing in self.crossings:
            if crossing.verified:
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
        return min(found, key=lambda one: (not one.verified, one.energy), default=None)

    def next_gaps(self) -> list[Gap]:
        """Return the gaps to search now; none when all is connected, or nothing is left to try or only to wait for.

        :meth:`learn` is to follow for each.
        """
        gaps = []
        for gap in pairwise(self.way()):
            attempts = self._attempts(gap)
            known = _unordered(gap) in self.merged or self.crossing(gap) is not None
            again = attempts.begun == 0 or (attempts.path is not None and attempts.begun < ATTEMPTS)
            if not known and again and not attempts.reason and self.searches > 0:
                self.searches -= 1
                gaps.append(gap)
        return gaps

    def begin(self, gap: Gap) -> list[np.ndarray]:
        """Return the path to search from and note that the search has begun."""
        path = self.first_path(gap)
        attempts = self._attempts(gap)
        attempts.begun += 1
        attempts.reason = "still being searched"
        return path

    def learn(self, gap: Gap, barrier: Barrier) -> None:
        """Take up what a search across a gap has found."""
        attempts = self._attempts(gap)
        if barrier.status == "same basin":
            self.merged.add(_unordered(gap))
            return
        attempts.reason = f"{barrier.status}: {barrier.reason}"
        top = 1 + int(np.argmax(barrier.energies[1:-1]))
        before, behind = list(barrier.band[:top]), list(barrier.band[top + 1 :])
        if barrier.saddle is None or barrier.sides is None:
            if barrier.beside is not None:
                left, right = (self._number(point)[0] for point in barrier.beside)
                self._around(gap, (left, right), barrier.beside, before, behind)
            return
        (first, to_first), (last, to_last) = (self._number(side) for side in barrier.sides)
        below = max(self.minima[number].energy for number in (first, last)) - barrier.saddle.energy
        if below >= 0:
            attempts.reason = f"not converged: the saddle lies {below:.4f} eV below a minimum beside it"
            return
        if first != last:
            self.crossings.append(Crossing(first, last, barrier, to_first, to_last))
        self._around(gap, (first, last), barrier.sides, before, behind)

    def _around(
        self,
        gap: Gap,
        found: Gap,
        minima: tuple[Minimum, Minimum],
        before: list[np.ndarray],
        behind: list[np.ndarray],
    ) -> None:
        """Keep what a search has shown as paths for the next ones: two minima, and where the band goes from there.

        ``before`` and ``behind`` are the images on both sides of the highest.
        """
        (first, last), (left, right) = found, minima
        if first == last and first in gap:  # the pass is not here: go on from where the band comes down
            path = [*right.trail[::-1], *behind] if first == gap[0] else [*before, *left.trail]
            self._suggest(gap, path)
            return
        self._suggest((gap[0], first), [*before, *left.trail])
        self._suggest((last, gap[1]), [*right.trail[::-1], *behind])
        self._suggest(found, [*left.trail[::-1], *right.trail])

    def _suggest(self, gap: Gap, path: list[np.ndarray]) -> None:
        """Keep a path for a gap that nothing crosses yet."""
        if gap[0] != gap[1] and self.crossing(gap) is None:
            self.guess(gap, path)


def _unordered(gap: Gap) -> Gap:
    return min(gap), max(gap)
