"""Where a notebook's forces come from: whatever it has at hand, as an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism

from mapmpi.calculation import Forces
from mapmpi.config import Dynamics, ForceField, load_forcefield
from mapmpi.errors import EngineError, UserError
from mapmpi.md.ase_engine import AseEngine
from mapmpi.md.engine import Engine
from mapmpi.md.factory import forces_engine

Calculator = Any
"""An ASE calculator, an :class:`~mapmpi.md.engine.Engine`, a :class:`~mapmpi.config.ForceField`, the section
``forcefield`` of an input as a dictionary, or the name of an ASE calculator such as ``emt``."""


@dataclass
class Source:
    """Force calls on an engine, which is made anew when a simulation has broken it, unless it is the caller's."""

    make: Callable[[], Engine]
    forcefield: ForceField
    """For a calculator or an engine one that names its class."""
    own: bool = True
    last_error: str = ""

    def __post_init__(self) -> None:
        self.engine = self.make()

    def evaluate(self, positions: np.ndarray) -> Forces:
        """Return energy and forces at positions (n, 3) Å. Raises EngineError."""
        try:
            return self.engine.evaluate(positions)
        except EngineError as error:
            self.last_error = str(error)
            if self.own:
                self.engine.close()
                self.engine = self.make()
            raise

    def close(self) -> None:
        """Close an engine that was made here."""
        if self.own:
            self.engine.close()


def source_of(calculator: Calculator, atoms: Atoms, tagged: list[int]) -> Source:
    """Return the source of forces for ``atoms``; ``tagged`` are ids from 1.

    Raises UserError for what computes no forces, or not these atoms'.
    """
    if isinstance(calculator, Engine):
        if len(calculator.atoms) != len(atoms) or (calculator.atoms.numbers != atoms.numbers).any():
            raise UserError("calculator: this engine is of other atoms than the frames; make one for them.")
        return Source(lambda: calculator, _named(calculator), own=False)
    if isinstance(calculator, str):
        calculator = {"ase": calculator}
    if isinstance(calculator, Mapping):
        calculator = load_forcefield(calculator)
    if isinstance(calculator, ForceField):
        forcefield = calculator
        if forcefield.ase is None:
            _check_cell(atoms)
        return Source(lambda: forces_engine(atoms, forcefield, Dynamics(), tagged), forcefield)
    if not hasattr(calculator, "get_property"):
        raise UserError(
            f"calculator: a {type(calculator).__name__} computes no forces; give an ASE calculator, an engine, a "
            "force field, or a name such as 'emt'."
        )
    return Source(lambda: AseEngine(atoms, calculator, Dynamics(), tagged), _named(calculator))


def _named(calculator: Any) -> ForceField:
    kind = type(calculator)
    return ForceField(ase=f"{kind.__module__}:{kind.__qualname__}"[-200:])


def _check_cell(atoms: Atoms) -> None:
    """Refuse a cell that LAMMPS would take for another."""
    if atoms.cell.rank < 3 or not np.allclose(Prism(atoms.cell.array).lammps_cell, atoms.cell.array, atol=1e-8):
        raise UserError(
            "frames: LAMMPS wants three cell vectors, the first along x and the second in the xy plane; turn the "
            "structures so (mapmpi.structures.files.read_structure does), or compute with an ASE calculator."
        )
