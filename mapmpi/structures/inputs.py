"""From the input file to a checked configuration and structure, before any rank starts to simulate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms, FixCartesian
from ase.geometry import get_distances
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from mapmpi.config import AtomRegion, Config, load, unit
from mapmpi.errors import UserError
from mapmpi.md.fixed import fix, is_fixed
from mapmpi.structures.files import check_elements, read_structure

ROUNDING_A = 1e-6
"""An atom that is no farther from where it belongs is there."""


def read_input(path: Path, settings: list[str], allow_commands: bool = False) -> tuple[Config, Atoms]:
    """Read an input file and its structure; UserError for whatever does not fit together."""
    config = load(path, settings, allow_commands=allow_commands)
    return config, read_atoms(path, config)


def read_atoms(path: Path, config: Config) -> Atoms:
    """Return the structure of a configuration, and settle there which atoms are fixed.

    Raises UserError, with the input's ``path``, for whatever does not fit together.
    """
    atoms = read_sized(config)
    check_atoms(path, config, atoms)
    make_whole(atoms, config.structure.molecule)
    settle_fixed_atoms(path, config, atoms)
    check_goal(path, config, atoms)
    return atoms


def read_sized(config: Config) -> Atoms:
    """Return the structure of a configuration, of the size that a simulated engine is to have. Raises UserError."""
    atoms = read_structure(config.structure.file, config.structure.elements)
    simulated = config.forcefield.simulated
    return atoms if simulated is None or simulated.atoms is None else resized(atoms, simulated.atoms)


def make_whole(atoms: Atoms, ids: Sequence[int]) -> None:
    """Bring the atoms ``ids`` (from 1) of a molecule together that a periodic face cuts.

    Its center of mass would lie half a cell away from it. Each atom goes to the image that is nearest to its neighbour
    in the molecule, from the first one on; what is whole stays as it is.
    """
    if len(ids) == 1:
        return
    chosen, places = np.array(ids) - 1, atoms.positions
    apart, lengths = get_distances(places[chosen], cell=atoms.cell, pbc=atoms.pbc)
    order, before = breadth_first_order(minimum_spanning_tree(lengths), 0, directed=False)
    for one in order[1:]:
        nearest = places[chosen[before[one]]] + apart[before[one], one]
        if np.abs(nearest - places[chosen[one]]).max() > ROUNDING_A:
            places[chosen[one]] = nearest


def resized(atoms: Atoms, count: int) -> Atoms:
    """Return the first ``count`` atoms of a structure repeated along its first cell vector as often as it takes."""
    return atoms.repeat((-(-count // len(atoms)), 1, 1))[:count]


def check_atoms(path: Path, config: Config, atoms: Atoms) -> None:
    """Refuse atom ids and elements that do not go with a structure, with the input's path; UserError."""
    if config.structure.elements is not None:
        check_elements(config.structure.elements)
        if missing := sorted(set(atoms.symbols) - set(config.structure.elements)):
            raise UserError(
                f"{path}: structure.elements: {missing[0]} is in the structure and not among them; add it."
            )
    for key, ids in (
        ("tagged_atoms", config.structure.tagged_atoms),
        ("molecule_atoms", config.structure.molecule),
    ):
        if twice := [number for number, count in Counter(ids).items() if count > 1]:
            raise UserError(f"{path}: structure.{key}: atom {twice[0]} is named twice; name each once.")
        beyond = [number for number in ids if number > len(atoms)]
        if beyond:
            raise UserError(
                f"{path}: structure.{key}: no atom {beyond[0]} in {config.structure.file.name}, which has "
                f"{len(atoms)}; give ids from 1 to {len(atoms)}."
            )
    stray = sorted(set(config.structure.tagged_atoms) - set(config.structure.molecule))
    if stray:
        raise UserError(
            f"{path}: structure.molecule_atoms: tagged atom {stray[0]} is not among them; add it to the molecule."
        )


def settle_fixed_atoms(path: Path, config: Config, atoms: Atoms) -> None:
    """Put the ids of the atoms that never move into the configuration, and a FixAtoms of them on the atoms.

    What a run directory keeps are these ids, so that later jobs hold the same atoms. Raises UserError, with the
    input's path, for ids that are not there, and for a molecule that could not move.
    """
    chosen, key = config.structure.fixed_atoms, f"{path}: structure.fixed_atoms"
    if chosen is None:
        ids = _ids_fixed_by_file(key, config.structure.file.name, atoms)
    elif isinstance(chosen, AtomRegion):
        ids = _ids_in(chosen, atoms)
        if not ids:
            raise UserError(f"{key}: no atom lies in this region; move its plane, or leave the key out.")
    else:
        ids = sorted(set(chosen))
    if ids and ids[-1] > len(atoms):
        raise UserError(
            f"{key}: no atom {ids[-1]} in {config.structure.file.name}, which has {len(atoms)}; give ids from 1 to "
            f"{len(atoms)}."
        )
    held = sorted(set(ids) & {*config.structure.tagged_atoms, *config.structure.molecule})
    if held:
        raise UserError(
            f"{key}: atom {held[0]} is one of the molecule that is to be moved; leave it out of the fixed atoms"
            + ("." if chosen is not None else ", which this file names, by giving the others' ids.")
        )
    config.structure.fixed_atoms = ids
    fix(atoms, ids)


def _ids_fixed_by_file(key: str, name: str, atoms: Atoms) -> list[int]:
    """Return the ids of the atoms that a structure's file fixes. Raises UserError where it asks for anything else."""
    held, other = is_fixed(atoms), []
    for constraint in atoms.constraints:
        if isinstance(constraint, FixCartesian) and (constraint.mask.all() or not constraint.mask.any()):
            held[constraint.index] |= constraint.mask.all()  # a file with a column for each direction
        elif not isinstance(constraint, FixAtoms):
            other.append(constraint)
    if other:
        raise UserError(
            f"{key}: {name} holds some atoms in some directions only ({type(other[0]).__name__}), and an atom is "
            "either fixed or moves; give the ids of those to be fixed ([] for none)."
        )
    return [int(index) + 1 for index in np.flatnonzero(held)]


def _ids_in(region: AtomRegion, atoms: Atoms) -> list[int]:
    """Return the ids of the atoms in a region."""
    along = atoms.positions[:, "xyz".index(region.axis)]
    low = -np.inf if region.below is None else region.below
    high = np.inf if region.above is None else region.above
    return [int(index) + 1 for index in np.flatnonzero((along < low) | (along > high))]


def check_goal(path: Path, config: Config, atoms: Atoms) -> None:
    """Refuse a goal outside the cell. Along a periodic direction one whole period is allowed."""
    forward = unit(config.goal.direction)
    extent = float(np.abs(atoms.cell.array @ forward).sum())
    start = float(atoms.positions[np.array(config.structure.tagged_atoms) - 1].mean(axis=0) @ forward)
    lowest = float(np.minimum(atoms.cell.array @ forward, 0.0).sum())
    open_sides = bool((~atoms.pbc & (np.abs(atoms.cell.array @ forward) > 1e-6)).any())
    room = lowest + extent - start if open_sides else extent
    if config.goal.distance > room + 1e-6:
        raise UserError(
            f"{path}: goal.distance: {config.goal.distance:g} Å from the start lies outside the cell, which has "
            f"{room:.2f} Å in direction {list(config.goal.direction)}; give a smaller distance."
        )
