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
from scipy.optimize import minimize

from mapmpi.calculation import Forces
from mapmpi.config import Dynamics
from mapmpi.errors import EngineError
from mapmpi.md.engine import SAMPLE_STEPS, Engine, LocalAtoms, Segment, Snapshot, noise_seed, thermal_velocities
from mapmpi.units import AMU_A2_PER_FS2_IN_EV, BOLTZMANN_EV_PER_K, KCAL_PER_MOL_IN_EV


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


class AnalyticEngine(Engine):
    """A tracer (atom 1) of an element on a landscape; the centers are frozen atoms behind it.

    In a group of ranks each computes the same; the atoms are owned in turn, so that what is summed over ranks
    is tested.
    """

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
        self.atoms = Atoms(
            [tracer] + [host] * count,
            np.vstack([start, landscape.centers]),
            cell=landscape.lengths,
            pbc=True,
            constraint=FixAtoms(range(1, count + 1)),
        )
        self.elements = sorted({tracer, host})
        self.landscape, self.dynamics, self.comm = landscape, dynamics, comm
        self._mass = float(self.atoms.get_masses()[0]) * AMU_A2_PER_FS2_IN_EV
        self._spring = spring_constant * KCAL_PER_MOL_IN_EV
        self._agent: np.ndarray | None = None
        self._positions, self._velocity = self.atoms.positions.copy(), np.zeros(3)
        self._seed, self._runs = seed, 0

    def positions(self) -> np.ndarray:
        return self._positions.copy()

    def evaluate(self, positions: np.ndarray) -> Forces:
        self._positions = np.array(positions, dtype=float)
        self._agent = None
        energy, force = self.landscape.energy_and_force(self._positions[0])
        if not np.isfinite(energy):
            raise EngineError(f"the potential energy is {energy}", "not_a_number")
        forces = np.zeros_like(self._positions)
        forces[0] = force
        return Forces(energy, forces)

    def local_atoms(self) -> LocalAtoms:
        rank, size = (self.comm.rank, self.comm.size) if self.comm is not None else (0, 1)
        ids = np.arange(1, len(self.atoms) + 1)[rank::size]
        elements = np.array([self.elements.index(self.atoms.symbols[number - 1]) for number in ids], dtype=int)
        return LocalAtoms(ids, self._positions[ids - 1], elements)

    def tagged_position(self) -> np.ndarray:
        return self._positions[0].copy()

    def set_tether(self, agent: np.ndarray | None) -> None:
        self._agent = None if agent is None else np.array(agent, dtype=float)

    def _force(self) -> tuple[float, np.ndarray]:
        """Return the landscape's energy, and its force with the tether's."""
        energy, force = self.landscape.energy_and_force(self._positions[0])
        if self._agent is not None:
            force = force + self._spring * (self._agent - self._positions[0])
        return energy, force

    def run(self, steps: int) -> Segment:
        """Langevin dynamics by the BAOAB splitting (Leimkuhler and Matthews, AMRX 2013, 34)."""
        dt, mass = self.dynamics.timestep, self._mass
        keep = np.exp(-dt / self.dynamics.damping)
        kick = np.sqrt(BOLTZMANN_EV_PER_K * self.dynamics.temperature / mass * (1 - keep**2))
        random = np.random.default_rng(noise_seed(self._seed, self._runs))
        self._runs += 1
        energies = []
        energy, force = self._force()
        for step in range(1, steps + 1):
            self._velocity = self._velocity + 0.5 * dt * force / mass
            self._positions[0] += 0.5 * dt * self._velocity
            self._velocity = keep * self._velocity + kick * random.normal(size=3)
            self._positions[0] += 0.5 * dt * self._velocity
            energy, force = self._force()
            self._velocity = self._velocity + 0.5 * dt * force / mass
            if step % SAMPLE_STEPS == 0 or step == steps:
                energies.append(energy)
        temperature = mass * float(self._velocity @ self._velocity) / (3 * BOLTZMANN_EV_PER_K)
        if not np.isfinite(energy):
            raise EngineError(f"the potential energy is {energy}", "not_a_number")
        return Segment(np.array(energies), self.checked_temperature(temperature))

    def relax(self, calls: int) -> Segment:
        """Minimize by SciPy's L-BFGS."""

        def value(position: np.ndarray) -> tuple[float, np.ndarray]:
            self._positions[0] = position
            energy, force = self._force()
            if self._agent is not None:
                energy += 0.5 * self._spring * float(((self._agent - position) ** 2).sum())
            return energy, -force

        found = minimize(value, self._positions[0], jac=True, method="L-BFGS-B", options={"maxfun": calls})
        self._positions[0], self._velocity = found.x, np.zeros(3)
        energy, _ = self.landscape.energy_and_force(found.x)
        if not np.isfinite(energy):
            raise EngineError(f"the potential energy is {energy}", "not_a_number")
        return Segment(np.array([energy]), 0.0)

    def snapshot(self) -> Snapshot:
        velocities = np.zeros_like(self._positions)
        velocities[0] = self._velocity
        images = np.zeros(self._positions.shape, dtype=int)
        return Snapshot(self.positions(), images, velocities, np.zeros(len(self.atoms)), self._seed, self._runs)

    def restore(self, snapshot: Snapshot, seed: int | None = None) -> None:
        self._positions, self._velocity = snapshot.positions.copy(), snapshot.own_velocities[0].copy()
        self._seed, self._runs = snapshot.seed, snapshot.runs
        if seed is not None:
            self._seed, self._runs = seed, 0
            self._velocity = thermal_velocities(self.atoms.get_masses()[:1], self.dynamics.temperature, seed)[0]

    def close(self) -> None:
        self._agent = None
