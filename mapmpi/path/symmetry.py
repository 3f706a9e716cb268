"""The symmetry of the host that a molecule moves in: isometries by which minima and hops that were found are copied.

All atoms turned and shifted together have the same energy, and the same forces, turned likewise, if the lattice of
periodic images is laid on itself. So a copy of a minimum or a saddle is one, as exactly as what was found, whatever
becomes of the host. An operation lays the host on itself nearly, and its atoms keep the names of their places, so that
only the molecule is seen elsewhere. Whether a copy is one of the structures that are known is the
:class:`~mapmpi.path.matching.Matcher`'s to say, as ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell, minkowski_reduce
from scipy.spatial import cKDTree

from mapmpi.path.matching import Alignment

LATTICE_A = 0.01
"""Å by which an isometry may miss a vector of the cell, or a fixed atom."""

NEAR = 1.0 / 3.0
"""Of the shortest distance in the host: so far may an atom be from the image of its like. The molecule strains it."""

FEW = 6
"""Atoms by which most isometries are refused before all are looked at."""


@dataclass(frozen=True)
class Operation:
    """x → labels(rotation x + translation): rotation or reflection (3, 3), translation (3,) Å."""

    rotation: np.ndarray
    translation: np.ndarray
    labels: Alignment

    def apply(self, positions: np.ndarray) -> np.ndarray:
        """Return the copy of positions (n, 3) Å."""
        return self.labels.apply(positions @ self.rotation.T + self.translation)


class StrainedError(Exception):
    """The sum of two translations of a host is none, as the molecule strains it."""


class Host:
    """What a molecule moves in: positions (n, 3) Å of all atoms; ``atoms`` are indices of those not the molecule's.

    kinds (n,) tell apart what may not change places; ``fixed`` are indices. cell (3, 3) is complete, pbc (3,).
    """

    def __init__(
        self,
        positions: np.ndarray,
        kinds: np.ndarray,
        cell: np.ndarray,
        pbc: np.ndarray,
        atoms: np.ndarray,
        fixed: np.ndarray,
    ) -> None:
        self.positions, self.kinds, self.cell, self.pbc = positions, kinds, cell, pbc
        self.atoms, self.fixed = atoms, fixed
        shifts = np.array(list(product(*((-1, 0, 1) if periodic else (0,) for periodic in pbc))))
        images = (self._inside(positions[atoms]) @ np.linalg.inv(cell) + shifts[:, None]).reshape(-1, 3)
        margin = 3.0 * np.linalg.norm(np.linalg.inv(cell), axis=0)  # 3 Å, more than NEAR of any bond
        near = (((images > -margin) & (images < 1.0 + margin)) | ~pbc).all(axis=1)
        self._images, self._owners = images[near] @ cell, np.tile(atoms, len(shifts))[near]
        self._tree = cKDTree(self._images)
        self.reach = NEAR * float(self._tree.query(self._inside(positions[atoms]), k=2)[0][:, 1].min())

    def _inside(self, places: np.ndarray) -> np.ndarray:
        """Return places (…, 3) Å in the cell."""
        return places - np.where(self.pbc, np.floor(places @ np.linalg.inv(self.cell)), 0.0) @ self.cell

    def landed(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the host atom within reach of each of some places (…, 3) Å, -1 for none, and the way to it."""
        inside = self._inside(places)
        _, found = self._tree.query(inside, distance_upper_bound=self.reach)
        none = found == len(self._images)
        found = np.where(none, 0, found)
        return np.where(none, -1, self._owners[found]), self._images[found] - inside

    def onto(self, rotation: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the atom on which an isometry lays each atom of the host, and the way (n, 3) Å that is left.

        None where an atom comes upon none of its kind.
        """
        places, ways = self.landed(self.positions[self.atoms] @ rotation.T + translation)
        return (places, ways) if (self._kinds_at(places) == self.kinds[self.atoms]).all() else None

    def guesses(self, rotation: np.ndarray) -> np.ndarray:
        """Return translations (m, 3) Å that, after a rotation, lay a few atoms of the host on others of a kind."""
        kinds, counts = np.unique(self.kinds[self.atoms], return_counts=True)
        rarest = self.atoms[self.kinds[self.atoms] == kinds[counts.argmin()]]
        ways = self.positions[rarest] - rotation @ self.positions[rarest[0]]
        few = self.atoms[:: max(1, len(self.atoms) // FEW)][:FEW]
        found = self._kinds_at(self.landed(self.positions[few] @ rotation.T + ways[:, None])[0])
        return ways[(found == self.kinds[few]).all(axis=1)]

    def _kinds_at(self, places: np.ndarray) -> np.ndarray:
        return np.where(places < 0, -1, self.kinds[places])

    def labels(self, rotation: np.ndarray, translation: np.ndarray) -> Alignment:
        """Return what gives the images of the host the names of their places; the molecule keeps its own.

        Raises StrainedError for an isometry that does not lay the host on itself.
        """
        laid = self.onto(rotation, translation)
        if laid is None:
            raise StrainedError
        labels = Alignment.identity(len(self.positions))
        labels.order[laid[0]] = self.atoms
        images = self.positions[self.atoms] @ rotation.T + translation
        labels.offset[laid[0]] = self.positions[laid[0]] - images - laid[1]  # of lattice vectors
        return labels


@dataclass(frozen=True)
class Symmetry:
    """Operations of a host: one for each rotation, the identity first, and ``lattice`` (3, 3) Å, its translations.

    Without a host it has no more than its cell. cell (3, 3) is complete; ``molecule`` (n,) tells which atoms move.
    """

    cell: np.ndarray
    molecule: np.ndarray
    lattice: np.ndarray
    operations: tuple[Operation, ...]
    host: Host | None = None
    _carriers: dict[tuple[int, ...], Operation] = field(default_factory=dict, repr=False)

    @property
    def translations(self) -> int:
        """The translations of the host within its cell."""
        return round(abs(np.linalg.det(self.cell) / np.linalg.det(self.lattice)))

    @property
    def count(self) -> int:
        """All operations within the cell."""
        return len(self.operations) * self.translations

    def carried(self, positions: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Return positions (n, 3) Å with the molecule ``cells`` (3,) of the lattice farther on in its host."""
        way = cells @ self.lattice
        if self.host is None:
            return positions + np.outer(self.molecule, way)
        if (key := tuple(map(int, cells))) not in self._carriers:
            self._carriers[key] = Operation(np.eye(3), way, self.host.labels(np.eye(3), way))
        return self._carriers[key].apply(positions)


def no_symmetry(cell: np.ndarray, count: int, molecule: Sequence[int]) -> Symmetry:
    """Return the symmetry of ``count`` atoms, the molecule's (indices) among them, that have only that of a cell."""
    inside = np.zeros(count, dtype=bool)
    inside[list(molecule)] = True
    whole = complete_cell(cell)
    return Symmetry(whole, inside, whole, (Operation(np.eye(3), np.zeros(3), Alignment.identity(count)),))


def find_symmetry(
    atoms: Atoms, positions: np.ndarray, molecule: Sequence[int], fixed: Sequence[int] = ()
) -> Symmetry:
    """Return the symmetry of ``atoms`` (elements, cell, periodicity) at positions (n, 3) Å, all but the molecule's.

    Isometries that lay the lattice of the cell on itself are tried one by one: each host atom has to come within NEAR
    of one of its element, and ``fixed`` atoms (indices) upon fixed ones. Where a crystal's supercell is less symmetric
    than itself, those of the supercell are found.
    """
    least = no_symmetry(atoms.cell.array, len(atoms), molecule)
    around = np.flatnonzero(~least.molecule)
    if len(around) < 2:
        return least
    kinds = 2 * atoms.numbers
    kinds[list(fixed)] += 1
    host = Host(positions, kinds, least.cell, atoms.pbc, around, np.array(fixed, dtype=int))
    lattice = _lattice(host, list(_translations(host, np.eye(3))))
    operations = list(least.operations)
    for rotation in _isometries(host.cell, host.pbc):
        translation = next(_translations(host, rotation), None)
        if translation is not None and not np.allclose(rotation, np.eye(3)):
            operations.append(Operation(rotation, translation, host.labels(rotation, translation)))
    found = Symmetry(least.cell, least.molecule, lattice, tuple(operations), host)
    return found if found.count > 1 else least


def _isometries(cell: np.ndarray, pbc: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rotations and reflections (3, 3) that lay the lattice of a cell on itself."""
    reduced = minkowski_reduce(cell, pbc)[0]
    numbers = np.array(list(product((-2, -1, 0, 1, 2), repeat=3)))
    rows = []
    for axis in range(3):
        own = numbers[(numbers[:, pbc != pbc[axis]] == 0).all(axis=1)]
        misses = abs(np.linalg.norm(own @ reduced, axis=1) - np.linalg.norm(reduced[axis]))
        rows.append(own[misses < LATTICE_A] @ reduced)
    for images in map(np.array, product(*rows)):
        left, stretch, right = np.linalg.svd(np.linalg.solve(reduced, images))
        turned = left @ right
        if stretch.min() > 0.5 and abs(reduced @ turned - images).max() < LATTICE_A:
            yield turned.T


def _translations(host: Host, rotation: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the translations (3,) Å that, after a rotation, lay the host on itself; one of those a cell apart.

    Strain near the molecule cancels in the mean over all atoms, as each is an image and has one: a translation alone
    comes out as a fraction of the cell's lattice.
    """
    chosen = np.isin(host.atoms, host.fixed) if len(host.fixed) else np.ones(len(host.atoms), dtype=bool)
    for guess in host.guesses(rotation):
        if (laid := host.onto(rotation, guess)) is None:
            continue
        translation = guess + laid[1][chosen].mean(axis=0)
        if (laid := host.onto(rotation, translation)) is None:
            continue
        if not len(host.fixed) or np.linalg.norm(laid[1][chosen], axis=1).max() <= LATTICE_A:
            yield translation


def _lattice(host: Host, translations: Sequence[np.ndarray]) -> np.ndarray:
    """Return the vectors (3, 3) Å, as short as can be, of which the cell's and all translations are sums."""
    parts = len(host.fixed) or len(host.atoms)  # so often repeated, a translation is one of the cell's lattice
    fractions = np.array(translations) @ np.linalg.inv(host.cell)
    rows = [*np.rint(parts * fractions).astype(int), *(parts * np.eye(3, dtype=int))]
    basis = []
    for axis in range(3):
        while len(left := [number for number, row in enumerate(rows) if row[axis]]) > 1:
            least = min(left, key=lambda number: abs(rows[number][axis]))
            for number in left:
                if number != least:
                    rows[number] = rows[number] - rows[number][axis] // rows[least][axis] * rows[least]
        basis.append(rows.pop(left[0]))
    return minkowski_reduce(np.array(basis) / parts @ host.cell, host.pbc)[0]
