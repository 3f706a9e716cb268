"""``prepare labyrinth``: a structure whose lowest pass is known exactly, an input for it, and the truth."""

from __future__ import annotations

import argparse

import yaml
from mpi4py import MPI

from mapmpi.parallel.agreement import on_root
from mapmpi.prepare.output import Console, command_of, outputs
from mapmpi.structures.files import write_lammps_data
from mapmpi.structures.labyrinth import Labyrinth, make_labyrinth, write_truth
from mapmpi.structures.obstacles import OBSTACLE, TRACER, commands

ENDINGS = (".data", ".yaml", ".truth.json")


def make(arguments: argparse.Namespace, comm: MPI.Intracomm, console: Console) -> None:
    """Make a labyrinth and write its files (collective)."""
    console.say(on_root(comm, lambda: _made(arguments)))


def _made(arguments: argparse.Namespace) -> str:
    """Do all of it on one rank; return what is told."""
    data, text, truth = outputs(arguments.output, ENDINGS, arguments.force)
    labyrinth = make_labyrinth(arguments.seed, arguments.obstacles, arguments.length, arguments.distance)
    command = command_of(arguments.command_line)
    atoms = labyrinth.obstacles.atoms(labyrinth.start)
    write_lammps_data(data, atoms, f"# {command}", f"tracer: atom {len(atoms)}")
    text.write_text(input_text(labyrinth, data.name, truth.name, command), encoding="utf-8")
    write_truth(truth, labyrinth, command)
    return (
        f"{arguments.obstacles} obstacles in {arguments.length:g} Å, seed {arguments.seed}; the tracer starts at "
        f"{labyrinth.start_energy:.4f} eV\n"
        f"lowest pass to {arguments.distance:g} Å in +x: {labyrinth.height:.4f} eV above the start, at "
        f"{' '.join(f'{value:.2f}' for value in labyrinth.best.top)} Å\n"
        f"wrote {data}, {text} and {truth}"
    )


def input_text(labyrinth: Labyrinth, structure: str, truth: str, command: str) -> str:
    """Return an input for training in a labyrinth, with comments on what is not self-evident."""
    count = len(labyrinth.obstacles.places)
    forces = yaml.safe_dump({"commands": commands()}, indent=2, width=200)
    return f"""# {command}
# The lowest pass lies {labyrinth.height:.4f} eV above the start ({truth}).
structure:
  file: {yaml.safe_dump(structure).splitlines()[0]}
  elements: [{TRACER}, {OBSTACLE}]
  tagged_atoms: [{count + 1}]
  fixed_atoms: {list(range(1, count + 1))}
forcefield:
{"".join(f"  {line}{chr(10)}" for line in forces.splitlines())}  units: metal
dynamics:
  timestep: 2.0  # nothing is lighter than the tracer
  # one atom alone carries the tether's whole energy, which says nothing of the simulation's health
  max_temperature: 1.0e+5
goal:
  direction: [1.0, 0.0, 0.0]
  distance: {labyrinth.distance:g}
episode:
  max_actions: 300
train:
  stop:
    wall_time: 5min
"""
