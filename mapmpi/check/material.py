"""The lines on the material: the input, its structure, LAMMPS, and the force field."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from mapmpi.check.extras import has_lammps
from mapmpi.check.mpi import called_by, called_by_mpi4py, file_of
from mapmpi.check.page import Page
from mapmpi.config import Config, Stop, load
from mapmpi.md.engine import element_order, largest_force
from mapmpi.md.factory import make_engine
from mapmpi.md.fixed import is_fixed
from mapmpi.md.forcefield import check_elements, describe, reaxff_elements, reaxff_file, reaxff_title
from mapmpi.structures.analysis import density
from mapmpi.structures.inputs import check_atoms, check_goal, make_whole, read_sized, settle_fixed_atoms
from mapmpi.units import duration_text

if TYPE_CHECKING:
    from mapmpi.md.library import Build

AT_REST = 0.5
"""eV/Å; a structure with larger forces is not relaxed, and its first MD steps heat it."""

PACKAGES = ("MANYBODY", "MEAM", "ML-SNAP", "ML-PACE", "OPENMP", "KOKKOS")
"""Packages of LAMMPS besides REAXFF that a user may ask about."""

_NAMED = {"silica": {"Si", "O"}, "water": {"O", "H"}, "fogarty": {"Si", "O", "H"}}
"""Words by which a title names elements without their symbols; Fogarty et al. 2010 made silica with water."""


def read_config(page: Page, path: Path, settings: list[str], allow_commands: bool) -> Config | None:
    """Read the input and say what it asks for; None when it is refused."""
    with page.attempt("input"):
        config = load(path, settings, allow_commands=allow_commands)
        page.ok("input", f"{path}: mode {config.mode}, ends after {stop_text(config.train.stop)}")
        return config
    return None


def stop_text(stop: Stop) -> str:
    """Return in words when a training ends."""
    limits = [
        f"{stop.actions} actions" if stop.actions else "",
        f"{stop.episodes} episodes" if stop.episodes else "",
    ]
    if stop.wall_time == "job":
        limits.append("the time of each batch job")
    elif stop.wall_time is not None:
        limits.append(duration_text(stop.wall_time))
    return " or ".join(limit for limit in limits if limit)


def read_atoms(page: Page, path: Path, config: Config) -> Atoms | None:
    """Read the structure and say what it is, and whether tagged atoms and goal fit it; None when it is refused."""
    atoms = None
    with page.attempt("structure"):
        atoms = read_sized(config)
        cell = " ".join(f"{value:.2f}" for value in atoms.cell.lengths()) + " Å"
        if not np.allclose(angles := atoms.cell.angles(), 90.0):
            cell += ", " + " ".join(f"{value:.1f}" for value in angles) + "°"
        finding = f"{config.structure.file.name}: {len(atoms)} atoms, {atoms.get_chemical_formula()}; cell {cell}"
        page.ok("structure", f"{finding}; {density(atoms):.2f} g/cm³")
    if atoms is None:
        return None
    with page.attempt("tagged atoms"):
        check_atoms(path, config, atoms)
        make_whole(atoms, config.structure.molecule)
        tagged = _ids(atoms, config.structure.tagged_atoms)
        page.ok("tagged atoms", f"{tagged}; the molecule: {_molecule(atoms, config)}")
        with page.attempt("fixed atoms"):
            settle_fixed_atoms(path, config, atoms)
            if ids := [int(index) + 1 for index in np.flatnonzero(is_fixed(atoms))]:
                page.ok("fixed atoms", f"{len(ids)} of {len(atoms)} never move: {_ids(atoms, ids)}")
            with page.attempt("goal"):
                check_goal(path, config, atoms)
                goal = config.goal
                page.ok("goal", f"{goal.distance:g} Å along {list(goal.direction)} lies inside the cell")
                return atoms
    return None


def _ids(atoms: Atoms, ids: list[int]) -> str:
    return " ".join(f"{atoms.symbols[number - 1]} {number}" for number in ids[:6]) + (" …" if len(ids) > 6 else "")


def _molecule(atoms: Atoms, config: Config) -> str:
    ids = config.structure.molecule
    return f"{atoms[[number - 1 for number in ids]].get_chemical_formula()} ({_ids(atoms, ids)})"


def find_lammps(page: Page, config: Config | None) -> Build | None:
    """Say what the installed LAMMPS is; None when there is none, or it does not load or lacks what the input needs."""
    if not has_lammps(page) or not one_mpi(page):
        return None
    from mapmpi.md.library import OLDEST, installed

    with page.attempt("LAMMPS"):
        build = installed()
        reaxff = "REAXFF" in build.packages
        present = [name for name in PACKAGES if name in build.packages]
        absent = [name for name in PACKAGES if name not in build.packages]
        finding = f"version {build.version}, {'with' if reaxff else 'without'} REAXFF; {_with(present, absent)}"
        if build.version < OLDEST:
            page.fails("LAMMPS", f"{finding}; too old, install one of {OLDEST} or newer.")
            return None
        if not reaxff and (config is None or config.forcefield.commands is None):
            page.fails("LAMMPS", f"{finding}; build it with the package REAXFF, or give forcefield.commands.")
            return None
        page.ok("LAMMPS", finding)
        if "MANYBODY" in absent:
            page.note(
                "MANYBODY", "not there: silica cannot be melted by `mapmpi.prepare`, nor has EAM for metals."
            )
        return build
    return None


def one_mpi(page: Page) -> bool:
    """Say which MPI LAMMPS and mpi4py call; return whether it is one, before a LAMMPS of another brings all down."""
    from mapmpi.md.library import REMEDY, library, one_line

    try:
        own, other = called_by_mpi4py(), called_by(library())
    except OSError as error:
        page.fails("one MPI", f"LAMMPS's library does not load beside mpi4py ({one_line(error)}); {REMEDY}.")
        return False
    where = file_of(library(), "lammps_version")
    if other.file == where:
        page.fails("one MPI", f"{where} was built without MPI; {REMEDY}.")
    elif other.file != own.file:
        page.fails("one MPI", f"mpi4py calls {own.words}, and {where} calls {other.words}; {REMEDY}.")
    else:
        page.ok("one MPI", f"mpi4py and {where} both call {own.words}")
        return True
    return False


def _with(present: list[str], absent: list[str]) -> str:
    parts = [f"of others {', '.join(present)}"] if present else []
    return "; ".join(parts + ([f"not {', '.join(absent)}"] if absent else []))


def check_forces(page: Page, config: Config, atoms: Atoms) -> bool:
    """Say which force field it is, and whether the structure is at rest in it; return whether LAMMPS computes it.

    One rank does this alone: an error in a parameter file would leave the other ranks of a group hanging.
    """
    reaxff = config.forcefield.commands is None and config.forcefield.ase is None
    if reaxff and not _describe_reaxff(page, config, atoms):
        return False
    with page.attempt("forces"):
        with closing(make_engine(config, atoms)) as engine:
            forces = engine.evaluate(atoms.positions).forces
        if config.forcefield.commands is not None:
            commands = "; ".join(config.forcefield.commands)
            page.ok("force field", f"{commands} (units {config.forcefield.units}): LAMMPS took them")
        if config.forcefield.ase is not None:
            page.ok("force field", f"{describe(config.forcefield).removeprefix('Forces: ')[:-1]}: it computes")
        _describe_forces(page, atoms, forces)
        return True
    return False


def _describe_reaxff(page: Page, config: Config, atoms: Atoms) -> bool:
    """Say what the parameter file is made for; return whether it has the structure's elements."""
    elements = element_order(atoms, config.structure.elements)
    with page.attempt("force field"):
        file = reaxff_file(config.forcefield)
        whose = "" if config.forcefield.reaxff_file else " of the installed LAMMPS"
        title, known = reaxff_title(file), reaxff_elements(file)
        finding = f"ReaxFF, {file.name}{whose}, titled “{title}”"
        if made_for(title, elements):
            page.ok("force field", finding)
        else:
            page.note(
                "force field",
                f"{finding}. The title does not name {', '.join(elements)}: for barriers that are to be compared "
                "with experiment set forcefield.reaxff_file to one made for the material (for silica and water "
                "Fogarty 2010).",
            )
        with page.attempt("elements"):
            check_elements(file, elements)
            page.ok("elements", f"{', '.join(elements)}: all among those of {file.name} ({', '.join(known)})")
            return True
    return False


def made_for(title: str, elements: list[str]) -> bool:
    """Return whether a parameter file's title names all the elements, by symbols or by a name that is known."""
    symbols = "|".join(sorted(elements, key=len, reverse=True))
    named: set[str] = set()
    for word in re.split(r"[^A-Za-z]+", title):
        named |= _NAMED.get(word.lower(), set())
        if re.fullmatch(f"(?:{symbols})+", word):
            named |= set(re.findall(symbols, word))
    return set(elements) <= named


def _describe_forces(page: Page, atoms: Atoms, forces: np.ndarray) -> None:
    largest = largest_force(forces)
    atom = int(np.argmax((forces**2).sum(axis=1)))
    finding = f"largest at the start {largest:.3g} eV/Å, on {atoms.symbols[atom]} {atom + 1}"
    if largest <= AT_REST:
        page.ok("forces", f"{finding}: the structure is at rest")
    else:
        page.note("forces", f"{finding}: the structure is not at rest in this force field; relax it first.")
