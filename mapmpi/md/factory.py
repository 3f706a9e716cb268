"""An engine as the input asks for it."""

from __future__ import annotations

from typing import Any

from ase import Atoms

from mapmpi.config import Config, Dynamics, ForceField
from mapmpi.errors import EngineError, UserError
from mapmpi.md.engine import Engine
from mapmpi.md.simulated import SimulatedEngine


def make_engine(config: Config, atoms: Atoms, comm: Any = None) -> Engine:
    """Return a new engine for the structure on a group of ranks (None: this process alone).

    Raises UserError when LAMMPS, or an ASE calculator, refuses what the input says.
    """
    if config.forcefield.simulated is not None:
        return SimulatedEngine(config, atoms, comm)
    return forces_engine(
        atoms,
        config.forcefield,
        config.dynamics,
        tagged=config.structure.tagged_atoms,
        spring_constant=config.tether.spring_constant,
        comm=comm,
        seed=config.seed,
        elements=config.structure.elements,
    )


def forces_engine(
    atoms: Atoms, forcefield: ForceField, dynamics: Dynamics, tagged: list[int], comm: Any = None, **more: Any
) -> Engine:
    """Return a new engine with the forces of a force field that is not ``simulated``: LAMMPS, or an ASE calculator.

    ``more`` are ``spring_constant``, ``seed`` and ``elements`` of either engine. Raises UserError as
    :func:`make_engine`.
    """
    if forcefield.ase is not None:
        return _ase_engine(atoms, forcefield, dynamics, tagged, comm, **more)
    from mapmpi.md.lammps_engine import LammpsEngine

    return LammpsEngine(atoms, forcefield, dynamics, tagged, comm=comm, **more)


def _ase_engine(
    atoms: Atoms, forcefield: ForceField, dynamics: Dynamics, tagged: list[int], comm: Any, **more: Any
) -> Engine:
    from mapmpi.md.ase_calculators import make_calculator
    from mapmpi.md.ase_engine import AseEngine

    if comm is not None and comm.size > 1:
        raise UserError(
            f"forcefield.ase: an ASE calculator computes on one rank, and this group has {comm.size}; set "
            "train.ranks_per_agent (pneb.ranks_per_image) to 1."
        )
    engine = AseEngine(atoms, make_calculator(forcefield), dynamics, tagged, **more)
    try:
        engine.evaluate(atoms.positions)
    except EngineError as error:
        raise UserError(
            f"forcefield.ase: {forcefield.ase} does not compute this structure ({error}); give another calculator."
        ) from None
    return engine
