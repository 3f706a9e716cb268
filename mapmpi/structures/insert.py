"""A molecule into a void: the roomiest place near the plane where a path is to start."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import molecule as build_molecule
from ase.collections import g2
from ase.data import chemical_symbols, covalent_radii
from ase.neighborlist import neighbor_list
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from mapmpi.errors import UserError, why
from mapmpi.md.fixed import fix, is_fixed
from mapmpi.plausible import doubt
from mapmpi.structures.files import read_frames

START = (0.05, 0.15)
"""Default slab of the start: fractions of the cell, clear of the boundary so that the molecule is not cut."""

SPACING = 0.3
"""Å between the grid points that are tried as the middle of the void."""

MOST_PLACES = 3e7
"""Grid points that are tried; they take a gigabyte, and a glass of 200 Å has fewer."""

ROOM = 1.0
"""Å of a cell that a molecule does not have, for the sake of a check."""

ORIENTATIONS = 500
"""Random rotations that are tried."""

LEAST_CLEARANCE = 1.3
"""Å; a molecule nearer than this to an atom would react or explode."""

BOND_TOLERANCE = 1.2
"""Two atoms are bonded up to this multiple of the sum of their covalent radii."""


@dataclass(frozen=True)
class Void:
    """An empty sphere: its center (3,) Å and its radius in Å, the distance to the nearest atom."""

    center: np.ndarray
    radius: float


@dataclass(frozen=True)
class Insertion:
    """A structure with a molecule in it.

    ``ids`` are the molecule's atoms, from 1; ``clearance`` is its distance to the nearest other atom in Å.
    """

    atoms: Atoms
    ids: list[int]
    void: Void
    clearance: float


def read_molecule(name: str) -> Atoms:
    """Return a molecule by name (H2O and others of ASE's g2 collection, or an element), or from a file.

    Raises UserError when it is neither.
    """
    if name in g2.names:
        return build_molecule(name)
    if name in chemical_symbols[1:]:
        return Atoms(name)
    if not Path(name).is_file():
        raise UserError(
            f"molecule {name!r}: neither a name that ASE knows (H2O, O2, CH3OH, …) nor a file; give one of both."
        )
    try:
        found = read_frames(Path(name))[-1]
    except Exception as error:
        raise UserError(f"molecule {name!r}: ASE cannot read this file ({why(error)}); give another.") from None
    alone = Atoms(found.get_chemical_symbols(), found.get_positions(), cell=np.eye(3) * ROOM)
    if (reason := doubt(alone)) is not None:
        raise UserError(f"molecule {name!r}: {reason}; give another file.")
    alone.cell = None
    return alone


def neighbourhood(atoms: Atoms) -> cKDTree:
    """Return a search tree of the atoms and of their images in the cells around the first one."""
    shifts = list(product(*[(-1, 0, 1) if periodic else (0,) for periodic in atoms.pbc]))
    positions = atoms.get_positions(wrap=True)
    return cKDTree(np.concatenate([positions + np.array(shift) @ atoms.cell.array for shift in shifts]))


def largest_void(atoms: Atoms, axis: int = 0, start: tuple[float, float] = START) -> Void:
    """Return the largest void with its center in a slab of the cell.

    ``start`` are two fractions of the cell vector ``axis`` (0, 1, 2); they may reach across the boundary, as
    (-0.1, 0.1) does. Raises UserError when the slab is empty.
    """
    if not -1.0 <= start[0] < start[1] <= 2.0:
        raise UserError(
            f"start slab {start[0]:g} to {start[1]:g}: expected the smaller fraction first, both between -1 and 2."
        )
    fractions = []
    for number, length in enumerate(atoms.cell.lengths()):
        low, high = start if number == axis else (0.0, 1.0)
        points = int(np.ceil((high - low) * length / SPACING)) + 1
        fractions.append(np.linspace(low, high, points))
    if (places := np.prod([float(len(axis)) for axis in fractions])) > MOST_PLACES:
        raise UserError(f"a cell of {atoms.get_volume():.2e} Å³ has {places:.0e} places to try; cut it smaller.")
    grid = np.stack(np.meshgrid(*fractions, indexing="ij"), axis=-1).reshape(-1, 3)
    grid[:, atoms.pbc] %= 1.0
    centers = grid @ atoms.cell.array
    distances, _ = neighbourhood(atoms).query(centers)
    best = int(np.argmax(distances))
    return Void(centers[best], float(distances[best]))


def insert(
    atoms: Atoms, molecule: Atoms, axis: int = 0, start: tuple[float, float] = START, seed: int = 1
) -> Insertion:
    """Put a molecule into the largest void of the start slab, turned to have the most room.

    Its center of mass comes to the void's center; its atoms follow those of ``atoms``, whose fixed ones stay fixed.
    Raises UserError when another atom would be nearer than LEAST_CLEARANCE.
    """
    void = largest_void(atoms, axis, start)
    arms = molecule.positions - molecule.get_center_of_mass()
    tree = neighbourhood(atoms)
    turns = Rotation.random(ORIENTATIONS, random_state=seed).as_matrix()
    places = void.center + np.einsum("rij,mj->rmi", turns, arms)
    clearances = tree.query(places)[0].min(axis=1)
    best = int(np.argmax(clearances))
    clearance = float(clearances[best])
    if clearance < LEAST_CLEARANCE:
        raise UserError(
            f"no room for {molecule.get_chemical_formula()}: at best {clearance:.2f} Å to the nearest atom, "
            f"expected {LEAST_CLEARANCE} Å; choose a wider start slab or a lower density."
        )
    whole = Atoms(atoms.get_chemical_symbols(), atoms.get_positions(), cell=atoms.cell, pbc=atoms.pbc)
    whole += Atoms(molecule.get_chemical_symbols(), places[best])
    fix(whole, [int(index) + 1 for index in np.flatnonzero(is_fixed(atoms))])
    whole.wrap()
    ids = list(range(len(atoms) + 1, len(whole) + 1))
    return Insertion(whole, ids, void, clearance)


def bonds(atoms: Atoms, ids: list[int]) -> set[tuple[int, int]]:
    """Return the bonds of the atoms ``ids`` (from 1) as pairs of ids, those to other atoms among them."""
    radii = BOND_TOLERANCE * covalent_radii[atoms.numbers]
    first, second = neighbor_list("ij", atoms, list(radii))
    own = np.isin(first + 1, ids)
    pairs = np.sort(np.column_stack([first[own], second[own]]) + 1, axis=1)
    return {(int(a), int(b)) for a, b in pairs}


def is_intact(atoms: Atoms, ids: list[int], molecule: Atoms) -> bool:
    """Return whether the atoms ``ids`` have the bonds of ``molecule`` and no other ones."""
    names = dict(enumerate(ids, start=1))
    expected = {(names[a], names[b]) for a, b in bonds(molecule, list(names))}
    return bonds(atoms, ids) == expected
