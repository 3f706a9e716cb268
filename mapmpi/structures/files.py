"""Structures from and to files, by ASE."""

from __future__ import annotations

import re
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from ase.data import atomic_masses, chemical_symbols

from mapmpi.errors import UserError

_STYLE = re.compile(r"^\s*Atoms\s*#\s*\w", re.MULTILINE)
"""A data file that says its atom style, which ASE then reads itself."""


def _looks_like_lammps_data(file: Path) -> bool:
    with open(file, encoding="utf-8", errors="replace") as handle:
        head = [line.split("#")[0].split() for _, line in zip(range(40), handle, strict=False)]
    return any(words[1:] == ["atom", "types"] for words in head)


def _read_lammps_data(file: Path, elements: list[str] | None) -> Atoms:
    """Read a LAMMPS data file, atom style ``charge`` unless it names another; elements from the masses."""
    style = None if _STYLE.search(file.read_text(encoding="utf-8", errors="replace")) else "charge"
    atoms = ase.io.read(
        file, format="lammps-data", parallel=False, units="real", atom_style=style, sort_by_id=True
    )
    types = atoms.arrays["type"]
    if elements is None:
        return atoms
    if types.max() > len(elements):
        raise UserError(
            f"structure.elements: {len(elements)} elements for {types.max()} atom types in {file}; name one each."
        )
    unknown = [name for name in elements if name not in chemical_symbols[1:]]
    if unknown:
        raise UserError(f"structure.elements: {unknown[0]!r} is not a chemical element; write for example Si.")
    atoms.set_chemical_symbols([elements[number - 1] for number in types])
    atoms.set_masses(atomic_masses[atoms.numbers])
    return atoms


def read_structure(file: Path, elements: list[str] | None = None) -> Atoms:
    """Read a structure, its cell brought into LAMMPS's form and its origin at zero.

    Raises UserError when the file cannot be read or has no cell.
    """
    try:
        # parallel=False: only this rank reads, and ASE would wait for the others
        data = _looks_like_lammps_data(file)
        atoms = _read_lammps_data(file, elements) if data else ase.io.read(file, parallel=False)
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"structure.file: cannot read {file} ({reason}); give a file that ASE reads.") from None
    if atoms.cell.rank < 3:
        raise UserError(f"structure.file: {file} has no three-dimensional cell; add one.")
    atoms.positions -= atoms.get_celldisp().ravel()
    atoms.set_celldisp(np.zeros(3))
    prism = Prism(atoms.cell.array, pbc=atoms.pbc)
    if prism.is_skewed() or not np.allclose(prism.lammps_cell, atoms.cell.array):
        atoms.set_cell(prism.lammps_cell, scale_atoms=True)
    atoms.calc = None
    return atoms


def write_lammps_data(file: Path, atoms: Atoms, header: str, note: str = "") -> None:
    """Write a LAMMPS data file, atom style ``charge``, units real or metal, one atom type per element.

    ``header`` becomes the first line, which LAMMPS ignores, and ``note`` a comment below it. The elements, in
    alphabetical order, stand as comments behind the masses. The cell must be in LAMMPS's form.
    """
    elements = sorted(set(atoms.symbols))
    xx, yy, zz, xy, xz, yz = (float(value) for value in Prism(atoms.cell.array).get_lammps_prism())
    lines = [header]
    lines += [f"# {note}"] if note else []
    lines += ["", f"{len(atoms)} atoms", f"{len(elements)} atom types", ""]
    lines += [f"0.0 {high:.10f} {axis}lo {axis}hi" for axis, high in zip("xyz", (xx, yy, zz), strict=True)]
    if any(abs(tilt) > 1e-10 for tilt in (xy, xz, yz)):
        lines.append(f"{xy:.10f} {xz:.10f} {yz:.10f} xy xz yz")
    lines += ["", "Masses", ""]
    for number, symbol in enumerate(elements, start=1):
        lines.append(f"{number} {atomic_masses[chemical_symbols.index(symbol)]:.4f}  # {symbol}")
    lines += ["", "Atoms  # charge", ""]
    for number, (symbol, charge, place) in enumerate(
        zip(atoms.symbols, atoms.get_initial_charges(), atoms.positions, strict=True), start=1
    ):
        x, y, z = place
        lines.append(f"{number} {elements.index(symbol) + 1} {charge:.6f} {x:.8f} {y:.8f} {z:.8f}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
