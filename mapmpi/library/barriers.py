"""Barriers for a notebook: a path of one's own, or two structures, refined in this process with any forces.

The algorithms, their settings and their defaults are those of ``python -m mapmpi.pneb``. No MPI is started unless
LAMMPS computes the forces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from ase import Atoms
from ase.geometry import find_mic

from mapmpi.calculation import solve
from mapmpi.config import load, merged
from mapmpi.errors import EngineError, UserError
from mapmpi.library.result import RefinedPath
from mapmpi.library.source import Calculator, Source, source_of
from mapmpi.path.pathway import Pathway
from mapmpi.plausible import doubt
from mapmpi.pneb import calculator as phase_2
from mapmpi.pneb.choose import StoredPath, with_fixed_atoms
from mapmpi.pneb.progress import Tally
from mapmpi.pneb.refine import Refinement


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
    chosen = _moving(positions) if moving is None else [int(index) for index in moving]
    if not chosen or not all(0 <= index < len(first) for index in chosen):
        raise UserError(f"moving: {chosen} are not indices of {len(first)} atoms; give some from 0.")
    with closing(source_of(calculator, first, [index + 1 for index in chosen])) as source:
        pathway = _refined(source, positions, chosen, settings or {})
    if pathway is None:
        raise EngineError(f"the forces of no frame could be computed ({source.last_error})")
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
    interpolated = merged({"band": {"first": "idpp"}}, dict(settings or {}))
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


def _moving(positions: np.ndarray) -> list[int]:
    """Return the atoms that come at least half as far as the one that comes farthest."""
    away = positions[-1] - positions[0]
    lengths = np.linalg.norm(away - np.median(away, axis=0), axis=1)
    return [int(index) for index in np.flatnonzero(lengths >= 0.5 * lengths.max())]


def _refined(
    source: Source, positions: np.ndarray, moving: list[int], settings: Mapping[str, Any]
) -> Pathway | None:
    """Return the refined path (f, n, 3) Å; None where not a single frame could be quenched."""
    structure = {"file": "frames", "tagged_atoms": [index + 1 for index in moving]}
    tree = {"structure": structure, "goal": {"distance": 1.0}, "pneb": dict(settings)}
    config = load(tree, structure_needed=False)
    config.forcefield = source.forcefield
    calculator = phase_2.Calculator(config, source.engine.atoms, {}, None, Tally())
    path = with_fixed_atoms(StoredPath("path", "frames of one's own", positions, None), source.engine.atoms)
    return solve(Refinement(config, calculator, path).run(), source.evaluate)
