"""Barriers for a notebook: a path of one's own, or two structures, refined in this process with any forces.

The algorithms, their settings and their defaults are those of ``python -m mapmpi.pneb``. No MPI is started unless
LAMMPS computes the forces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from ase.geometry import find_mic

from mapmpi.config import Config, Dynamics, ForceField, load, load_forcefield
from mapmpi.errors import EngineError, UserError
from mapmpi.library.result import RefinedPath
from mapmpi.library.serial import OneEngine, refine_alone
from mapmpi.md.ase_engine import AseEngine
from mapmpi.md.engine import Engine
from mapmpi.md.factory import forces_engine
from mapmpi.plausible import doubt

Calculator = Any
"""An ASE calculator, an :class:`~mapmpi.md.engine.Engine`, a :class:`~mapmpi.config.ForceField`, the section
``forcefield`` of an input as a dictionary, or the name of an ASE calculator such as ``emt``."""


def refine(
    frames: Sequence[Atoms],
    calculator: Calculator,
    *,
    moving: Sequence[int] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> RefinedPath:
    """Refine a path: quench its frames, find the transition states between the minima, and check them.

    frames: two or more of the same atoms in the same cell, in the order of the path; atoms that the first one's
    FixAtoms holds stay in place. ``moving`` are the indices of the atoms whose way is the path (by default those that
    come farthest). ``settings`` are keys of the input's section ``pneb``. Raises UserError for arguments that do not
    fit together, EngineError where not a single frame can be computed.
    """
    first, positions = _unwrapped(frames)
    chosen = _moving(positions, first) if moving is None else [int(index) for index in moving]
    if not chosen or not all(0 <= index < len(first) for index in chosen):
        raise UserError(f"moving: {chosen} are not indices of {len(first)} atoms; give some from 0.")
    ids = [index + 1 for index in chosen]
    config = _config(calculator, ids, settings or {})
    engine, own = _engine(calculator, first, config, ids)
    try:
        one = OneEngine(engine.evaluate)
        pathway = refine_alone(config, engine.atoms, one, positions)
    finally:
        if own:
            engine.close()
    if pathway is None:
        raise EngineError(f"the forces of no frame could be computed ({one.last_error})")
    return RefinedPath(pathway)


def find_barrier(
    initial: Atoms,
    final: Atoms,
    calculator: Calculator,
    *,
    moving: Sequence[int] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> RefinedPath:
    """Find the barrier between two structures, in any number of hops; both are relaxed first.

    The first band is an interpolation by image-dependent pair potentials; where atoms have to go round something,
    give :func:`refine` frames of that way. Arguments and errors are those of :func:`refine`.
    """
    interpolated = {"first_band": "idpp", **(settings or {})}
    return refine([initial, final], calculator, moving=moving, settings=interpolated)


def _unwrapped(frames: Sequence[Atoms]) -> tuple[Atoms, np.ndarray]:
    """Return the first frame, and positions (f, n, 3) Å of all in which no atom jumps by a cell vector."""
    if isinstance(frames, Atoms) or len(frames) < 2:
        raise UserError("frames: a path needs two or more; give a list of structures.")
    first = frames[0].copy()
    for number, frame in enumerate(frames, 1):
        if len(frame) != len(first) or (frame.numbers != first.numbers).any():
            raise UserError(
                f"frames: the atoms of frame {number} are not those of the first; give the same in the same order."
            )
        if not np.allclose(frame.cell.array, first.cell.array, atol=1e-3) or (frame.pbc != first.pbc).any():
            raise UserError(f"frames: frame {number} has another cell than the first; give the same.")
        if (reason := doubt(frame)) is not None:
            raise UserError(f"frames: frame {number}: {reason}.")
    positions = [first.positions]
    for frame in frames[1:]:
        apart = frame.positions - positions[-1]
        positions.append(positions[-1] + (find_mic(apart, first.cell, first.pbc)[0] if first.pbc.any() else apart))
    return first, np.array(positions)


def _moving(positions: np.ndarray, atoms: Atoms) -> list[int]:
    """Return the atoms that come at least half as far as the one that comes farthest."""
    away = positions[-1] - positions[0]
    lengths = np.linalg.norm(away - np.median(away, axis=0), axis=1)
    return [int(index) for index in np.flatnonzero(lengths >= 0.5 * lengths.max())]


def _config(calculator: Calculator, ids: list[int], settings: Mapping[str, Any]) -> Config:
    """Return the configuration of a refinement without an input file. Raises UserError for unknown settings."""
    structure = {"file": "frames", "tagged_atoms": ids}
    tree = {"structure": structure, "goal": {"distance": 1.0}, "pneb": dict(settings)}
    config = load(tree, structure_needed=False)
    if isinstance(calculator, str):
        config.forcefield = load_forcefield({"ase": calculator})
    elif isinstance(calculator, ForceField):
        config.forcefield = calculator
    elif isinstance(calculator, Mapping):
        config.forcefield = load_forcefield(calculator)
    else:
        kind = type(calculator)
        config.forcefield = ForceField(ase=f"{kind.__module__}:{kind.__qualname__}")
    return config


def _engine(calculator: Calculator, atoms: Atoms, config: Config, ids: list[int]) -> tuple[Engine, bool]:
    """Return an engine for the atoms, and whether it was made here."""
    if isinstance(calculator, Engine):
        if len(calculator.atoms) != len(atoms) or (calculator.atoms.numbers != atoms.numbers).any():
            raise UserError("calculator: this engine is of other atoms than the frames; make one for them.")
        return calculator, False
    if isinstance(calculator, str | Mapping | ForceField):
        if config.forcefield.ase is None:
            _check_cell(atoms)
        return forces_engine(atoms, config.forcefield, Dynamics(), ids), True
    if not hasattr(calculator, "get_property"):
        raise UserError(
            f"calculator: a {type(calculator).__name__} computes no forces; give an ASE calculator, an engine, a "
            "force field, or a name such as 'emt'."
        )
    return AseEngine(atoms, calculator, Dynamics(), ids), True


def _check_cell(atoms: Atoms) -> None:
    """Refuse a cell that LAMMPS would take for another."""
    if atoms.cell.rank < 3 or not np.allclose(Prism(atoms.cell.array).lammps_cell, atoms.cell.array, atol=1e-8):
        raise UserError(
            "frames: LAMMPS wants three cell vectors, the first along x and the second in the xy plane; turn the "
            "structures so (mapmpi.structures.files.read_structure does), or compute with an ASE calculator."
        )
