"""An engine without LAMMPS: a tracer on a landscape of Gaussian hills and wells, for fast, exact tests.

The landscape is of the kind that Müller and Brown used in two dimensions (Theor. Chim. Acta 53, 75 (1979)),
in three and periodic. Hills and wells show as frozen atoms, so an agent can see what it will meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms

from mapmpi.config import Dynamics
from mapmpi.md.numpy_engine import NumpyEngine


@dataclass(frozen=True)
class Landscape:
    """V(r) = Σ_i A_i exp(-½ (r-c_i)ᵀ P_i (r-c_i)), nearest periodic image of each center.

    heights (m,) eV; centers (m, 3) Å; precisions (m, 3, 3) Å⁻²; cell lengths (3,) Å of an orthogonal cell,
    wide enough that a term has vanished half a cell away from its center.
    """

    heights: np.ndarray
    centers: np.ndarray
    precisions: np.ndarray
    lengths: np.ndarray

    def energy_and_force(self, position: np.ndarray) -> tuple[float, np.ndarray]:
        """Return V in eV and -∇V (3,) in eV/Å at a position (3,) Å."""
        apart = position - self.centers
        apart -= self.lengths * np.round(apart / self.lengths)
        pulled = np.einsum("mij,mj->mi", self.precisions, apart)
        terms = self.heights * np.exp(-0.5 * (apart * pulled).sum(axis=1))
        return float(terms.sum()), terms @ pulled


class AnalyticEngine(NumpyEngine):
    """A tracer (atom 1) of an element on a landscape; the centers are frozen atoms behind it."""

    def __init__(
        self,
        landscape: Landscape,
        start: np.ndarray,
        dynamics: Dynamics,
        spring_constant: float = 0.0,
        tracer: str = "O",
        host: str = "Si",
        comm: Any = None,
        seed: int = 1,
    ) -> None:
        count = len(landscape.centers)
        atoms = Atoms(
            [tracer] + [host] * count,
            np.vstack([start, landscape.centers]),
            cell=landscape.lengths,
            pbc=True,
            constraint=FixAtoms(range(1, count + 1)),
        )
        super().__init__(atoms, dynamics, [1], spring_constant, seed, comm=comm)
        self.landscape = landscape

    def _compute(self) -> tuple[float, np.ndarray]:
        forces = np.zeros_like(self._positions)
        energy, forces[0] = self.landscape.energy_and_force(self._positions[0])
        return energy, forces
