"""An engine as the input asks for it."""

from __future__ import annotations

from typing import Any

from ase import Atoms

from mapmpi.config import Config
from mapmpi.md.engine import Engine
from mapmpi.md.simulated import SimulatedEngine


def make_engine(config: Config, atoms: Atoms, comm: Any = None) -> Engine:
    """Return a new engine for the structure on a group of ranks (None: this process alone).

    Raises UserError when LAMMPS refuses what the input says.
    """
    if config.forcefield.simulated is not None:
        return SimulatedEngine(config, atoms, comm)
    from mapmpi.md.lammps_engine import LammpsEngine

    return LammpsEngine(
        atoms,
        config.forcefield,
        config.dynamics,
        tagged=config.structure.tagged_atoms,
        spring_constant=config.tether.spring_constant,
        comm=comm,
        seed=config.seed,
        elements=config.structure.elements,
    )
