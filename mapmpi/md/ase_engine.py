"""An engine over any ASE calculator.

It computes on one rank. The calculator is made to forget before every call, so that the answer depends on the
positions alone as far as that is in ASE's power.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from mapmpi.config import Dynamics
from mapmpi.errors import EngineError
from mapmpi.md.numpy_engine import NumpyEngine


class AseEngine(NumpyEngine):
    """``calculator`` on a copy of ``atoms``, in any cell; ``tagged`` are ids (from 1) that the tether pulls.

    The energy is the calculator's ``free_energy`` where it has one: that is what its forces are the slope of.
    """

    def __init__(
        self,
        atoms: Atoms,
        calculator: Any,
        dynamics: Dynamics,
        tagged: list[int],
        spring_constant: float = 0.0,
        seed: int = 1,
        elements: list[str] | None = None,
    ) -> None:
        super().__init__(atoms, dynamics, tagged, spring_constant, seed, elements)
        self.calculator, self._computed = calculator, atoms.copy()
        self._computed.calc = calculator

    def _compute(self) -> tuple[float, np.ndarray]:
        self._computed.positions = self._positions
        try:
            self.calculator.reset()
            forces = np.array(self._computed.get_forces(apply_constraint=False), dtype=float)
            own = "free_energy" in self.calculator.implemented_properties
            return float(self._computed.get_potential_energy(force_consistent=own)), forces
        except Exception as error:
            words = " ".join(str(error).split()) or type(error).__name__
            raise EngineError(f"{type(self.calculator).__name__}: {words}") from error

    def close(self) -> None:
        super().close()
        self._computed.calc = None
