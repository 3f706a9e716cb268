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


def _finish(
    atoms: Atoms,
    molecule: Atoms | None,
    forcefield: ForceField,
    arguments: argparse.Namespace,
    comm: MPI.Intracomm,
    console: Console,
) -> None:
    """Put the molecule in, if there is one, write the files, and print the report and what goes into the input.

    With the molecule everything is relaxed unless told not to; a warning is printed when it reacted.
    """
    ids: list[int] = []
    if molecule is not None:
        axis, start = "xyz".index(arguments.axis), tuple(arguments.start)
        found = on_root(comm, lambda: insert(atoms, molecule, axis, start, arguments.seed))
        console.say(
            f"void: radius {found.void.radius:.2f} Å at "
            + " ".join(f"{value:.2f}" for value in found.void.center)
            + f" Å; the molecule's atoms are {found.clearance:.2f} Å or more from all others"
        )
        atoms, ids = found.atoms, found.ids
        if not arguments.no_relax:
            atoms = _relaxed(atoms, forcefield, comm, console)
            if not is_intact(atoms, ids, molecule):
                console.say(
                    "warning: the molecule reacted or broke while it was relaxed; try another seed or start slab"
                )
    on_root(comm, lambda: write(atoms, arguments.output, arguments.command_line, ids))
    if {"Si", "O"} <= set(atoms.symbols):
        console.say("\n" + analyse(atoms).table())
    console.say(f"\nwrote {arguments.output} and {arguments.output.with_suffix('.extxyz')}")
    console.say("for the input (a path is relative to the input file):\n")
    console.say(yaml_lines(atoms, arguments.output, ids))


def _asked(arguments: argparse.Namespace) -> tuple[ForceField, Atoms | None]:
    """Return the force field and the molecule to be put in, if any. Raises UserError for what cannot be read, or
    where nothing can be written."""
    check_output(arguments.output, arguments.force)
    molecule = read_molecule(arguments.insert) if arguments.insert else None
    return read_forcefield(arguments.forcefield, arguments.allow_commands), molecule


def make_silica(arguments: argparse.Namespace, comm: MPI.Intracomm, console: Console) -> None:
    """Melt, quench and relax a glass; with ``--insert``, put a molecule into it."""
    forcefield, molecule = on_root(comm, lambda: _asked(arguments))
    units = arguments.formula_units
    length = arguments.length or cell_length(units, arguments.density)
    atoms = on_root(comm, lambda: random_silica(units, length, arguments.seed))
    check_forces(atoms if molecule is None else atoms + molecule, forcefield, comm)
    console.say(f"{units} SiO2 in a cube of {length:.3f} Å")
    atoms = melt_quench(atoms, arguments.rate, arguments.seed, comm, console.progress)
    atoms = _relaxed(atoms, forcefield, comm, console)
    _finish(atoms, molecule, forcefield, arguments, comm, console)


def make_polyethylene(arguments: argparse.Namespace, comm: MPI.Intracomm, console: Console) -> None:
    """Place, compress, cool and relax chains; with ``--insert``, put a molecule between them."""
    forcefield, molecule = on_root(comm, lambda: _asked(arguments))
    atoms = on_root(comm, lambda: polymer.dilute(arguments.chains, arguments.carbons, arguments.seed))
    check_forces(atoms if molecule is None else atoms + molecule, forcefield, comm)
    console.say(f"{arguments.chains} chains, {len(atoms)} atoms, in a cube of {atoms.cell[0, 0]:.1f} Å at first")
    atoms = polymer.compress(atoms, arguments.density, forcefield, arguments.seed, comm, console.progress)
    atoms = _relaxed(atoms, forcefield, comm, console)
    _finish(atoms, molecule, forcefield, arguments, comm, console)


def insert_molecule(arguments: argparse.Namespace, comm: MPI.Intracomm, console: Console) -> None:
    """Put a molecule into the user's structure."""
    forcefield, molecule = on_root(comm, lambda: _asked(arguments))
    atoms = on_root(comm, lambda: read_structure(arguments.structure, arguments.elements))
    _finish(atoms, molecule, forcefield, arguments, comm, console)


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
