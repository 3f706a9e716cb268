"""The diffusion tensor of a walker on a network that leads through the cell, and on and on through its images.

Minima that differ by lattice vectors of the molecule alone are one here, unlike in a
:class:`~mapmpi.path.network.Network`, where a molecule that has crossed the cell has arrived somewhere. What is left
is how many cells an edge leads on; where inside its cell a minimum lies has no part in D. In a crystal the lattice is
that of the host, and what was found is copied by its other operations (:mod:`mapmpi.path.symmetry`).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.special import logsumexp

from mapmpi.path.matching import Matcher, StationaryPoint
from mapmpi.path.network import Edge, Network
from mapmpi.path.quantum import corrected_hop
from mapmpi.path.symmetry import Operation, Symmetry, no_symmetry
from mapmpi.path.tst import Prefactor, prefactor_hz
from mapmpi.units import BOLTZMANN_EV_PER_K

CM2_PER_A2 = 1e-16


@dataclass(frozen=True)
class Diffusion:
    """D of a walker: tensor (3, 3) in cm²/s, and along which axes, of x, y and z, its network leads through the cell.

    Along the others D is zero. ``operations`` of the host's symmetry have part in it, the identity among them.
    """

    tensor_cm2_s: np.ndarray
    through: tuple[bool, bool, bool]
    operations: int = 1

    @property
    def reason(self) -> str:
        """Why D is zero where it is; empty where it is not."""
        closed = [axis for axis, through in zip("xyz", self.through, strict=True) if not through]
        if not closed:
            return ""
        return f"the pathways found do not lead through the cell along {' or '.join(closed)}, so D there is zero"


@dataclass(frozen=True)
class Link:
    """An edge from class ``first`` of minima to class ``last``, that many ``cells`` (3,) farther; ``saddle`` in the
    labels and the cell of the first class."""

    first: int
    last: int
    cells: np.ndarray
    edge: Edge
    saddle: StationaryPoint

    def same(self, other: Link, matcher: Matcher) -> bool:
        """Tell whether another link is this one, in this sense."""
        ends = (self.first, self.last) == (other.first, other.last) and (self.cells == other.cells).all()
        return bool(ends) and matcher.match(self.saddle, other.saddle) is not None


class Folded:
    """A network folded into one cell of a host's lattice: energies (n,) eV of its classes of minima; links, each once.

    ``classes`` has the class of every minimum of the network.
    """

    def __init__(self, network: Network, symmetry: Symmetry | None = None) -> None:
        self.matcher, self.links = network.matcher, list[Link]()
        if symmetry is None:
            symmetry = no_symmetry(self.matcher.cell, len(self.matcher.numbers), self.matcher.tagged)
        self.symmetry, self._inverse = symmetry, np.linalg.inv(symmetry.lattice)
        known: list[StationaryPoint] = []
        self.classes: list[int] = []
        for operation in symmetry.operations:
            classes, cells = self._fold(known, operation, network.minima)
            self.classes = self.classes or classes  # those of the first, the identity
            for edge in network.edges:
                there, back = (self._link(one, operation, classes, cells) for one in (edge, edge.reversed()))
                moves = there.first != there.last or there.cells.any()
                if moves and not any(link.same(one, self.matcher) for link in self.links for one in (there, back)):
                    self.links.append(there)
        self.energies = np.array([point.energy for point in known])

    def _fold(
        self, known: list[StationaryPoint], operation: Operation, minima: Sequence[StationaryPoint]
    ) -> tuple[list[int], list[np.ndarray]]:
        """Add copies of minima to the classes known; return their classes, and their cells (3,) seen from these."""
        classes, cells = [], []
        for original in minima:
            point = replace(original, positions=operation.apply(original.positions))
            number, apart = self._find(known, point)
            if number == len(known):
                known.append(point)
            lowest = min(known[number].energy, point.energy)
            known[number] = replace(known[number], energy=lowest)  # one energy a class keeps detailed balance
            classes.append(number)
            cells.append(apart)
        return classes, cells

    def corrected(self, temperature_k: float) -> Folded:
        """Return the same with the corrections of :mod:`mapmpi.path.quantum` at a temperature in K, and no other."""
        other = copy(self)
        other.links = [
            replace(link, edge=replace(link.edge, hop=corrected_hop(link.edge.hop, temperature_k)))
            for link in self.links
        ]
        return other

    def _find(self, known: list[StationaryPoint], point: StationaryPoint) -> tuple[int, np.ndarray]:
        """Return the class of a minimum, a new one if need be, and how many cells (3,) it is from its first member."""
        for number, other in enumerate(known):
            if not abs(point.energy - other.energy) <= self.matcher.energy_tolerance_ev:
                continue
            cells = self._cells_apart(other.positions, point.positions)
            if self.matcher.match(other, self._carried(point, -cells)) is not None:
                return number, cells
        return len(known), np.zeros(3, dtype=int)

    def _link(self, edge: Edge, operation: Operation, classes: list[int], cells: list[np.ndarray]) -> Link:
        """Return the copy of an edge between minima whose copies have these classes and cells."""
        copied = operation.apply(edge.to_first.apply(edge.saddle.positions))
        first, last = edge.first, edge.last
        beside = self._carried(StationaryPoint(copied, edge.saddle.energy), -cells[first])
        return Link(classes[first], classes[last], cells[last] - cells[first], edge, beside)

    def _cells_apart(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return by how many lattice vectors (3,) the tagged atoms are farther on, seen from the other atoms."""
        apart = second - first
        moved = apart[list(self.matcher.tagged)].mean(axis=0)
        moved = moved if self.matcher.held else moved - np.median(apart, axis=0)
        return np.where(self.matcher.pbc, np.rint(moved @ self._inverse), 0).astype(int)

    def _carried(self, point: StationaryPoint, cells: np.ndarray) -> StationaryPoint:
        """Return a point whose molecule is carried on by lattice vectors."""
        return replace(point, positions=self.symmetry.carried(point.positions, cells))

    def log_flows(self, temperature_k: float, prefactor: Prefactor) -> tuple[np.ndarray, np.ndarray]:
        """Return ln of the weights (n,) of the classes, and ln(flow/Hz) (links,) over each link in equilibrium.

        A flow is a weight times the rate out over the saddle, and as large as the flow back. Vineyard's prefactors are
        of other atoms for each hop, so they may contradict each other around a ring: weights are those that fit all
        of them best, and flows the geometric means there and back.
        """
        beta = 1.0 / (BOLTZMANN_EV_PER_K * temperature_k)
        heights = np.array([link.saddle.energy for link in self.links])
        if prefactor != "vineyard":
            return -beta * self.energies, np.log(prefactor_hz(prefactor, temperature_k)) - beta * heights
        there, back = (
            np.log([getattr(link.edge.hop, name) for link in self.links]) for name in ("forward_hz", "backward_hz")
        )
        firsts, lasts = np.zeros((2, len(self.links), len(self.energies)))
        for number, link in enumerate(self.links):
            firsts[number, link.first] = lasts[number, link.last] = 1.0
        softness = np.linalg.lstsq(lasts - firsts, there - back, rcond=None)[0]
        means = 0.5 * (there + back + (firsts + lasts) @ softness)
        return softness - beta * self.energies, means - beta * heights

    def diffusion(self, start: int, temperature_k: float, prefactor: Prefactor) -> Diffusion:
        """Return D of a walker in equilibrium on the part of the network that minimum ``start`` belongs to."""
        if not any(self.classes[start] in (link.first, link.last) for link in self.links):
            return Diffusion(np.zeros((3, 3)), (False, False, False), self.symmetry.count)
        weights, flows = self.log_flows(temperature_k, prefactor)
        ends = np.array([(link.first, link.last) for link in self.links])
        labels, loops = _unwound(len(weights), flows, ends, np.array([link.cells for link in self.links]))
        part = labels == labels[self.classes[start]]
        inside = part[ends[:, 0]]
        cell = self.symmetry.lattice
        through = (abs(loops[inside] @ cell) > 1e-6 * abs(cell).max()).any(axis=0)
        rates = flows[inside] - logsumexp(weights[part])
        tensor = cell.T @ effective_tensor(rates, ends[inside], loops[inside]) @ cell
        along = np.outer(through, through)
        x, y, z = map(bool, through)
        return Diffusion(np.where(along, CM2_PER_A2 * tensor, 0.0), (x, y, z), self.symmetry.count)


def _unwound(count: int, flows: np.ndarray, ends: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return to which part each of ``count`` nodes belongs, and the links' cells (links, 3) as seen from a tree.

    It is the tree of the largest flows, along which they are zero. So every link that is left with cells closes a loop
    through that many, and what is fast and leads nowhere has exactly none.
    """
    labels = np.arange(count)
    places = np.zeros((count, 3), dtype=int)
    for link in np.argsort(-flows, kind="stable"):
        first, last = ends[link]
        if labels[first] != labels[last]:
            members = labels == labels[last]
            places[members] += places[first] + cells[link] - places[last]
            labels[members] = labels[first]
    return labels, cells + places[ends[:, 0]] - places[ends[:, 1]]


def effective_tensor(log_flows: np.ndarray, ends: np.ndarray, jumps: np.ndarray) -> np.ndarray:
    """Return D (3, 3) = min over u of Σ c (d + u_last - u_first)(d + u_last - u_first)ᵀ, in 1/s times jumps squared.

    The sum is over links with flows c = π_i k_ij (their logarithms, (e,)), ``ends`` (e, 2) nodes, and jumps d (e, 3).
    That is Σ c d dᵀ, the D of jumps that know nothing of each other, less what going back costs; exact for a walker
    whose rates are in detailed balance (A. De Masi, P. A. Ferrari, S. Goldstein, W. D. Wick, J. Stat. Phys. 55, 787
    (1989); D. R. Trinkle, Phys. Rev. Lett. 121, 235901 (2018)). Nodes are eliminated one by one, as in a network of
    resistors (star to mesh): two links in parallel become one of the mean jump and leave c₁c₂/(c₁+c₂) (d₁-d₂)(d₁-d₂)ᵀ.
    Only what is positive is added, so no spread of the rates costs digits.
    """
    count = int(ends.max()) + 1
    flows, mean = np.full((count, count), -np.inf), np.zeros((count, count, 3))
    parts: list[tuple[float, np.ndarray]] = []

    def join(first: int, last: int, flow: float, jump: np.ndarray) -> None:
        if first == last:
            parts.append((flow, jump))
            return
        total, apart = np.logaddexp(flows[first, last], flow), jump - mean[first, last]
        parts.append((flows[first, last] + flow - total, apart))
        mean[first, last] += np.exp(flow - total) * apart
        mean[last, first] = -mean[first, last]
        flows[first, last] = flows[last, first] = total

    for (first, last), flow, jump in zip(ends.tolist(), log_flows, jumps, strict=True):
        join(first, last, flow, jump)
    for node in range(count - 1, 0, -1):
        near = np.flatnonzero(np.isfinite(flows[node, :node]))
        total = logsumexp(flows[node, near]) if near.size else 0.0
        for one, other in combinations(near.tolist(), 2):
            join(one, other, flows[node, one] + flows[node, other] - total, mean[one, node] + mean[node, other])
    shares = np.exp([flow for flow, _ in parts])
    vectors = np.array([jump for _, jump in parts])
    return (shares[:, None] * vectors).T @ vectors
