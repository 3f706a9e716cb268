"""Segmentation of a pathway by inherent structures: which quenched frames are the same basin.

F. H. Stillinger and T. A. Weber, Phys. Rev. A 25, 978 (1982), named the inherent structures. Atoms are counted
from 0 here; names that people read count from 1, as the input does. Positions are unwrapped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.geometry import complete_cell, find_mic

from mapmpi.config import Pneb


def _assigned(costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns of the assignment of least sum in a matrix of costs."""
    from scipy.optimize import linear_sum_assignment  # 44 MB that most ranks do without

    return linear_sum_assignment(costs)


@dataclass(frozen=True)
class StationaryPoint:
    """Positions (n, 3) Å at which the forces vanish, and the energy there in eV."""

    positions: Annotated[np.ndarray, "Angstrom"]
    energy: Annotated[float, "eV"]


@dataclass(frozen=True)
class Basin(StationaryPoint):
    """A minimum, and the frames of the path that quench into it (none for one found later)."""

    frames: tuple[int, ...] = ()


@dataclass(frozen=True)
class Alignment:
    """A change of labels, periodic images and origin: x → x[order] + offset.

    order (n,) atom indices; offset (n, 3) Å, lattice vectors of single atoms and the common translation.
    """

    order: np.ndarray
    offset: np.ndarray

    @classmethod
    def identity(cls, count: int) -> Alignment:
        """Return the alignment of ``count`` atoms that changes nothing."""
        return cls(np.arange(count), np.zeros((count, 3)))

    def apply(self, positions: np.ndarray) -> np.ndarray:
        """Return positions (n, 3) Å in the new labels."""
        return positions[self.order] + self.offset

    def after(self, earlier: Alignment) -> Alignment:
        """Return the alignment that does ``earlier`` first and then this one."""
        return Alignment(earlier.order[self.order], earlier.offset[self.order] + self.offset)

    def inverse(self) -> Alignment:
        """Return the alignment that undoes this one."""
        back = np.argsort(self.order)
        return Alignment(back, -self.offset[back])


@dataclass(frozen=True)
class Matcher:
    """Tells when two structures are one: the same up to periodic images, a translation, and equal atoms.

    ``tolerance_A`` bounds the displacement of every atom and ``energy_tolerance_ev`` the difference in energy.
    numbers (n,) atomic numbers; cell (3, 3) Å; pbc (3,). The ``tagged`` atoms must have come back themselves,
    not to a periodic image and not by exchange with others outside: a molecule that has crossed the whole
    cell has arrived somewhere, though the structure is the one it started from. Where atoms are fixed (``held``), a
    translation makes another structure.
    """

    numbers: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    tolerance_A: float
    energy_tolerance_ev: float
    tagged: Sequence[int] = ()
    held: bool = False

    @classmethod
    def of(cls, atoms: Atoms, tagged: Sequence[int], settings: Pneb, held: bool) -> Matcher:
        """Return the matcher of a system of atoms by the tolerances of the settings."""
        limits = settings.same_distance, settings.same_energy
        return cls(atoms.numbers, atoms.cell.array, atoms.pbc, *limits, tagged, held)

    def _nearest(self, apart: np.ndarray) -> np.ndarray:
        """Return vectors (…, 3) Å wrapped into the cell around zero: the minimum image of what is short.

        In a skewed cell a long vector may have a shorter image; one within the tolerance has not.
        """
        cell = complete_cell(self.cell)
        return apart - np.where(self.pbc, np.round(apart @ np.linalg.inv(cell)), 0.0) @ cell

    def translation(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the translation (3,) Å from ``first`` to ``second`` that most atoms share.

        It is the median: one far jump among many atoms does not pass for a translation of all. The circular
        mean before it puts the atoms into one periodic image, whatever images they come in. Zero where atoms are
        fixed.
        """
        if self.held:
            return np.zeros(3)
        cell = complete_cell(self.cell)
        apart = second - first
        circular = np.angle(np.exp(2j * np.pi * apart @ np.linalg.inv(cell)).sum(axis=0)) / (2 * np.pi)
        guess = np.where(self.pbc, circular, 0.0) @ cell
        return guess + np.median(self._nearest(apart - guess), axis=0)

    def displacements(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return minimum-image displacements (n, 3) Å from first to second, without the net translation."""
        apart = second - first - self.translation(first, second)
        return find_mic(apart, self.cell, self.pbc)[0]

    def distance(self, positions: np.ndarray, some: Sequence[int], others: Sequence[int]) -> float:
        """Return the shortest minimum-image distance in Å between two sets of atoms (indices)."""
        apart = (positions[list(some)][:, None] - positions[list(others)]).reshape(-1, 3)
        return float(find_mic(apart, self.cell, self.pbc)[1].min())

    def match(self, first: StationaryPoint, second: StationaryPoint) -> Alignment | None:
        """Return the alignment that lays ``second`` on ``first``; None when they are different structures."""
        if not abs(first.energy - second.energy) <= self.energy_tolerance_ev:
            return None
        if not self._tagged_back(second.positions - first.positions):
            return None
        moved = second.positions - self.translation(first.positions, second.positions)
        order = self._assignment(first.positions, moved)
        if order is None:
            return None
        apart = self._nearest(moved[order] - first.positions)
        return Alignment(order, first.positions + apart - second.positions[order])

    def nearest_labels(self, first: np.ndarray, second: np.ndarray) -> Alignment:
        """Return the alignment that lays ``second`` (n, 3) Å as near to ``first`` as equal atoms can.

        Atoms at their own places keep them, tagged atoms always do; the others of an element are assigned to the
        nearest places (least sum of squares).
        """
        count = len(first)
        moved = second if self.held else second - (second - first).mean(axis=0)
        order, offset = np.arange(count), np.zeros((count, 3))
        away = np.linalg.norm(moved - first, axis=1) > self.tolerance_A
        away[list(self.tagged)] = False
        for number in np.unique(self.numbers[away]):
            atoms = np.flatnonzero(away & (self.numbers == number))
            apart = self._nearest(moved[atoms] - first[atoms][:, None])
            places, takers = _assigned((apart**2).sum(axis=2))
            order[atoms[places]] = atoms[takers]
            offset[atoms[places]] = first[atoms[places]] + apart[places, takers] - moved[atoms[takers]]
        return Alignment(order, offset)

    def _tagged_back(self, apart: np.ndarray) -> bool:
        """Tell whether the center of the tagged atoms has come back, periodic images counted as apart."""
        if not len(self.tagged):
            return True
        center = apart[list(self.tagged)].mean(axis=0) - (0.0 if self.held else np.median(apart, axis=0))
        return bool(np.linalg.norm(center) <= self.tolerance_A)

    def _assignment(self, first: np.ndarray, second: np.ndarray) -> np.ndarray | None:
        """Return which atom of ``second`` (n, 3) Å sits at each place of ``first``; None if some place is empty.

        Atoms at their own places keep them; the others of an element are assigned by the Hungarian method.
        """
        order = np.arange(len(first))
        away = np.flatnonzero(np.linalg.norm(self._nearest(second - first), axis=1) > self.tolerance_A)
        for number in np.unique(self.numbers[away]):
            atoms = away[self.numbers[away] == number]
            rows = []
            for atom in atoms:
                distances = np.linalg.norm(self._nearest(second[atoms] - first[atom]), axis=1)
                if distances.min() > self.tolerance_A:
                    return None
                rows.append(distances)
            places, takers = _assigned(np.square(rows))
            if np.array(rows)[places, takers].max() > self.tolerance_A:
                return None
            order[atoms[places]] = atoms[takers]
        return order


@dataclass(frozen=True)
class Chain:
    """Basins in the order of the path, none twice, in one labelling of the atoms; and what was cut out.

    ``loops`` are detours: the frame at which the path left a basin, and the one at which it was back. ``labels`` are
    the alignments that bring each frame of the path into the chain's labelling.
    """

    basins: list[Basin]
    loops: list[tuple[int, int]]
    labels: dict[int, Alignment]


def _known(here: Basin, basins: list[Basin], matcher: Matcher) -> tuple[int, Alignment] | None:
    """Return the index of the basin that ``here`` is, latest first, with the alignment onto it."""
    for index in reversed(range(len(basins))):
        alignment = matcher.match(basins[index], here)
        if alignment is not None:
            return index, alignment
    return None


def group_basins(frames: Mapping[int, StationaryPoint | None], matcher: Matcher) -> Chain:
    """Group quenched frames, by their numbers in the order of the path, into the chain of basins that it visits.

    A basin shows the lowest of its frames. A return to an earlier basin cuts the loop out (A B A C → A C);
    where identical atoms have changed places since, or atoms went to a periodic image, all later frames take
    the earlier labels, so that the chain stays one continuous path. A frame whose quench failed (None) is left out.
    """
    basins: list[Basin] = []
    loops: list[tuple[int, int]] = []
    labels = Alignment.identity(len(matcher.numbers))
    by_frame: dict[int, Alignment] = {}
    for frame, quenched in frames.items():
        if quenched is None:
            continue
        here = Basin(labels.apply(quenched.positions), quenched.energy, (frame,))
        by_frame[frame] = labels
        known = _known(here, basins, matcher)
        if known is None:
            if basins:
                drift = matcher.translation(basins[-1].positions, here.positions)
                here = replace(here, positions=here.positions - drift)
            basins.append(here)
            continue
        index, alignment = known
        if basins[index + 1 :]:
            loops.append((basins[index].frames[-1], frame))
            del basins[index + 1 :]
        labels = by_frame[frame] = alignment.after(labels)
        here = replace(here, positions=labels.apply(quenched.positions))
        lower = here if here.energy < basins[index].energy else basins[index]
        basins[index] = replace(lower, frames=(*basins[index].frames, frame))
    return Chain(basins, loops, by_frame)


def what_moves(
    start: StationaryPoint,
    end: StationaryPoint,
    matcher: Matcher,
    molecule: Sequence[int],
    remote_distance_A: float,
) -> tuple[str, bool]:
    """Return a name for a hop by what moves, such as ``O57+Si12``, and whether it is remote.

    The atoms of the name are those that move at least half as far as the farthest, which comes first. If all of them
    are farther than ``remote_distance_A`` from the molecule (atom indices), at the nearer end, the hop is remote and
    its name says so: ``O57+Si12, 8.3 Å from the molecule``. It is a barrier that the path crosses all the same.
    """
    lengths = np.linalg.norm(matcher.displacements(start.positions, end.positions), axis=1)
    atoms = [int(atom) for atom in np.argsort(-lengths) if lengths[atom] >= 0.5 * lengths.max()]
    distance = min(matcher.distance(basin.positions, atoms, molecule) for basin in (start, end))
    name = "+".join(f"{chemical_symbols[matcher.numbers[atom]]}{atom + 1}" for atom in atoms[:3])
    if distance <= remote_distance_A:
        return name, False
    return f"{name}, {distance:.1f} Å from the molecule", True
