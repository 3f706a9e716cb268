"""The plan: from every place, how high the way to the goal plane must climb, and where it goes."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from mapmpi.search.region import Region

SHARPNESS = 20.0
"""Of the largest energy against the others on a way: scale of the barriers over the softness of the maximum."""


class Plan:
    """Ways of least height over an energy map: energies (g,) eV at the places of a region.

    A way costs Σ exp(E/w) dl, w = scale/SHARPNESS: nearly the height of its pass, but of two ways over the same pass
    the shorter and lower one is better; it is the sum of the paper's Eq. 3 at an artificial temperature. Any good
    shortest-path code can find the cheapest way then. ``heights`` (g,) eV are w·ln of the cost.
    """

    def __init__(self, region: Region, energies: np.ndarray, scale: float) -> None:
        self.region, width = region, scale / SHARPNESS
        firsts, seconds, lengths = region.edges
        lowest = float(energies.min())
        costs = np.exp(np.minimum((energies - lowest) / width, 600.0))
        weights = lengths * np.maximum(costs[firsts], costs[seconds])
        goal = len(energies)
        arrived = np.flatnonzero(region.forward >= region.distance)
        rows = np.concatenate([firsts, np.full(len(arrived), goal)])
        columns = np.concatenate([seconds, arrived])
        graph = csr_array(
            (np.concatenate([weights, np.full(len(arrived), 1e-3)]), (rows, columns)), (goal + 1,) * 2
        )
        found, self._next = dijkstra(graph, directed=False, indices=goal, return_predecessors=True)
        self.heights = lowest + width * np.log(np.maximum(found[:goal], 1e-3))

    def height(self, places: np.ndarray) -> np.ndarray:
        """Return the height that the way on from each of (m, 3) Å climbs to, (m,) eV."""
        return self.heights[self.region.nearest(places)]

    @cached_property
    def lengths(self) -> np.ndarray:
        """Length of the way from each place to the goal plane, (g,) Å."""
        places = self.region.places
        own, onward = np.arange(len(places)), self._next[: len(places)]
        onward = np.where((onward >= 0) & (onward < len(places)), onward, own)
        lengths = np.linalg.norm(places[onward] - places, axis=1)
        while ((farther := onward[onward]) != onward).any():  # each time twice as far
            lengths += lengths[onward]
            onward = farther
        return lengths

    def length(self, places: np.ndarray) -> np.ndarray:
        """Return the length of the way on from each of (m, 3) Å to the goal plane, (m,) Å."""
        return self.lengths[self.region.nearest(places)]

    def way(self, place: np.ndarray) -> np.ndarray:
        """Return the way from a place (3,) Å to the goal plane, (k, 3) Å."""
        node = int(self.region.nearest(place)[0])
        nodes = [node]
        while (node := int(self._next[node])) < len(self.region) and node >= 0:
            nodes.append(node)
        points = self.region.places[nodes]
        if len(points) > 2:  # corners of the grid are no turns of the way
            points[1:-1] = (points[:-2] + 2.0 * points[1:-1] + points[2:]) / 4.0
        points[0] = place
        return points
