"""From the first basin of a path to the last over as many saddles as there are: which gaps to search next.

Pathways in a glass are chains: the saddle found between two minima often leads to others. All minima and saddles
found so far form a graph, and the next searches are those along its cheapest walk from end to end, where a gap costs
the square of its length, one that was searched in vain much more, and a known saddle nothing (after J. M. Carr,
S. A. Trygubenko and D. J. Wales, J. Chem. Phys. 122, 234903 (2005)). So a gap that nothing crosses is circumvented
where that is possible. While few searches run, those are begun, too, that would follow if nothing came of these. Once
the ends are connected, a saddle costs by its height, and a few more searches go across gaps that might lead past the
highest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
from scipy.sparse.csgraph import dijkstra

from mapmpi.config import ConnectSettings
from mapmpi.path.barrier import Barrier
from mapmpi.path.gaps import Attempts, leads
from mapmpi.path.matching import Matcher, StationaryPoint
from mapmpi.path.network import Edge, Gap, Network, fastest_walk, unordered
from mapmpi.path.pathway import over_saddle
from mapmpi.path.quench import Minimum
from mapmpi.units import BOLTZMANN_EV_PER_K

KNOWN = 1e-6
"""Å²: the least that anything costs; a graph without weights has no edges."""
HEIGHT = 10.0
"""Å² for each eV of a known saddle above the start: worth a search across a gap of 3 Å is a saddle lower by 1 eV."""
UNGUIDED = 2.0
"""How many times as much a gap costs for which no path is known to begin with."""
IN_VAIN = 1e3
"""How many times as much a gap costs once it was searched in vain."""
SPARE = 6
"""How many searches are made beside the cheapest walk while fewer run than may at once."""
LOWER = 3
"""So many of them, or more, are made once the ends are connected: they look for lower saddles."""
DOUBT = 4.0
"""Å²: what a saddle costs that was not verified."""


class Connection:
    """The search of a walk from the first basin of a path to the last, over the ``network`` of what was found.

    The network's first minima are the basins, its minimum 0 the start, ``end`` the end. ``verified`` are the searches
    that found a verified saddle. ``searches`` may still be made, so many side by side as the settings say, ``spare``
    of them beside the cheapest walk. Minima and saddles above ``ceiling_ev`` are avoided: the path itself, as it was
    stored, is lower, so there is a walk below; a gap that has no other saddle is searched on.
    """

    def __init__(
        self,
        basins: Sequence[StationaryPoint],
        matcher: Matcher,
        settings: ConnectSettings,
        ceiling_ev: float = np.inf,
        spare: int = SPARE,
    ) -> None:
        self.network, self.end = Network(matcher, basins), len(basins) - 1
        self.settings, self.ceiling_ev, self.spare = settings, ceiling_ev, spare
        # for two segments more than there are: a short path needs searches to find its way, too
        self.searches = self.settings.searches * (len(basins) + 1)
        self.verified: list[Barrier] = []
        self._gaps: dict[Gap, Attempts] = {}
        self._improving = False

    def _attempts(self, gap: Gap) -> Attempts:
        return self._gaps.setdefault(unordered(gap), Attempts())

    def reason(self, gap: Gap) -> str:
        """Return why the last search of a gap failed."""
        return self._attempts(gap).reason

    def guess(self, gap: Gap, path: Sequence[np.ndarray]) -> None:
        """Keep a path (configurations (n, 3) Å, both minima included) as the next first band across a gap.

        Its ends may have other labels than the minima, but the same all along. It goes before what was kept.
        """
        attempts = self._attempts(gap)
        attempts.path = list(path) if gap[0] < gap[1] else list(path)[::-1]
        attempts.fresh = True

    def first_path(self, gap: Gap) -> list[np.ndarray]:
        """Return the path to begin with, in the gap's sense: the two minima where nothing better is known."""
        path = self._attempts(gap).path
        if path is not None:
            return path if gap[0] < gap[1] else path[::-1]
        first, last = (self.network.minima[number].positions for number in gap)
        return [first, self.network.matcher.nearest_labels(first, last).apply(last)]

    def _costs(self, around: bool = False) -> np.ndarray:
        """Return the cost (m, m) of each gap in Å², its lower number first; see :meth:`cheapest_walk`."""
        network = self.network
        count = len(network.minima)
        costs = np.zeros((count, count))
        for gap in combinations(range(count), 2):
            attempts = self._gaps.get(gap, Attempts())
            costs[gap] = network.length2(gap) * (1.0 if attempts.path is not None else UNGUIDED) + 2 * KNOWN
            if attempts.closed or (attempts.running and around):
                costs[gap] *= IN_VAIN
            if max(network.minima[number].energy for number in gap) > self.ceiling_ev:
                costs[gap] *= IN_VAIN**2
        for gap in {edge.gap for edge in network.edges}:
            if (best := network.edge(gap, self.ceiling_ev)) is None:
                continue
            height = max(best.saddle.energy - network.minima[0].energy, 0.0) if self._improving else 0.0
            costs[gap] = HEIGHT * height + (KNOWN if best.verified else DOUBT)
        for gap in network.merged:
            costs[gap] = KNOWN
        return costs

    def cheapest_walk(self, around: bool = False) -> list[int]:
        """Return the numbers of the minima along the cheapest walk from start to end.

        ``around`` the gaps that are being searched: the walk that would be next if nothing came of them.
        """
        _, before = dijkstra(self._costs(around), directed=False, indices=0, return_predecessors=True)
        walk = [self.end]
        while walk[-1] != 0:
            walk.append(int(before[walk[-1]]))
        return walk[::-1]

    def fastest_walk(self, temperature_k: float) -> list[int] | None:
        """Return the numbers of the minima along the walk with the least time by Eq. 3; None if none is complete.

        A saddle that was not verified counts as much as that whole walk: it is circumvented where that does not make
        the walk much slower.
        """
        minima, log_times, doubtful = self.network.minima, {}, set()
        for gap in {edge.gap for edge in self.network.edges}:
            best = self.network.edge(gap)
            assert best is not None
            for step in (gap, gap[::-1]):
                log_times[step] = (best.saddle.energy - minima[step[0]].energy) / (
                    BOLTZMANN_EV_PER_K * temperature_k
                )
                if not best.verified:
                    doubtful.add(step)
        for gap in self.network.merged:
            log_times[gap] = log_times[gap[::-1]] = 0.0
            doubtful -= {gap, gap[::-1]}
        if (fastest := fastest_walk(log_times, [0], [self.end])) is None:
            return None
        log_times.update({step: float(np.logaddexp(log_times[step], fastest[0])) for step in doubtful})
        found = fastest_walk(log_times, [0], [self.end])
        assert found is not None
        return found[1]

    def best_walk(self, temperature_k: float) -> list[int]:
        """Return the fastest walk over known saddles, the cheapest one if none is complete."""
        return self.fastest_walk(temperature_k) or self.cheapest_walk()

    def next_gaps(self) -> list[Gap]:
        """Return the gaps to search now; none when all is connected, or nothing is left to try or only to wait for.

        :meth:`learn` is to follow for each.
        """
        gaps = []
        if not self._improving:
            walk = self.cheapest_walk()
            if all(self._crossed(gap) for gap in pairwise(walk)):
                self._improving, self.spare = True, max(self.spare, LOWER)
            else:
                gaps = self._take(walk, self.searches) or self._begin_anew(walk)
        while more := self._take(self.cheapest_walk(around=True), self.spare):
            self.spare -= len(more)
            gaps += more
        return gaps

    def _begin_anew(self, walk: list[int]) -> list[Gap]:
        """Where nothing runs and nothing is due on a walk: return gaps to search from their two minima alone."""
        if any(attempts.running for attempts in self._gaps.values()):
            return []
        for gap in pairwise(walk):
            if not self._crossed(gap):
                self._attempts(gap).try_directly()
        return self._take(walk, self.searches)

    def _take(self, walk: list[int], limit: int) -> list[Gap]:
        """Return the gaps of a walk that are to be searched now, as long as there are searches left.

        Those between minima that were found last go first: they are the ones that lead on to others.
        """
        due = [gap for gap in pairwise(walk) if self._attempts(gap).due and not self._crossed(gap)]
        running = sum(attempts.running for attempts in self._gaps.values())
        free = max(0, min(self.settings.at_once - running, limit, self.searches))
        taken = sorted(due, key=lambda gap: -max(*gap, self.end))[:free]
        for gap in taken:
            self._attempts(gap).running = True
        self.searches -= len(taken)
        return taken

    def _crossed(self, gap: Gap) -> bool:
        """Return whether nothing is to be searched between two minima."""
        return unordered(gap) in self.network.merged or self.network.edge(gap, self.ceiling_ev) is not None

    def begin(self, gap: Gap) -> list[np.ndarray]:
        """Return the path to search from and note that the search has begun."""
        path = self.first_path(gap)
        attempts = self._attempts(gap)
        attempts.begun += 1
        attempts.direct |= attempts.path is None
        attempts.running, attempts.fresh = True, False
        return path

    def learn(self, gap: Gap, barrier: Barrier) -> None:
        """Take up what a search across a gap has found."""
        attempts = self._attempts(gap)
        attempts.running = False
        if barrier.status == "same basin":
            self.network.merged.setdefault(unordered(gap))
            return
        attempts.reason = f"{barrier.status}: {barrier.reason}"
        if barrier.saddle is None or barrier.sides is None:
            if barrier.beside is not None:
                left, right = (self.network.add_minimum(point)[0] for point in barrier.beside)
                self._suggest(gap, (left, right), barrier.beside, barrier)
            attempts.try_directly()  # if it was a stored path that led astray
            return
        (first, to_first), (last, to_last) = (self.network.add_minimum(side) for side in barrier.sides)
        below = max(self.network.minima[number].energy for number in (first, last)) - barrier.saddle.energy
        if below >= 0:
            attempts.reason = f"not converged: the saddle lies {below:.4f} eV below a minimum beside it"
            return
        edge = Edge(first, last, over_saddle(barrier), to_first, to_last)
        known = self.network.find(edge) is not None
        if first != last:
            self.network.add(edge)
            if edge.verified:
                self.verified.append(barrier)
        self._suggest(gap, (first, last), barrier.sides, barrier, known)

    def _suggest(
        self, gap: Gap, found: Gap, minima: tuple[Minimum, Minimum], barrier: Barrier, known: bool = False
    ) -> None:
        """Keep what a search has shown as paths for the next ones, across gaps that nothing crosses yet.

        If the pass was ``known``, gaps that were searched already are not made due again: the same bands would go
        round in circles.
        """
        for lead, path in leads(gap, found, minima, barrier):
            if lead[0] != lead[1] and not self._crossed(lead) and not (known and self._attempts(lead).begun):
                self.guess(lead, path)
