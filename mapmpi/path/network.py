"""The network of pathways: basins and saddles of all refined pathways in one graph.

Identical structures are one node, so the fastest route may take its first half from one episode and its
second from another, and beat both.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse.csgraph import breadth_first_order
from scipy.special import logsumexp

from mapmpi.path.basins import Alignment, Basin, Matcher, StationaryPoint
from mapmpi.path.tst import Prefactor, barrier_ev, log_rate, prefactor_hz


@dataclass(frozen=True)
class Saddle(StationaryPoint):
    """A saddle between two basins, with Vineyard's prefactors from either where they are known (else NaN).

    ``number`` is the caller's own, to find it again in a route; ``backwards`` tells that it is crossed backwards.
    """

    forward_hz: float = np.nan
    backward_hz: float = np.nan
    number: int = -1
    backwards: bool = False

    def reversed(self) -> Saddle:
        """Return the same saddle as seen by who goes the other way."""
        return replace(
            self, forward_hz=self.backward_hz, backward_hz=self.forward_hz, backwards=not self.backwards
        )


@dataclass(frozen=True)
class Pass:
    """An edge of the graph: the saddle from node ``first`` to node ``last``, and the pathways that found it.

    The two alignments lead from the saddle's labels to those of the pooled basins.
    """

    first: int
    last: int
    saddle: Saddle
    to_first: Alignment
    to_last: Alignment
    pathways: tuple[str, ...]

    def reversed(self) -> Pass:
        """Return the same pass, crossed the other way."""
        return Pass(self.last, self.first, self.saddle.reversed(), self.to_last, self.to_first, self.pathways)


@dataclass(frozen=True)
class Route:
    """A way through the pool, its structures in one continuous labelling of the atoms.

    ``labels`` lead from each saddle's own labels to these; ``pathways`` names the pathways that found it; ``time_s``
    is Eq. 3 along the route; ``mean_first_passage_time_s`` that of a walker on the whole graph, from the route's
    start to the goals.
    """

    basins: list[Basin]
    saddles: list[Saddle]
    labels: list[Alignment]
    pathways: list[tuple[str, ...]]
    time_s: float
    mean_first_passage_time_s: float


def first_passage_time_s(log_rates: np.ndarray, start: int, goals: Collection[int]) -> float:
    """Return the mean time to reach any of ``goals`` from ``start`` for ln(rates/Hz) (n, n), -inf for no edge.

    Nodes are eliminated one by one, their rates and waiting times handed on to their neighbours: the graph
    transformation of D. J. Wales, J. Chem. Phys. 130, 204111 (2009), with escape rates summed and never
    subtracted (W. K. Grassmann, M. I. Taksar, D. P. Heyman, Oper. Res. 33, 1107 (1985)), here in logarithms:
    exact to rounding however stiff the rates. Infinite when no goal can be reached. Hops must go both ways
    wherever they go at all; raises ValueError otherwise.
    """
    linked = np.isfinite(log_rates)
    np.fill_diagonal(linked, False)
    if not np.array_equal(linked, linked.T):
        raise ValueError("a rate has no rate back")
    ends = sorted(set(goals))
    if start in ends:
        return 0.0
    if not set(breadth_first_order(linked, start, return_predecessors=False)) & set(ends):
        return float("inf")
    outside_goals = linked.copy()
    outside_goals[ends] = outside_goals[:, ends] = False
    states = breadth_first_order(outside_goals, start, return_predecessors=False)
    # node 0 stands for all goals, node 1 is the start
    rates = np.full((len(states) + 1, len(states) + 1), -np.inf)
    rates[1:, 0] = logsumexp(log_rates[np.ix_(states, ends)], axis=1)
    rates[1:, 1:] = log_rates[np.ix_(states, states)]
    waits = np.zeros(len(rates))
    for node in range(len(rates) - 1, 1, -1):
        share = rates[:node, node] - logsumexp(rates[node, :node])
        waits[:node] = np.logaddexp(waits[:node], share + waits[node])
        rates[:node, :node] = np.logaddexp(rates[:node, :node], share[:, None] + rates[node, :node])
    with np.errstate(over="ignore"):
        return float(np.exp(waits[1] - rates[1, 0]))


class Pool:
    """Basins and saddles of any number of pathways; a node is an index into ``basins``."""

    def __init__(self, matcher: Matcher) -> None:
        self.matcher = matcher
        self.basins: list[Basin] = []
        self.passes: list[Pass] = []

    def add_pathway(self, name: str, basins: Sequence[Basin], saddles: Sequence[Saddle | None]) -> list[int]:
        """Add a refined pathway and return the nodes of its basins.

        ``saddles[i]`` lies between basins i and i+1; None where no saddle was found, which leaves a gap.
        All share one labelling of the atoms. Raises ValueError, and adds nothing, when the numbers do not fit
        or a saddle does not lie above the basins beside it.
        """
        if len(saddles) != len(basins) - 1:
            raise ValueError(f"pathway {name}: {len(basins)} basins and {len(saddles)} saddles")
        for index, saddle in enumerate(saddles):
            for basin in basins[index : index + 2]:
                if saddle is not None and not saddle.energy >= basin.energy:
                    energies = f"saddle {saddle.energy:.4f} eV, basin {basin.energy:.4f} eV"
                    raise ValueError(f"pathway {name}, step {index}: no barrier ({energies})")
        nodes, alignments = zip(*map(self._node, basins), strict=True)
        for index, saddle in enumerate(saddles):
            first, last = nodes[index], nodes[index + 1]
            if saddle is not None and first != last:
                self._add_pass(Pass(first, last, saddle, alignments[index], alignments[index + 1], (name,)))
        return list(nodes)

    def _node(self, basin: Basin) -> tuple[int, Alignment]:
        """Find or add a basin; return its node, and the alignment from its labels to the node's."""
        for node, known in enumerate(self.basins):
            alignment = self.matcher.match(known, basin)
            if alignment is not None:
                # one energy a node, the lowest found: forward and backward rates then keep detailed balance
                self.basins[node] = replace(known, energy=min(known.energy, basin.energy))
                return node, alignment
        self.basins.append(replace(basin, frames=()))
        return len(self.basins) - 1, Alignment.identity(len(basin.positions))

    def _add_pass(self, new: Pass) -> None:
        """Add a pass, or its pathway's name to the same pass found before: its rate must not count twice."""
        for index, known in enumerate(self.passes):
            for way in (known, known.reversed()):
                if (way.first, way.last) == (new.first, new.last) and self.matcher.match(way.saddle, new.saddle):
                    names = tuple(dict.fromkeys(known.pathways + new.pathways))
                    self.passes[index] = replace(known, pathways=names)
                    return
        self.passes.append(new)

    def _hops(self, temperature_k: float, prefactor: Prefactor) -> list[tuple[float, Pass]]:
        """Return every pass both ways, each with ln(rate/Hz)."""
        hops = []
        for way in [way for known in self.passes for way in (known, known.reversed())]:
            if prefactor == "vineyard":
                attempts = way.saddle.forward_hz
                if not np.isfinite(attempts):
                    raise ValueError(f"pathway {way.pathways[0]}: a saddle has no Vineyard prefactor")
            else:
                attempts = prefactor_hz(prefactor, temperature_k)
            barrier = barrier_ev(self.basins[way.first].energy, way.saddle.energy)
            hops.append((float(log_rate(barrier, temperature_k, attempts)), way))
        return hops

    def mean_first_passage_time_s(
        self, start: int, goals: Collection[int], temperature_k: float, prefactor: Prefactor
    ) -> float:
        """Return the mean time from ``start`` to any goal on the whole graph; infinite if there is no way."""
        log_rates = np.full((len(self.basins), len(self.basins)), -np.inf)
        for rate, way in self._hops(temperature_k, prefactor):
            log_rates[way.first, way.last] = np.logaddexp(log_rates[way.first, way.last], rate)
        return first_passage_time_s(log_rates, start, goals)

    def fastest_route(
        self, starts: Collection[int], goals: Collection[int], temperature_k: float, prefactor: Prefactor
    ) -> Route | None:
        """Return the route with the smallest sum of residence times (Eq. 3); None when there is no way.

        Dijkstra's algorithm with sums of logarithms, so that times beyond float64 still compare. Raises
        ValueError for ``vineyard`` when a saddle of the pool has no such prefactor.
        """
        leaving: dict[int, list[tuple[float, Pass]]] = {}
        for rate, way in self._hops(temperature_k, prefactor):
            leaving.setdefault(way.first, []).append((rate, way))
        # (ln time, tie-breaker, node, start, passes so far)
        queue: list[tuple[float, int, int, int, tuple[Pass, ...]]] = [
            (-np.inf, order, node, node, ()) for order, node in enumerate(starts)
        ]
        count, done = len(queue), set()
        heapq.heapify(queue)
        while queue:
            log_time, _, node, start, passes = heapq.heappop(queue)
            if node in goals:
                passage = self.mean_first_passage_time_s(start, goals, temperature_k, prefactor)
                with np.errstate(over="ignore"):
                    return self._route(start, passes, float(np.exp(log_time)), passage)
            if node in done:
                continue
            done.add(node)
            for rate, way in leaving.get(node, []):
                count += 1
                later = float(np.logaddexp(log_time, -rate))
                heapq.heappush(queue, (later, count, way.last, start, (*passes, way)))
        return None

    def _route(self, start: int, passes: Sequence[Pass], time_s: float, passage_s: float) -> Route:
        """Lay the passes end to end, each structure in the labels in which the one before it ended."""
        basins, saddles, onwards = [self.basins[start]], [], []
        labels = Alignment.identity(len(basins[0].positions))
        for way in passes:
            onward = labels.after(way.to_first)
            saddles.append(replace(way.saddle, positions=onward.apply(way.saddle.positions)))
            onwards.append(onward)
            labels = onward.after(way.to_last.inverse())
            end = self.basins[way.last]
            basins.append(replace(end, positions=labels.apply(end.positions)))
        return Route(basins, saddles, onwards, [way.pathways for way in passes], time_s, passage_s)
