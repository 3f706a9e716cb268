"""The commands of prepare: make a structure, report on a glass, probe an input."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from ase import Atoms
from mpi4py import MPI

from mapmpi.config import ForceField
from mapmpi.errors import FAILED, EngineError
from mapmpi.logs import log
from mapmpi.parallel.agreement import on_root, parse, run
from mapmpi.prepare import crystals, labyrinth, probe, siloxane
from mapmpi.prepare.arguments import parser, read_forcefield
from mapmpi.prepare.output import Console, check_output, write, yaml_lines
from mapmpi.structures import polymer
from mapmpi.structures.analysis import analyse
from mapmpi.structures.files import read_structure
from mapmpi.structures.glass import cell_length, check_forces, melt_quench, random_silica, relax
from mapmpi.structures.insert import insert, is_intact, read_molecule

FMAX = 0.02
"""eV/Å to which ReaxFF relaxes."""


def _relaxed(atoms: Atoms, forcefield: ForceField, comm: MPI.Intracomm, console: Console) -> Atoms:
    """Relax a structure in the force field asked for, and say how far it came."""
    console.say("relaxing …")
    atoms, result = relax(atoms, forcefield, comm, FMAX)
    reached = "" if result.residual <= FMAX else f" (not the {FMAX} eV/Å aimed at)"
    console.say(
        f"relaxed: {result.energy:.3f} eV, largest force {result.residual:.3f} eV/Å{reached}, "
        f"{result.calls} force calls"
    )
    return atoms


def _inserted(
    atoms: Atoms,
    molecule: Atoms,
    forcefield: ForceField,
    arguments: argparse.Namespace,
    comm: MPI.Intracomm,
    console: Console,
) -> tuple[Atoms, list[int]]:
    """Put the molecule in, relax unless told not to, and warn when it reacted."""
    axis = "xyz".index(arguments.axis)
    start = (arguments.start[0], arguments.start[1])
    found = on_root(comm, lambda: insert(atoms, molecule, axis, start, arguments.seed))
    console.say(
        f"void: radius {found.void.radius:.2f} Å at "
        + " ".join(f"{value:.2f}" for value in found.void.center)
        + f" Å; the molecule's atoms are {found.clearance:.2f} Å or more from all others"
    )
    if arguments.no_relax:
        return found.atoms, found.ids
    atoms = _relaxed(found.atoms, forcefield, comm, console)
    if not is_intact(atoms, found.ids, molecule):
        console.say("warning: the molecule reacted or broke while it was relaxed; try another seed or start slab")
    return atoms, found.ids


def _finish(
    atoms: Atoms, ids: list[int], arguments: argparse.Namespace, comm: MPI.Intracomm, console: Console
) -> None:
    """Write the files, and print the report and what goes into the input."""
    on_root(comm, lambda: write(atoms, arguments.output, arguments.command_line, ids))
    if {"Si", "O"} <= set(atoms.symbols):
        console.say("\n" + analyse(atoms).table())
    console.say(f"\nwrote {arguments.output} and {arguments.output.with_suffix('.extxyz')}")
    console.say("for the input (a path is relative to the input file):\n")
    console.say(yaml_lines(atoms, arguments.output, ids))


def make_silica(arguments: argparse.Namespace, comm: MPI.Intracomm, console: Console) -> None:
    """Melt, quench and relax a glass; with ``--insert``, put a molecule into it."""
    on_root(comm, lambda: check_output(arguments.output, arguments.force))
    forcefield = on_root(comm, lambda: read_forcefield(arguments.forcefield, arguments.allow_commands))
    molecule = on_root(comm, lambda: read_molecule(arguments.insert)) if arguments.insert else None
    units = arguments.formula_units
    length = arguments.length or cell_length(units, arguments.density)
    atoms = on_root(comm, lambda: random_silica(units, length, arguments.seed))
    check_forces(atoms if molecule is None else atoms + molecule, forcefield, comm)
    console.say(f"{units} SiO2 in a cube of {length:.3f} Å")
    atoms = melt_quench(atoms, arguments.rate, arguments.seed, comm, console.progress)
    atoms = _relaxed(atoms, forcefield, comm, console)
    ids: list[int] = []
    if molecule is not None:
        atoms, ids = _inserted(atoms, molecule, forcefield, arguments, comm, console)
    _finish(atoms, ids, arguments, comm, console)


def make_polyethylene(arguments: argparse.Namespace, comm: MPI.Intracomm, console: Console) -> None:
    """Place, compress, cool and relax chains; with ``--insert``, put a molecule between them."""
    on_root(comm, lambda: check_output(arguments.output, arguments.force))
    forcefield = on_root(comm, lambda: read_forcefield(arguments.forcefield, arguments.allow_commands))
    molecule = on_root(comm, lambda: read_molecule(arguments.insert)) if arguments.insert else None
    atoms = on_root(comm, lambda: polymer.dilute(arguments.chains, arguments.carbons, arguments.seed))
    check_forces(atoms if molecule is None else atoms + molecule, forcefield, comm)
    console.say(f"{arguments.chains} chains, {len(atoms)} atoms, in a cube of {atoms.cell[0, 0]:.1f} Å at first")
    atoms = polymer.compress(atoms, arguments.density, forcefield, arguments.seed, comm, console.progress)
    atoms = _relaxed(atoms, forcefield, comm, console)
    ids: list[int] = []
    if molecule is not None:
        atoms, ids = _inserted(atoms, molecule, forcefield, arguments, comm, console)
    _finish(atoms, ids, arguments, comm, console)


def insert_molecule(arguments: argparse.Namespace, comm: MPI.Intracomm, console: Console) -> None:
    """Put a molecule into the user's structure."""
    on_root(comm, lambda: check_output(arguments.output, arguments.force))
    atoms = on_root(comm, lambda: read_structure(arguments.structure, arguments.elements))
    molecule = on_root(comm, lambda: read_molecule(arguments.molecule))
    forcefield = on_root(comm, lambda: read_forcefield(arguments.forcefield, arguments.allow_commands))
    atoms, ids = _inserted(atoms, molecule, forcefield, arguments, comm, console)
    _finish(atoms, ids, arguments, comm, console)


def report(arguments: argparse.Namespace, comm: MPI.Intracomm, console: Console) -> None:
    """Print the report of a silica structure."""
    atoms = on_root(comm, lambda: read_structure(arguments.structure, arguments.elements))
    figures = analyse(atoms)
    console.say(json.dumps(asdict(figures), indent=2) if arguments.json else figures.table())


COMMANDS: dict[str, Any] = {
    "silica": make_silica,
    "insert": insert_molecule,
    "labyrinth": labyrinth.make,
    "polyethylene": make_polyethylene,
    "siloxane": siloxane.make,
    "probe": probe.make,
    **dict.fromkeys(crystals.MAKERS, crystals.make),
    "report": report,
}


def main(argv: list[str] | None = None) -> int:
    """Run a command on all ranks of MPI's world; return 0, 2 for a user's error, 1 for a failed simulation."""
    return run(lambda world: _command(world, sys.argv[1:] if argv is None else argv))


def _command(world: MPI.Intracomm, words: list[str]) -> int:
    arguments = parse(world, parser(), words)
    arguments.command_line = words
    console = Console(silent=world.rank > 0)
    try:
        COMMANDS[arguments.command](arguments, world, console)
    except EngineError as error:
        if world.rank == 0:
            log.error("the simulation failed: %s", error)
        return FAILED
    finally:
        console.close()
    return 0
