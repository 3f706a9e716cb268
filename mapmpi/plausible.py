"""Whether atoms can be a structure at all, whatever file they come from."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

FARTHEST = 1e5
"""Å; no coordinate and no cell vector is longer."""

THINNEST = 0.5
"""Å between opposite faces of a cell; a thinner one makes millions of periodic images."""


def doubt(atoms: Atoms) -> str | None:
    """Return why these atoms in this cell are no structure, as half a sentence; None if they may be one."""
    if len(atoms) == 0:
        return "it has no atoms"
    strange = np.flatnonzero((atoms.numbers < 1) | (atoms.numbers >= len(chemical_symbols)))
    if len(strange):
        return f"atom {strange[0] + 1} is of no element (number {atoms.numbers[strange[0]]})"
    lost = np.flatnonzero(~(np.abs(atoms.positions) < FARTHEST).all(axis=1))
    if len(lost):
        return (
            f"atom {lost[0] + 1} stands at {atoms.positions[lost[0]].tolist()}, expected less than {FARTHEST:g} Å"
        )
    masses = atoms.get_masses()
    weightless = np.flatnonzero(~((masses > 0) & (masses < 1e4)))
    if len(weightless):
        return f"atom {weightless[0] + 1} has a mass of {masses[weightless[0]]:g} amu"
    return _doubtful_cell(atoms.cell.array)


def _doubtful_cell(cell: np.ndarray) -> str | None:
    if not (np.abs(cell) < FARTHEST).all():
        return f"its cell {cell.tolist()} is not one of less than {FARTHEST:g} Å"
    volume = abs(float(np.linalg.det(cell)))
    areas = [float(np.linalg.norm(np.cross(cell[axis - 2], cell[axis - 1]))) for axis in range(3)]
    if not all(volume > THINNEST * area > 0 for area in areas):
        return f"its cell {cell.tolist()} has no volume, or is thinner than {THINNEST} Å"
    return None
