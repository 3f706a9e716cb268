"""Atoms that never move: where the program keeps them, and the LAMMPS commands that hold them.

An input names them by ``structure.fixed_atoms``; from then on they are a FixAtoms of ASE on the structure, so that
whoever has the atoms knows which of them move.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from ase import Atoms


def is_fixed(atoms: Atoms) -> np.ndarray:
    """Return which atoms never move, (n,) bool."""
    fixed = np.zeros(len(atoms), dtype=bool)
    if not atoms.constraints:
        return fixed
    from ase.constraints import FixAtoms

    for constraint in atoms.constraints:
        if isinstance(constraint, FixAtoms):
            fixed[constraint.get_indices()] = True
    return fixed


def fix(atoms: Atoms, ids: Sequence[int]) -> None:
    """Let the atoms ``ids`` (from 1) never move, and all others move."""
    from ase.constraints import FixAtoms

    atoms.set_constraint(FixAtoms(np.array(ids, dtype=int) - 1) if len(ids) else None)


def id_ranges(ids: np.ndarray) -> str:
    """Return ascending ids (k,) as LAMMPS writes them: ``1:160 163``."""
    cuts = [0, *(1 + np.flatnonzero(np.diff(ids) > 1)), len(ids)]
    runs = [ids[first:last] for first, last in pairwise(cuts)]
    return " ".join(f"{run[0]}:{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def hold(ids: np.ndarray, command: Callable[[str], None]) -> None:
    """Take all forces off the atoms ``ids`` (ascending, from 1), and count only the others in the temperature.

    Defined after all else that adds forces; it holds in dynamics and minimization alike, and the energy stays the
    potential's. The others are the group ``mobile``. No momentum is conserved, so they have three degrees of freedom
    each.
    """
    command(f"group fixed id {id_ranges(ids)}")
    command("group mobile subtract all fixed")
    command("fix freeze_fixed fixed setforce 0.0 0.0 0.0")
    command("compute mobile_temperature mobile temp")
    command("compute_modify mobile_temperature extra/dof 0")
    command("thermo_modify temp mobile_temperature")
