"""Minima and the transition states that join them: one graph, in which identical structures are one node.

The search of a connection fills one (:mod:`mapmpi.path.connection`). The saddles of all refined pathways go into
another, so that the fastest walk may take its first half from one episode and its second from another, and beat both.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from mapmpi.path.matching import Alignment, Matcher, StationaryPoint
from mapmpi.path.pathway import Hop
from mapmpi.path.saddle import Saddle
from mapmpi.path.tst import Prefactor, first_passage_time_s, log_rate, prefactor_hz

Gap = tuple[int, int]
"""The numbers of two minima, in the sense in which the gap between them is to be crossed."""


def unordered(gap: Gap) -> Gap:
    """Return a gap with its lower number first."""
    return min(gap), max(gap)


@dataclass(frozen=True)
class Edge:
    """A hop over a saddle from minimum ``first`` to minimum ``last`` (numbers), and the pathways that have it.

    The two alignments lead from the labels of the hop to those of the minima.
    """

    first: int
    last: int
    hop: Hop
    to_first: Alignment
    to_last: Alignment
    pathways: tuple[str, ...] = ()

    @property
    def gap(self) -> Gap:
        """The minima that it joins, the lower number first."""
        return unordered((self.first, self.last))

    @property
    def saddle(self) -> Saddle:
        """The saddle."""
        assert self.hop.saddle is not None, "an edge is a hop over a saddle"
        return self.hop.saddle

    @property
    def verified(self) -> bool:
        """Whether the saddle was verified."""
        return self.hop.verified

    def reversed(self) -> Edge:
        """Return the same edge, crossed the other way."""
        return Edge(self.last, self.first, self.hop.reversed(), self.to_last, self.to_first, self.pathways)


class Network:
    """The minima and edges that are known of one system, numbered as they were found.

    Structures that differ by an exchange of equal atoms are one minimum. ``merged`` has the gaps whose minima count as
    one: they are the same, or the edge between them, kept there, has no verified saddle and no barrier above the
    matcher's tolerance of energies.
    """

    def __init__(self, matcher: Matcher, minima: Sequence[StationaryPoint] = ()) -> None:
        self.matcher, self.minima = matcher, list(minima)
        self.edges: list[Edge] = []
        self.merged: dict[Gap, Edge | None] = {}
        self._lengths: dict[Gap, float] = {}

    def add_minimum(self, point: StationaryPoint) -> tuple[int, Alignment]:
        """Add a minimum, unless it is known; return its number, and the alignment onto the one that has it."""
        for number, known in enumerate(self.minima):
            if (alignment := self.matcher.match(known, point)) is not None:
                return number, alignment
        self.minima.append(point)
        return len(self.minima) - 1, Alignment.identity(len(point.positions))

    def find(self, edge: Edge) -> int | None:
        """Return the number of the first edge between the same minima over the same saddle, in either sense.

        Saddles are the same if the matcher takes them for one structure, within its tolerances.
        """
        for number, known in enumerate(self.edges):
            if known.gap == edge.gap and self.matcher.match(known.saddle, edge.saddle) is not None:
                return number
        return None

    def add(self, edge: Edge) -> None:
        """Add an edge between two minima, unless the energies cannot resolve that it holds them apart."""
        barrier = edge.saddle.energy - max(self.minima[number].energy for number in edge.gap)
        if edge.verified or barrier >= self.matcher.energy_tolerance_ev:
            self.edges.append(edge)
            if edge.verified:
                self.merged.pop(edge.gap, None)
        elif self.edge(edge.gap) is None:
            self.merged[edge.gap] = edge

    def edge(self, gap: Gap, ceiling_ev: float = np.inf) -> Edge | None:
        """Return the lowest edge across a gap, none above the ceiling; one that was verified goes first."""
        gap = unordered(gap)
        found = [one for one in self.edges if one.gap == gap and one.saddle.energy <= ceiling_ev]
        return min(found, key=lambda one: (not one.verified, one.saddle.energy), default=None)

    def length2(self, gap: Gap) -> float:
        """Return the square of a gap's length in Å², equal atoms exchanged so that it is the least."""
        if gap not in self._lengths:
            first, last = (self.minima[number].positions for number in gap)
            apart = self.matcher.nearest_labels(first, last).apply(last) - first
            drift = 0.0 if self.matcher.held else apart.mean(axis=0)
            self._lengths[gap] = float(((apart - drift) ** 2).sum())
        return self._lengths[gap]

    def add_pathway(self, name: str, basins: Sequence[StationaryPoint], hops: Sequence[Hop | None]) -> list[int]:
        """Add a pathway and return the numbers of its basins.

        ``hops[i]`` leads over a saddle from basin i to basin i+1; None leaves a gap. All share one labelling of the
        atoms. Raises ValueError, and adds nothing, when the numbers do not fit or a saddle does not lie above the
        basins beside it.
        """
        if len(hops) != len(basins) - 1:
            raise ValueError(f"pathway {name}: {len(basins)} basins and {len(hops)} saddles")
        for index, hop in enumerate(hops):
            for basin in basins[index : index + 2]:
                if hop is not None and hop.saddle is not None and not hop.saddle.energy >= basin.energy:
                    energies = f"saddle {hop.saddle.energy:.4f} eV, basin {basin.energy:.4f} eV"
                    raise ValueError(f"pathway {name}, step {index}: no barrier ({energies})")
        places = []
        for basin in basins:
            number, alignment = self.add_minimum(StationaryPoint(basin.positions, basin.energy))
            known = self.minima[number]
            # one energy a node, the lowest found: rates there and back then keep detailed balance
            self.minima[number] = replace(known, energy=min(known.energy, basin.energy))
            places.append((number, alignment))
        for hop, (first, to_first), (last, to_last) in zip(hops, places[:-1], places[1:], strict=True):
            if hop is None or first == last:
                continue
            edge = Edge(first, last, hop, to_first, to_last, (name,))
            if (found := self.find(edge)) is None:
                self.edges.append(edge)
            else:  # the rate of one edge must not count twice
                names = dict.fromkeys((*self.edges[found].pathways, name))
                self.edges[found] = replace(self.edges[found], pathways=tuple(names))
        return [number for number, _ in places]

    def _rates(self, temperature_k: float, prefactor: Prefactor) -> Iterator[tuple[float, Edge]]:
        """Yield every edge both ways, each with ln(rate/Hz). Raises ValueError without Vineyard's prefactor."""
        for edge in [one for known in self.edges for one in (known, known.reversed())]:
            if prefactor != "vineyard":
                attempts = prefactor_hz(prefactor, temperature_k)
            elif not np.isfinite(attempts := edge.hop.forward_hz):
                raise ValueError(f"pathway {edge.pathways[0]}: a saddle has no Vineyard prefactor")
            barrier = edge.saddle.energy - self.minima[edge.first].energy
            yield float(log_rate(barrier, temperature_k, attempts)), edge

    def fastest(
        self, starts: Collection[int], goals: Collection[int], temperature_k: float, prefactor: Prefactor
    ) -> tuple[list[int], list[Edge]] | None:
        """Return the walk with the smallest sum of residence times (Eq. 3): its minima and the edges between.

        None when there is none. Raises ValueError for ``vineyard`` when a saddle has no such prefactor.
        """
        best: dict[Gap, tuple[float, Edge]] = {}
        for rate, edge in self._rates(temperature_k, prefactor):
            if (gap := (edge.first, edge.last)) not in best or rate > best[gap][0]:
                best[gap] = rate, edge
        found = fastest_walk({gap: -rate for gap, (rate, _) in best.items()}, starts, goals)
        return None if found is None else (found[1], [best[gap][1] for gap in pairwise(found[1])])

    def passage_time_s(
        self, start: int, goals: Collection[int], temperature_k: float, prefactor: Prefactor
    ) -> float:
        """Return the mean first-passage time from ``start`` to any goal on the whole graph; infinite without a way."""
        log_rates = np.full((len(self.minima), len(self.minima)), -np.inf)
        for rate, edge in self._rates(temperature_k, prefactor):
            log_rates[edge.first, edge.last] = np.logaddexp(log_rates[edge.first, edge.last], rate)
        return first_passage_time_s(log_rates, start, goals)


def fastest_walk(
    log_times: Mapping[Gap, float], starts: Collection[int], goals: Collection[int]
) -> tuple[float, list[int]] | None:
    """Return ln(time) and the nodes of the walk from a start to a goal with the smallest sum of times.

    ``log_times`` are ln(time) of the steps that there are. None when no walk leads there. Dijkstra's algorithm with
    sums of logarithms, so that times beyond float64 still compare.
    """
    leaving: dict[int, list[int]] = {}
    for first, last in sorted(log_times):
        leaving.setdefault(first, []).append(last)
    # ln(time), tie-breaker, nodes so far
    queue: list[tuple[float, int, list[int]]] = [(-np.inf, order, [node]) for order, node in enumerate(starts)]
    count, done = len(queue), set()
    heapq.heapify(queue)
    while queue:
        log_time, _, nodes = heapq.heappop(queue)
        if nodes[-1] in goals:
            return log_time, nodes
        if nodes[-1] in done:
            continue
        done.add(nodes[-1])
        for last in leaving.get(nodes[-1], []):
            count += 1
            later = float(np.logaddexp(log_time, log_times[nodes[-1], last]))
            heapq.heappush(queue, (later, count, [*nodes, last]))
    return None
