"""Structures from and to files, by ASE."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from ase.data import atomic_masses, chemical_symbols
from ase.io.formats import filetype, ioformats

from mapmpi.errors import UserError, why
from mapmpi.limits import limited
from mapmpi.logs import log
from mapmpi.plausible import doubt
from mapmpi.yamltext import quoted

_FORMATS = """
aims cfg cif crystal cube dftb dlp4 espresso-in extxyz gen gromacs gromos lammps-data lammps-dump-text
proteindatabank res turbomole v-sim vasp vasp-xdatcar xsd xsf xyz
"""
FORMATS = frozenset(_FORMATS.split())
"""ASE's formats of plain text that hold structures. Others unpickle, open data bases, or follow paths in the file."""

_STYLE = re.compile(r"^\s*Atoms\s*#\s*\w", re.MULTILINE)
"""A data file that says its atom style, which ASE then reads itself."""

_ATOMS = re.compile(r"^[ \t]*Atoms\b[^\n]*\n[ \t]*\n((?:[ \t]*\d[^\n]*(?:\n|\Z))+)", re.MULTILINE)
"""The lines of a data file's atoms."""


def read_frames(file: Path, **options: Any) -> list[Atoms]:
    """Return all frames of a file that ASE reads; ``options`` are those of its reader.

    Raises ValueError and whatever ASE's readers raise for a file that is none, or a damaged one; half a sentence.
    """
    if not os.path.isfile(file):
        raise ValueError("no such file")
    if (form := options.pop("format", None) or filetype(str(file))) not in FORMATS:
        raise ValueError(f"mapmpi reads no files of the format {quoted(form)}; convert it, for example to extxyz")
    _ = ioformats[form].module  # imported here, so that this costs none of the time below
    # parallel=False: only this rank reads, and ASE would wait for the others
    with limited(os.path.getsize(file)), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # readers warn of what is refused below
        frames = ase.io.read(file, index=":", format=form, parallel=False, **options)
    if not frames:
        raise ValueError("it has no frames")
    return frames


def _looks_like_lammps_data(file: Path) -> bool:
    with open(file, encoding="utf-8", errors="replace") as handle:
        head = [line.split("#")[0].split() for line in iter(lambda: handle.readline(10_000), "")][:40]
    return any(words[1:] == ["atom", "types"] for words in head)


def _read_lammps_data(file: Path, elements: list[str] | None) -> Atoms:
    """Read a LAMMPS data file, atom style ``charge`` unless it names another; elements from the masses."""
    text = file.read_text(encoding="utf-8", errors="replace")
    style = None if _STYLE.search(text) else "charge"
    atoms = read_frames(file, format="lammps-data", units="real", atom_style=style, sort_by_id=True)[-1]
    if (section := _ATOMS.search(text)) is not None and section[1].rstrip().count("\n") >= len(atoms):
        raise UserError(
            f"structure.file: {file} lists more than the {len(atoms)} atoms of its head; correct the head."
        )
    ids, types = atoms.arrays["id"], atoms.arrays["type"]
    if not np.array_equal(ids, np.arange(1, len(atoms) + 1)):
        raise UserError(
            f"structure.file: the ids of the atoms in {file} are not 1 to {len(atoms)}; number them so."
        )
    if elements is None:
        return atoms
    if types.min(initial=1) < 1 or types.max(initial=1) > len(elements):
        raise UserError(
            f"structure.elements: {len(elements)} elements for atom types from {types.min()} to {types.max()} in "
            f"{file}; name one each."
        )
    check_elements(elements)
    atoms.set_chemical_symbols([elements[number - 1] for number in types])
    atoms.set_masses(atomic_masses[atoms.numbers])
    return atoms


def check_elements(elements: list[str]) -> None:
    """Refuse names that are no elements, or stand there twice; UserError."""
    for name in elements:
        if name not in chemical_symbols[1:]:
            raise UserError(f"structure.elements: {name!r} is not a chemical element; write for example Si.")


def read_structure(file: Path, elements: list[str] | None = None) -> Atoms:
    """Read a structure, its cell brought into LAMMPS's form and its origin at zero.

    Raises UserError when the file cannot be read, has no cell, or holds what can be no structure.
    """
    try:
        atoms = _read_lammps_data(file, elements) if _looks_like_lammps_data(file) else read_frames(file)[-1]
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"structure.file: cannot read {file} ({why(error)}); give a file that ASE reads."
        ) from None
    if atoms.cell.rank < 3:
        raise UserError(f"structure.file: {file} has no three-dimensional cell; add one.")
    if (reason := doubt(atoms)) is not None:
        raise UserError(f"structure.file: {file}: {reason}; mend the file.")
    before = atoms.cell.array.copy()
    in_lammps_form(atoms)
    if not np.allclose(before, atoms.cell.array, atol=1e-6):
        log.warning(
            "%s: the cell was turned into LAMMPS's form, the first vector along x and the second in the xy plane; "
            "goal.direction, actions.directions and a region of fixed_atoms are meant there.",
            file,
        )
    atoms.calc = None
    if (reason := doubt(atoms)) is not None:
        raise UserError(f"structure.file: {file}, in LAMMPS's form: {reason}; mend the file.")
    return atoms


def in_lammps_form(atoms: Atoms) -> None:
    """Turn atoms with a three-dimensional cell so that its first vector is along x and the second in the xy plane.

    Its corner comes to the origin; the box of a dump may begin anywhere.
    """
    atoms.positions -= np.asarray(atoms.get_celldisp(), dtype=float).ravel()
    atoms.set_celldisp(np.zeros(3))
    prism = Prism(atoms.cell.array, pbc=atoms.pbc)
    if prism.is_skewed() or not np.allclose(prism.lammps_cell, atoms.cell.array):
        atoms.set_cell(prism.lammps_cell, scale_atoms=True)


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
