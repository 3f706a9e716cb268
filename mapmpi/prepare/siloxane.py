"""``prepare siloxane``: water beside a strained ring of silicon and oxygen, and an input for it."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import numpy as np
import yaml
from mpi4py import MPI

from mapmpi.config import ForceField
from mapmpi.md.fixed import is_fixed
from mapmpi.parallel.agreement import on_root
from mapmpi.prepare.arguments import read_forcefield
from mapmpi.prepare.output import Console, command_of, forcefield_lines, outputs
from mapmpi.structures.files import write_lammps_data
from mapmpi.structures.glass import relax
from mapmpi.structures.siloxane import Attack, attack

FMAX = 0.01
"""eV/Å to which the structure is relaxed."""


def make(arguments: argparse.Namespace, comm: MPI.Intracomm, console: Console) -> None:
    """Make the structure and the input (collective)."""
    data, text = on_root(comm, lambda: outputs(arguments.output, (".data", ".yaml"), arguments.force))
    forcefield = on_root(comm, lambda: read_forcefield(arguments.forcefield, arguments.allow_commands))
    start = on_root(comm, lambda: attack(arguments.members))
    atoms, result = relax(start.atoms, forcefield, comm, FMAX)
    console.say(f"relaxed: largest force {result.residual:.3f} eV/Å after {result.calls} force calls")
    start = Attack(atoms, start.water, start.silicon, start.bridge)
    command = command_of(arguments.command_line)

    def written() -> None:
        note = f"water: atoms {' '.join(map(str, start.water))}, which goes for the silicon atom {start.silicon}"
        write_lammps_data(data, atoms, f"# {command}", note)
        text.write_text(input_text(start, forcefield, data, command), encoding="utf-8")

    on_root(comm, written)
    ends = start.water[0] - 1, start.silicon - 1
    console.say(
        f"the water's oxygen is {atoms.get_distance(*ends, mic=True):.2f} Å from silicon {start.silicon} of a ring of "
        f"{arguments.members}; wrote {data} and {text}"
    )


def input_text(start: Attack, forcefield: ForceField, data: Path, command: str) -> str:
    """Return an input for training with a start, whose structure lies beside it."""
    length = float(np.linalg.norm(start.way))
    direction = ", ".join(f"{value:.4f}" for value in start.way / length)
    held = [int(index) + 1 for index in np.flatnonzero(is_fixed(start.atoms))]
    name = shlex.quote(str(data.with_suffix(".yaml")))
    forces = f"{lines}\n" if (lines := forcefield_lines(forcefield)) else ""
    return f"""# {command}
# mpiexec -n 3 python -m mapmpi.train {name} --run-dir RUN_DIR
# mpiexec -n 2 python -m mapmpi.pneb RUN_DIR
structure:
  file: {yaml.safe_dump(data.name).splitlines()[0]}
  tagged_atoms: [{start.water[0]}]               # the oxygen of the water molecule
  molecule_atoms: {list(start.water)}
  fixed_atoms: {held}          # the far end of the ring, as the solid would hold it
{forces}goal:
  direction: [{direction}]  # from there to the silicon
  distance: {length:.3f}  # Å: half an Å before its place, from which it gives way
actions:
  displacement: 0.2  # Å; the whole way is short
episode:
  max_actions: 40
train:
  stop:
    actions: 300
    wall_time: 5min
"""
