"""What is known of the passes between the basins of a path: minima, the saddles that join them, the fastest way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from mapmpi.path.barrier import Barrier
from mapmpi.path.basins import Alignment, Matcher, StationaryPoint
from mapmpi.units import BOLTZMANN_EV_PER_K

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

    def same_pass(self, other: Crossing) -> bool:
        """Tell whether another crossing is over the same saddle, found again (see BarrierSearch.recognised)."""
        return {self.first, self.last} == {other.first, other.last} and self.energy == other.energy

    @property
    def verified(self) -> bool:
        """Whether the saddle was verified."""
        return self.barrier.verification is not None and self.barrier.verification.verified


@dataclass
class Passes:
    """Minima and saddles known between the basins of a path; the first is the start, the last of them the end.

    ``minima`` are numbered as they are found, the basins first, structures that differ by an exchange of equal atoms
    as one; ``merged`` are gaps whose two ends turned out to be one minimum, or between which there is no verified
    saddle and no barrier above the matcher's tolerance of energies: the ``negligible`` crossings.
    """

    basins: Sequence[StationaryPoint]
    matcher: Matcher
    minima: list[StationaryPoint] = field(init=False)
    crossings: list[Crossing] = field(init=False, default_factory=list)
    merged: set[Gap] = field(init=False, default_factory=set)
    negligible: dict[Gap, Crossing] = field(init=False, default_factory=dict)
    _lengths: dict[Gap, float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.minima = list(self.basins)
        self.end = len(self.minima) - 1

    def number(self, point: StationaryPoint) -> tuple[int, Alignment]:
        """Return the number of a minimum, new or known, and the alignment from its labels to the known one's."""
        for number, known in enumerate(self.minima):
            alignment = self.matcher.match(known, point)
            if alignment is not None:
                return number, alignment
        self.minima.append(point)
        return len(self.minima) - 1, Alignment.identity(len(point.positions))

    def add(self, crossing: Crossing, barrier_ev: float) -> None:
        """Take up a crossing, whose barrier from the higher of its two minima is given."""
        gap = unordered((crossing.first, crossing.last))
        if crossing.verified or barrier_ev >= self.matcher.energy_tolerance_ev:
            self.crossings.append(crossing)
            if crossing.verified:
                self.merged.discard(gap)
        elif self.crossing(gap) is None:  # nothing that the energies can resolve holds the system there
            self.merged.add(gap)
            self.negligible[gap] = crossing

    def length2(self, gap: Gap) -> float:
        """Return the square of a gap's length in Å², equal atoms exchanged so that it is the least."""
        if gap not in self._lengths:
            first, last = (self.minima[number].positions for number in gap)
            apart = self.matcher.nearest_labels(first, last).apply(last) - first
            drift = 0.0 if self.matcher.held else apart.mean(axis=0)
            self._lengths[gap] = float(((apart - drift) ** 2).sum())
        return self._lengths[gap]

    def crossing(self, gap: Gap, ceiling_ev: float = np.inf) -> Crossing | None:
        """Return the lowest saddle known across a gap, none above the ceiling; one that was verified goes first."""
        found = [one for one in self.crossings if {one.first, one.last} == set(gap) and one.energy <= ceiling_ev]
        return min(found, key=lambda one: (not one.verified, one.energy), default=None)

    def known(self) -> list[Barrier]:
        """Return the searches whose saddles are verified: what they found need not be checked again."""
        return [crossing.barrier for crossing in self.crossings if crossing.verified]

    def fastest_way(self, temperature_k: float) -> list[int] | None:
        """Return the numbers of the minima along the way with the least time by Eq. 3; None if none is complete.

        A saddle that was not verified counts as much as that whole way: it is circumvented where that does not make
        the way much slower.
        """
        times, doubtful = self._times(temperature_k)
        least = dijkstra(csr_array(times), indices=0)[self.end]
        if not np.isfinite(least):
            return None
        _, before = dijkstra(csr_array(times + least * doubtful), indices=0, return_predecessors=True)
        return self.back(before)

    def _times(self, temperature_k: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the time (m, m) of each hop, 0 where there is none, in units of the longest; which are doubtful."""
        count = len(self.minima)
        climbs, doubtful = np.full((count, count), np.inf), np.zeros((count, count), dtype=bool)
        for one in {unordered((crossing.first, crossing.last)) for crossing in self.crossings}:
            best = self.crossing(one)
            assert best is not None
            for gap in (one, one[::-1]):
                climbs[gap], doubtful[gap] = best.energy - self.minima[gap[0]].energy, not best.verified
        for one in self.merged:
            for gap in (one, one[::-1]):
                climbs[gap], doubtful[gap] = 0.0, False
        known = np.isfinite(climbs)
        highest = climbs[known].max(initial=0.0)
        times = np.zeros((count, count))
        times[known] = np.exp((climbs[known] - highest) / (BOLTZMANN_EV_PER_K * temperature_k)) + 1e-300
        return times, doubtful

    def back(self, before: np.ndarray) -> list[int]:
        """Return the way to the end of which ``before`` has each minimum's predecessor."""
        way = [self.end]
        while way[-1] != 0:
            way.append(int(before[way[-1]]))
        return way[::-1]


def unordered(gap: Gap) -> Gap:
    """Return a gap with its lower number first."""
    return min(gap), max(gap)
