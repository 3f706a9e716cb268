"""Tether, molecular dynamics, minimization and snapshots in numpy, for engines that only know energy and forces."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from ase import Atoms

from mapmpi.calculation import Forces
from mapmpi.config import Dynamics
from mapmpi.errors import EngineError
from mapmpi.md.engine import (
    RELAX_FORCE,
    SAMPLE_STEPS,
    Engine,
    LocalAtoms,
    Segment,
    Snapshot,
    element_order,
    noise_seed,
    settled,
    thermal_velocities,
)
from mapmpi.md.fixed import is_fixed
from mapmpi.units import AMU_A2_PER_FS2_IN_EV, BOLTZMANN_EV_PER_K, KCAL_PER_MOL_IN_EV


class NumpyEngine(Engine):
    """Atoms whose energy and forces :meth:`_compute` gives; ``tagged`` are ids (from 1) that the tether pulls.

    Atoms that a FixAtoms of ASE holds never move, as in :class:`mapmpi.md.lammps_engine.LammpsEngine`. In a group of
    ranks each computes the same; the atoms are owned in turn.
    """

    def __init__(
        self,
        atoms: Atoms,
        dynamics: Dynamics,
        tagged: list[int],
        spring_constant: float = 0.0,
        seed: int = 1,
        elements: list[str] | None = None,
        comm: Any = None,
    ) -> None:
        self.atoms, self.dynamics, self.comm = atoms, dynamics, comm
        self.elements = element_order(atoms, elements)
        self._types = np.array([self.elements.index(symbol) for symbol in atoms.symbols])
        self._masses = atoms.get_masses()[:, None]
        self._mobile = ~is_fixed(atoms)
        self._spring = spring_constant * KCAL_PER_MOL_IN_EV
        self._tagged = np.array(tagged) - 1
        self._agent: np.ndarray | None = None
        self._positions, self._velocities = atoms.positions.copy(), np.zeros((len(atoms), 3))
        self._seed, self._runs = seed, 0

    @abstractmethod
    def _compute(self) -> tuple[float, np.ndarray]:
        """Return the material's energy in eV and its forces (n, 3) eV/Å at the present positions."""

    def _forces(self) -> Forces:
        """Return what is computed, with no force on fixed atoms. Raises EngineError when it is not a number."""
        energy, forces = self._compute()
        if not np.isfinite(energy):
            raise EngineError(f"the potential energy is {energy}", "not_a_number")
        if not np.isfinite(forces).all():
            raise EngineError("a force is not a number", "not_a_number")
        forces[~self._mobile] = 0.0
        return Forces(energy, forces)

    def positions(self) -> np.ndarray:
        return self._positions.copy()

    def evaluate(self, positions: np.ndarray) -> Forces:
        self._positions, self._agent = np.array(positions, dtype=float), None
        return self._forces()

    def local_atoms(self) -> LocalAtoms:
        rank, size = (self.comm.rank, self.comm.size) if self.comm is not None else (0, 1)
        rows = np.arange(len(self.atoms))[rank::size]
        return LocalAtoms(rows + 1, self._positions[rows], self._types[rows])

    def tagged_position(self) -> np.ndarray:
        return self._center(self._tagged)

    def _center(self, some: np.ndarray | slice = slice(None)) -> np.ndarray:
        return np.average(self._positions[some], axis=0, weights=self._masses[some, 0])

    def set_tether(self, agent: np.ndarray | None) -> None:
        self._agent = None if agent is None else np.array(agent, dtype=float)

    def _pulled(self) -> tuple[float, float, np.ndarray]:
        """Return the material's energy, the tether's, and the forces of both, in the frame of the center of mass.

        Where atoms are fixed these hold the frame.
        """
        energy, forces = self._forces()
        if self._agent is None:
            return energy, 0.0, forces
        ahead = self._agent - self.tagged_position()
        masses = self._masses[self._tagged]
        forces[self._tagged] += self._spring * ahead * (masses / masses.sum())
        forces[~self._mobile] = 0.0
        if self._mobile.all():  # the tether pulls on the whole system, which would follow it
            forces -= forces.sum(axis=0) * self._masses / self._masses.sum()
        return energy, 0.5 * self._spring * float(ahead @ ahead), forces

    def run(self, steps: int) -> Segment:
        """Langevin dynamics by the BAOAB splitting (Leimkuhler and Matthews, AMRX 2013, 34)."""
        dt, inertia = self.dynamics.timestep, self._masses * AMU_A2_PER_FS2_IN_EV
        keep = np.exp(-dt / self.dynamics.damping)
        kick = np.sqrt(BOLTZMANN_EV_PER_K * self.dynamics.temperature / inertia * (1 - keep**2))
        random = np.random.default_rng(noise_seed(self._seed, self._runs))
        self._runs += 1
        energies, temperature = [], 0.0
        energy, _, forces = self._pulled()
        for step in range(1, steps + 1):
            self._velocities += 0.5 * dt * forces / inertia
            self._positions += 0.5 * dt * self._velocities
            noise = kick * random.normal(size=self._velocities.shape)
            self._velocities = settled(keep * self._velocities + noise, self._masses[:, 0], self._mobile)
            self._positions += 0.5 * dt * self._velocities
            energy, _, forces = self._pulled()
            self._velocities += 0.5 * dt * forces / inertia
            if step % SAMPLE_STEPS == 0 or step == steps:
                energies.append(energy)
                temperature = self.checked_temperature(self._temperature())
        return Segment(np.array(energies), temperature)

    def _temperature(self) -> float:
        free = 3 * int(self._mobile.sum()) - (3 if self._mobile.all() and len(self.atoms) > 1 else 0)
        twice_kinetic = AMU_A2_PER_FS2_IN_EV * float((self._masses * self._velocities**2).sum())
        return twice_kinetic / (free * BOLTZMANN_EV_PER_K)

    def relax(self, calls: int) -> Segment:
        """Minimize by SciPy's L-BFGS-B."""
        from scipy.optimize import minimize  # 44 MB that an agent does without

        before, start = self._center(), self._positions.copy()

        def move(flat: np.ndarray) -> None:
            self._positions = start.copy()
            self._positions[self._mobile] = flat.reshape(-1, 3)
            if self._mobile.all():
                self._positions += before - self._center()

        def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
            move(flat)
            energy, tether, forces = self._pulled()
            return energy + tether, -forces[self._mobile].ravel()

        options = {"gtol": RELAX_FORCE, "ftol": 0.0, "maxfun": calls, "maxiter": calls}
        found = minimize(value, start[self._mobile].ravel(), jac=True, method="L-BFGS-B", options=options)
        move(found.x)
        self._velocities = np.zeros_like(self._positions)
        return Segment(np.array([self._forces().energy]), 0.0)

    def snapshot(self) -> Snapshot:
        count = len(self.atoms)
        return Snapshot(
            positions=self.positions(),
            images=np.zeros((count, 3), dtype=int),
            own_velocities=self._velocities.copy(),
            charges=np.zeros(count),
            seed=self._seed,
            runs=self._runs,
        )

    def restore(self, snapshot: Snapshot, seed: int | None = None) -> None:
        self._positions = snapshot.positions + snapshot.images @ self.atoms.cell.array
        self._velocities = np.array(snapshot.velocities)
        self._seed, self._runs = snapshot.seed, snapshot.runs
        if seed is not None:
            self._seed, self._runs = seed, 0
            drawn = self._masses[:, 0], self.dynamics.temperature, seed, self._mobile
            self._velocities = thermal_velocities(*drawn)

    def close(self) -> None:
        self._agent = None
