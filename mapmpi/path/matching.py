"""When two structures are one: up to periodic images, a translation, and an exchange of equal atoms.

Atoms are counted from 0. Positions are unwrapped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell, find_mic

from mapmpi.config import Pneb


@dataclass(frozen=True)
class StationaryPoint:
    """Positions (n, 3) Å at which the forces vanish, and the energy there in eV."""

    positions: Annotated[np.ndarray, "Angstrom"]
    energy: Annotated[float, "eV"]


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


def _assigned(costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns of the assignment of least sum in a matrix of costs."""
    from scipy.optimize import linear_sum_assignment  # 44 MB that most ranks do without

    return linear_sum_assignment(costs)
