"""``prepare vacancy``, ``interstitial`` and ``slab``: a crystal with an atom that hops, and an input for it."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable
from pathlib import Path

import yaml
from mpi4py import MPI

from mapmpi.config import ForceField
from mapmpi.md.fixed import is_fixed
from mapmpi.md.forcefield import installed_file
from mapmpi.parallel.agreement import on_root
from mapmpi.prepare.arguments import read_forcefield
from mapmpi.prepare.output import Console, command_of, forcefield_lines, outputs
from mapmpi.structures import crystals
from mapmpi.structures.crystals import Start
from mapmpi.structures.files import write_lammps_data
from mapmpi.structures.glass import relax

FMAX = 0.005
"""eV/Å to which the structure is relaxed."""

Maker = Callable[[argparse.Namespace, float], Start]
"""Makes a start of a lattice constant in Å."""

MAKERS: dict[str, Maker] = {
    "vacancy": lambda given, constant: crystals.vacancy(given.element, constant, given.repeat),
    "interstitial": lambda given, constant: crystals.interstitial(
        given.element, given.guest, constant, given.repeat
    ),
    "slab": lambda given, constant: crystals.slab(
        given.element, given.facet, constant, given.repeat, given.layers, given.fixed
    ),
}


def make(arguments: argparse.Namespace, comm: MPI.Intracomm, console: Console) -> None:
    """Make the structure and the input of a command of MAKERS (collective)."""
    data, text = on_root(comm, lambda: outputs(arguments.output, (".data", ".yaml"), arguments.force))
    forcefield = on_root(comm, lambda: _forcefield(arguments))
    element = arguments.element
    constant = arguments.lattice or crystals.lattice_constant(element, forcefield, comm)
    console.say(f"{element}: lattice constant {constant:.4f} Å")
    start = on_root(comm, lambda: MAKERS[arguments.command](arguments, constant))
    atoms, result = relax(start.atoms, forcefield, comm, FMAX)
    console.say(f"relaxed: largest force {result.residual:.3f} eV/Å after {result.calls} force calls")
    start = Start(atoms, start.tagged, start.direction, start.hop)
    command = command_of(arguments.command_line)

    def written() -> None:
        write_lammps_data(data, atoms, f"# {command}", f"to be pulled: atom {start.tagged}")
        text.write_text(input_text(start, forcefield, data, command), encoding="utf-8")

    on_root(comm, written)
    console.say(f"atom {start.tagged} of {len(atoms)} hops {start.hop:.3f} Å; wrote {data} and {text}")


def _forcefield(arguments: argparse.Namespace) -> ForceField:
    """Return the force field asked for; UserError when its file is not there."""
    if arguments.eam is None:
        return read_forcefield(arguments.forcefield, arguments.allow_commands)
    file = str(arguments.eam)
    if os.path.isfile(file):
        file = str(Path(file).resolve())
    else:
        installed_file(file)
    name = f'"{file}"' if shlex.quote(file) != file else file
    commands = ["pair_style eam/alloy", f"pair_coeff * * {name} {{elements}}"]
    return ForceField(commands=commands, units="metal", skin=1.0)


def input_text(start: Start, forcefield: ForceField, data: Path, command: str) -> str:
    """Return an input for training with a start, whose structure lies beside it."""
    fixed, height = is_fixed(start.atoms), start.atoms.positions[:, 2]
    held = ""
    if fixed.any():  # whole layers, the lowest ones
        plane = (height[fixed].max() + height[~fixed].min()) / 2
        held = f"  fixed_atoms: {{axis: z, below: {plane:.2f}}}  # Å\n"
    name = shlex.quote(str(data.with_suffix(".yaml")))
    return f"""# {command}
# mpiexec -n 3 python -m mapmpi.train {name} --run-dir RUN_DIR
# mpiexec -n 2 python -m mapmpi.pneb RUN_DIR
structure:
  file: {yaml.safe_dump(data.name).splitlines()[0]}
  elements: {sorted(set(start.atoms.get_chemical_symbols()))}
  tagged_atoms: [{start.tagged}]
{held}{forcefield_lines(forcefield)}
goal:
  direction: {list(start.direction)}
  distance: {start.distance:.3f}  # Å, {crystals.SHARE:.0%} of the way to the next site: beyond the last saddle
actions:
  displacement: 0.3  # Å; the whole way is short
state:
  points: 12
episode:
  max_actions: 40
train:
  stop:
    actions: 200
    wall_time: 5min
pneb:
  saddle:
    force: 0.01  # eV/Å
"""
