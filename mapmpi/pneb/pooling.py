"""The network: the saddles of all refined pathways in one graph, and the fastest route through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mapmpi.path.basins import Basin, Matcher, StationaryPoint, steps_between
from mapmpi.path.network import Pool, Route, Saddle
from mapmpi.path.pathway import Hop, Pathway
from mapmpi.path.tst import Prefactor

NAME = "network"
"""The name of the pathway that the network gives."""


class Network:
    """All that is known of a system's passes. Hops without a verified saddle or prefactor are left out."""

    def __init__(self, matcher: Matcher, prefactor: Prefactor) -> None:
        self._pool, self._matcher, self._prefactor = Pool(matcher), matcher, prefactor
        self._hops: list[Hop] = []
        self._ends: list[tuple[int, int]] = []
        self._pathways: list[Pathway] = []

    def add(self, pathway: Pathway) -> None:
        """Add a refined pathway, and the saddles found beside it."""
        saddles = [self._saddle(hop) for hop in pathway.hops]
        nodes = self._pool.add_pathway(pathway.name, [_basin(one) for one in pathway.basins], saddles)
        self._ends.append((nodes[0], nodes[-1]))
        self._pathways.append(pathway)
        if self._prefactor == "vineyard":
            return  # those beside have no prefactors
        for one in pathway.beside:
            saddle = self._saddle(one.hop)
            if saddle is not None and saddle.energy > max(one.start.energy, one.end.energy):
                self._pool.add_pathway(f"{pathway.name} (beside)", [_basin(one.start), _basin(one.end)], [saddle])

    def _saddle(self, hop: Hop) -> Saddle | None:
        if hop.saddle is None or not hop.verified:
            return None
        if self._prefactor == "vineyard" and not (np.isfinite(hop.forward_hz) and np.isfinite(hop.backward_hz)):
            return None
        self._hops.append(hop)
        place = hop.saddle.positions, hop.saddle.energy
        return Saddle(*place, hop.forward_hz, hop.backward_hz, number=len(self._hops) - 1)

    def fastest(self, temperatures_k: Sequence[float], remote_distance_A: float) -> Pathway | None:
        """Return the fastest route from a pathway's start to a pathway's end as a pathway; None if there is none.

        Only pathways that reached their goal have such ends; if none did, the longest. The first temperature decides
        which route is the fastest.
        """
        reached = [ends for ends, pathway in zip(self._ends, self._pathways, strict=True) if pathway.reached]
        if not reached:
            longest = max(range(len(self._pathways)), key=lambda number: self._pathways[number].length_A)
            reached = [self._ends[longest]]
        starts, goals = ({ends[side] for ends in reached} for side in (0, 1))
        route = self._pool.fastest_route(sorted(starts), goals - starts, temperatures_k[0], self._prefactor)
        if route is None or not route.saddles:
            return None
        start = next(node for node, basin in enumerate(self._pool.basins) if basin is route.basins[0])
        passage = tuple(
            (kelvin, self._pool.mean_first_passage_time_s(start, goals - starts, kelvin, self._prefactor))
            for kelvin in temperatures_k
        )
        return replace(self._pathway(route, remote_distance_A), passage_times_s=passage)

    def _pathway(self, route: Route, remote_distance_A: float) -> Pathway:
        """Return a route as a pathway."""
        model = self._pathways[0]
        basins = [StationaryPoint(basin.positions, basin.energy) for basin in route.basins]
        steps = steps_between(route.basins, self._matcher, model.molecule, remote_distance_A)
        hops = []
        for saddle, labels, step in zip(route.saddles, route.labels, steps, strict=True):
            hop = self._hops[saddle.number].relabelled(labels)
            hops.append(replace(hop.reversed() if saddle.backwards else hop, name=step.name, remote=step.remote))
        count = len(self._pathways)
        names = list(dict.fromkeys(name for found in route.pathways for name in found))
        return Pathway(
            name=NAME,
            source=", ".join(names),
            atoms=model.atoms,
            tagged=model.tagged,
            molecule=model.molecule,
            basins=basins,
            hops=hops,
            notes=(f"the fastest route through {count} pathway{'s' * (count > 1)}",),
        )


def _basin(point: StationaryPoint) -> Basin:
    return Basin(point.positions, point.energy)
