"""The plan: from every place, how high the way to the goal plane must climb, and where it goes."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from mapmpi.search.region import Region

SHARPNESS = 20.0
"""Of the largest energy against the others on a way: ``climb`` over the softness of the maximum."""


class Plan:
    """Ways of least height over an energy map: energies (g,) eV at the places of a region.

    A way costs Σ exp(E/w) dl, w = ``climb``/SHARPNESS: nearly the height of its pass, but of two ways over passes
    that differ by little the shorter and lower one is better; it is the sum of the paper's Eq. 3 at an artificial
    temperature. Any good shortest-path code can find the cheapest way then. ``climb`` is that of the best path in eV,
    or the scale of the barriers; ``heights`` (g,) are the highest energies on the ways in eV.
    """

    def __init__(self, region: Region, energies: np.ndarray, climb: float) -> None:
        self.region, width = region, climb / SHARPNESS
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
        _, onward = dijkstra(graph, directed=False, indices=goal, return_predecessors=True)
        ends = (onward[:goal] < 0) | (onward[:goal] == goal)
        self._next = np.where(ends, np.arange(goal), onward[:goal])
        self.heights = self._highest(energies)

    def _highest(self, energies: np.ndarray) -> np.ndarray:
        """Return the highest energy on the way from each place to the goal plane, (g,) eV."""
        heights, onward = energies, self._next
        while ((farther := onward[onward]) != onward).any():  # each time twice as far
            heights = np.maximum(heights, heights[onward])
            onward = farther
        return np.maximum(heights, heights[onward])

    def height(self, places: np.ndarray) -> np.ndarray:
        """Return the height that the way on from each of (m, 3) Å climbs to, (m,) eV."""
        return self.heights[self.region.nearest(places)]

    def way(self, place: np.ndarray) -> np.ndarray:
        """Return the way from a place (3,) Å to the goal plane, (k, 3) Å."""
        node = int(self.region.nearest(place)[0])
        nodes = [node]
        while (onward := int(self._next[node])) != node:
            nodes.append(node := onward)
        points = self.region.places[nodes]
        if len(points) == 1:  # the nearest place is on the plane already: straight on
            return np.stack([place, place + self.region.axes[0] * self.region.spacing])
        if len(points) > 2:  # corners of the grid are no turns of the way
            points[1:-1] = (points[:-2] + 2.0 * points[1:-1] + points[2:]) / 4.0
        points[0] = place
        return points
