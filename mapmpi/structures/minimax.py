"""The exact minimax of a labyrinth: the way from a start to a plane whose highest energy is the lowest possible.

A grid finds the way, for on a grid no way is missed: its nodes below an energy connect start and plane or they do not.
Between the nodes it is rough, so the way is relaxed as a string (E, Ren and Vanden-Eijnden, Phys. Rev. B 66, 052301
(2002)) and its top climbed to the saddle (:mod:`mapmpi.structures.ways`). Then the pass is closed on the grid, and
the next that the grid shows less than a margin higher is climbed and compared, until there is none. All this is done
on finer and finer grids until the height no longer changes. Lengths in Å, energies in eV.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, dijkstra, minimum_spanning_tree

from mapmpi.structures.obstacles import Obstacles
from mapmpi.structures.ways import Top, highest, newton, relaxed, until

NODE_SPACINGS = (0.2, 0.14, 0.1, 0.07, 0.05)
"""Å between the nodes of the grids."""
SETTLED = 1e-3
"""eV by which the height changes from one grid to the next at most."""
MARGIN, DOUBT = 1.0, 2.0
"""eV/Å², and how many times: a pass is not climbed whose height on a grid is above the best by more than MARGIN times
the square of the grid's spacing, and by more than DOUBT times what the grid misjudges its own best pass by. Grids of
0.2 and 0.1 Å misjudge the passes of most default labyrinths by up to 0.02 and 0.002 eV, narrow ones by more."""
BEHIND = (10.0, 20.0, 40.0)
"""Å that a way may reach back behind its start; more until that changes nothing."""
CLOSED = 0.4
"""Å around a saddle in which its pass is closed."""
MOST_PASSES = 30
"""Passes that are compared on one grid."""
CAPS = 0.05
"""eV by which the energy is raised until start and plane are connected."""
LOWEST_CAP, HIGHEST_CAP = -0.3, 1.0
"""eV between which a pass is looked for."""


@dataclass(frozen=True)
class Minimax:
    """The best way: points (k, 3) Å, unwrapped, from the start to the plane; its highest point and energy in eV.

    ``on_grids`` are the highest energies (eV) of the best ways over nodes of grids of the ``spacings`` (Å), before
    anything is refined.
    """

    way: np.ndarray
    top: np.ndarray
    energy: float
    spacings: tuple[float, ...]
    on_grids: tuple[float, ...]


def minimax(obstacles: Obstacles, start: np.ndarray, distance: float) -> Minimax | None:
    """Return the best way from ``start`` (3,) Å to the plane ``distance`` Å in +x; None if none is below HIGHEST_CAP.

    The way may go back behind the start and through periodic images in all directions; x counts on through them.
    """
    used: list[float] = []
    shown: list[float] = []
    best: Top | None = None
    behind = BEHIND[0]
    for spacing in NODE_SPACINGS:
        grid = Grid(obstacles.grid(round(obstacles.length / spacing)), obstacles.length, start, distance)
        first = grid.lowest(shown[-1] + CAPS, behind) if shown else grid.first()
        if first is None:
            return None
        before, best = best, relaxed(obstacles, first.points())
        if before is not None:
            best = _compare(obstacles, grid, first, min(best, before, key=lambda top: top.energy))
        used.append(grid.spacing)
        shown.append(first.energy)
        behind = first.behind
        if before is not None and abs(best.energy - before.energy) < SETTLED:
            break
    assert best is not None
    best = highest(obstacles, until(best.way, start[0] + distance))
    return Minimax(best.way, best.place, best.energy, tuple(used), tuple(shown))


def _compare(obstacles: Obstacles, grid: Grid, first: GridWay, best: Top) -> Top:
    """Return the lowest of the best way so far and all others that a grid shows less than a margin above it."""
    margin = max(MARGIN * grid.spacing**2, DOUBT * (first.energy - best.energy))
    grid.close(best.place)
    for _ in range(MOST_PASSES):
        other = grid.lowest(best.energy + margin, first.behind)
        if other is None:
            break
        climbed = newton(obstacles, other.top, negative=1)
        if np.linalg.norm(climbed - other.top) < CLOSED:
            grid.close(climbed)
        if obstacles.energy(climbed)[0] < best.energy - 1e-6 or other.energy < best.energy:
            best = min(best, relaxed(obstacles, other.points()), key=lambda top: top.energy)
        grid.close(other.top)
    return best


@dataclass(frozen=True)
class GridWay:
    """A way over nodes: its highest node (3,) Å, that one's energy in eV, how far it may reach back (see BEHIND).

    ``points()`` are those of a short one of the ways with this top, (k, 3) Å, unwrapped.
    """

    top: np.ndarray
    energy: float
    behind: float
    points: Callable[[], np.ndarray]


class Grid:
    """Nodes with energies (n, n, n) eV in a cube of ``length`` Å, between a start (3,) Å and a plane in +x.

    Ways go from node to node along the axes. Every continuous way passes from one node's cube to the next through a
    face, so that there is always such a way over nodes close by.
    """

    def __init__(self, energies: np.ndarray, length: float, start: np.ndarray, distance: float) -> None:
        self.energies, self.length, self.start = energies, length, start
        self.spacing = length / len(energies)
        self.plane = float(start[0] + distance)
        self.goal = int(np.ceil(self.plane / self.spacing))

    def close(self, place: np.ndarray) -> None:
        """Close the grid, in every periodic image, within CLOSED Å of a place (3,) Å."""
        count, reach = len(self.energies), int(CLOSED / self.spacing)
        around = np.arange(-reach, reach + 1)
        middle = np.round(place / self.spacing).astype(int)
        rows = np.ix_(*[(middle[axis] + around) % count for axis in range(3)])
        ball = sum(np.ix_(*[around**2] * 3)) * self.spacing**2 <= CLOSED**2
        self.energies[rows] = np.where(ball, np.inf, self.energies[rows])

    def first(self) -> GridWay | None:
        """Return the lowest way, reaching back as far as that makes it lower; None if none is below HIGHEST_CAP."""
        caps = np.arange(LOWEST_CAP, HIGHEST_CAP + CAPS, CAPS)
        found = next((way for cap in caps if (way := self.lowest(cap, BEHIND[0])) is not None), None)
        for behind in BEHIND[1:]:
            if found is None:
                break
            farther = self.lowest(found.energy + 1e-6, behind)
            if farther is None or farther.energy > found.energy - 1e-6:
                break
            found = farther
        return found

    def lowest(self, cap: float, behind: float) -> GridWay | None:
        """Return the way whose highest node is the lowest; None where it is not below ``cap`` eV.

        It reaches back no more than ``behind`` Å.
        """
        count = len(self.energies)
        first = int(np.floor((self.start[0] - behind) / self.spacing))
        slab = self.energies[np.arange(first, self.goal + 1) % count]
        open_nodes = slab < cap
        numbers = np.full(slab.shape, -1)
        numbers[open_nodes] = np.arange(open_nodes.sum())
        begin = np.round(self.start / self.spacing).astype(int) - [first, 0, 0]
        begin[1:] %= count
        source, ends = numbers[tuple(begin)], numbers[-1][numbers[-1] >= 0]
        if source < 0 or not len(ends):
            return None
        graph = _Graph(_neighbours(numbers), slab[open_nodes].astype(float), int(source), ends)
        chain = graph.lowest_chain()
        if chain is None:
            return None
        places, summit = np.argwhere(open_nodes) + [first, 0, 0], int(np.argmax(graph.energies[chain]))
        energy = float(graph.energies[chain[summit]])

        def points() -> np.ndarray:
            way = self._unwrapped(places[graph.short_chain(energy)])
            way[-1, 0] = self.plane
            return np.vstack([self.start, way])

        return GridWay(places[chain[summit]] * self.spacing, energy, behind, points)

    def _unwrapped(self, nodes: np.ndarray) -> np.ndarray:
        """Return the places (k, 3) Å of successive nodes (k, 3), going on through periodic images from the start."""
        points = np.unwrap(nodes, axis=0, period=len(self.energies)) * self.spacing
        return points + self.length * np.round((self.start - points[0]) / self.length)


def _neighbours(numbers: np.ndarray) -> np.ndarray:
    """Return the pairs (2, p) of numbered nodes, -1 for none, that are neighbours; y and z are periodic."""
    found = []
    for axis in range(3):
        one, other = (numbers[:-1], numbers[1:]) if axis == 0 else (numbers, np.roll(numbers, -1, axis))
        both = (one >= 0) & (other >= 0)
        found.append([one[both], other[both]])
    return np.hstack(found)


class _Graph:
    """Nodes with energies (k,) eV, the pairs (2, p) of them that are linked, and one more node behind all ``ends``."""

    def __init__(self, pairs: np.ndarray, energies: np.ndarray, source: int, ends: np.ndarray) -> None:
        self.energies, self.source, self.end = energies, source, len(energies)
        self.pairs = np.hstack([pairs, [ends, np.full(len(ends), self.end)]])
        self.higher = np.maximum(energies[self.pairs[0]], np.append(energies, -np.inf)[self.pairs[1]])

    def _matrix(self, pairs: np.ndarray, weights: np.ndarray) -> csr_array:
        return coo_array((weights, tuple(pairs)), shape=(self.end + 1, self.end + 1)).tocsr()

    def _chain(self, before: np.ndarray) -> np.ndarray:
        """Return the nodes from the source to the last before the end, by what comes next on the way there."""
        chain = [self.source]
        while before[chain[-1]] != self.end:
            chain.append(before[chain[-1]])
        return np.array(chain)

    def lowest_chain(self) -> np.ndarray | None:
        """Return the chain whose highest node is the lowest: that of the minimum spanning tree. None for no chain."""
        # a sparse matrix takes a weight of zero for none
        graph = self._matrix(self.pairs, self.higher - self.higher.min() + 1.0)
        labels = connected_components(graph, directed=False)[1]
        if labels[self.source] != labels[self.end]:
            return None
        tree = minimum_spanning_tree(graph)
        return self._chain(breadth_first_order(tree, self.end, directed=False)[1])

    def short_chain(self, top: float) -> np.ndarray:
        """Return a short chain over nodes of no more than ``top`` eV that keeps to low energies."""
        below = self.higher <= top
        costs = 1.0 + ((self.higher[below] - self.energies.min()) / 0.05) ** 2
        graph = self._matrix(self.pairs[:, below], costs)
        return self._chain(dijkstra(graph, directed=False, indices=self.end, return_predecessors=True)[1])
