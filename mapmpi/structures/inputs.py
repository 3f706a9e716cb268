"""From the input file to a checked configuration and structure, before any rank starts to simulate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms

from mapmpi.config import Config, load, unit
from mapmpi.errors import UserError
from mapmpi.structures.files import check_elements, read_structure


def read_input(path: Path, settings: list[str], allow_commands: bool = False) -> tuple[Config, Atoms]:
    """Read an input file and its structure; UserError for whatever does not fit together."""
    config = load(path, settings, allow_commands=allow_commands)
    atoms = read_structure(config.structure.file, config.structure.elements)
    check_atoms(path, config, atoms)
    check_goal(path, config, atoms)
    return config, atoms


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
