"""What prepare tells its user and leaves in files."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
import rich.console
import yaml
from ase import Atoms
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mapmpi.config import ForceField
from mapmpi.errors import UserError, of_option
from mapmpi.md.fixed import is_fixed
from mapmpi.structures.files import write_lammps_data


class Console:
    """Progress and text on standard output: bars on a terminal, plain lines elsewhere, nothing when ``silent``."""

    def __init__(self, silent: bool = False) -> None:
        console = rich.console.Console(quiet=silent, markup=False, emoji=False, highlight=False, soft_wrap=True)
        columns = (TextColumn("{task.description:<12}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=console, disable=silent or not console.is_terminal)
        self._bars.start()
        self._tasks: dict[str, TaskID] = {}
        self._tenth = "", -1

    def say(self, text: str) -> None:
        """Print lines."""
        self._bars.console.print(text)

    def progress(self, stage: str, fraction: float) -> None:
        """Show how much of a stage is done; a plain line for every tenth."""
        if not self._bars.disable:
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(stage, total=1.0)
            self._bars.update(self._tasks[stage], completed=fraction)
        elif (stage, int(10 * fraction)) != self._tenth:
            self._tenth = (stage, int(10 * fraction))
            self.say(f"{stage}: {fraction:.0%}")

    def close(self) -> None:
        """Leave the terminal as it was."""
        if not self._bars.disable:
            self._bars.stop()


def check_output(output: Path, force: bool) -> None:
    """Raise UserError unless both files can be written; an existing one only with ``force``."""
    if output.suffix == ".extxyz":
        raise UserError(f"--output {output}: name the LAMMPS data file, for example {output.stem}.data.")
    with of_option("--output"):
        check_new([output, output.with_suffix(".extxyz")], force)


def check_new(files: Sequence[Path], force: bool) -> None:
    """Raise UserError unless all files, of one folder, can be written; existing ones only with ``force``."""
    folder = files[0].parent
    if not folder.is_dir():
        raise UserError(f"{files[0]}: no folder {folder}; make it first.")
    for file in files:
        if file.exists() and not force:
            raise UserError(f"{file} is there already; choose another name or add --force.")


def outputs(output: Path, endings: tuple[str, ...], force: bool) -> list[Path]:
    """Return the files ``OUTPUT`` with each of the endings, one of which ``output`` may have already.

    Raises UserError unless all can be written; existing ones only with ``force``.
    """
    name = output.name
    for ending in endings:
        name = name.removesuffix(ending)
    found = [output.parent / (name + ending) for ending in endings]
    check_new(found, force)
    return found


def command_of(words: list[str]) -> str:
    """Return the command line that makes the same files again, for their first lines."""
    return "python -m mapmpi.prepare " + shlex.join(word for word in words if word != "--force")


def forcefield_lines(forcefield: ForceField) -> str:
    """Return the ``forcefield:`` section of an input: what is not the default."""
    chosen = forcefield.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump({"forcefield": chosen}, indent=2, width=200, sort_keys=False).rstrip() if chosen else ""


def write(atoms: Atoms, output: Path, arguments: list[str], ids: list[int]) -> None:
    """Write both files; the data file's first line is the command that made it."""
    note = "molecule atoms " + " ".join(str(number) for number in ids) if ids else ""
    write_lammps_data(output, atoms, f"# {command_of(arguments)}", note)
    ase.io.write(output.with_suffix(".extxyz"), atoms, format="extxyz", parallel=False)


def yaml_lines(atoms: Atoms, output: Path, ids: list[int]) -> str:
    """Return the ``structure:`` part of an input; the tether pulls the molecule's heaviest atom."""
    if not atoms.pbc.all():  # a data file does not say it
        output = output.with_suffix(".extxyz")
    lines = ["structure:", f"  file: {output}"]
    if ids:
        masses = atoms.get_masses()
        heaviest = max(ids, key=lambda number: (masses[number - 1], -number))
        lines += [f"  tagged_atoms: [{heaviest}]", f"  molecule_atoms: {ids}"]
    else:
        lines += ["  tagged_atoms: []  # ids (from 1) of the atoms to be moved"]
    if (fixed := is_fixed(atoms)).any():  # a data file does not say it
        lines += [f"  fixed_atoms: {[int(index) + 1 for index in np.flatnonzero(fixed)]}"]
    return "\n".join(lines)
