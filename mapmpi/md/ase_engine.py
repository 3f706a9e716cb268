"""An engine over any ASE calculator: molecular dynamics, tether and minimization in numpy, forces from the calculator.

It computes on one rank. The calculator is made to forget before every call, so that the answer depends on the
positions alone as far as that is in ASE's power.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from scipy.optimize import minimize

from mapmpi.calculation import Forces
from mapmpi.config import Dynamics
from mapmpi.errors import EngineError
from mapmpi.md.engine import (
    SAMPLE_STEPS,
    Engine,
    LocalAtoms,
    Segment,
    Snapshot,
    element_order,
    noise_seed,
    thermal_velocities,
)
from mapmpi.md.fixed import is_fixed
from mapmpi.units import AMU_A2_PER_FS2_IN_EV, BOLTZMANN_EV_PER_K, KCAL_PER_MOL_IN_EV

RELAX_FORCE = 0.02
"""Largest component of a force in eV/Å at which a minimization under the tether ends early."""


class AseEngine(Engine):
    """``calculator`` on a copy of ``atoms``; ``tagged`` are ids (from 1) the tether pulls.

    Atoms that a FixAtoms of ASE holds never move, as in :class:`mapmpi.md.lammps_engine.LammpsEngine`. Any cell will
    do. The energy is the calculator's ``free_energy`` where it has one: that is what its forces are the slope of.
    """

    comm = None

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
        self.atoms, self.dynamics = atoms, dynamics
        self.elements = element_order(atoms, elements)
        self.calculator, self._computed = calculator, atoms.copy()
        self._computed.calc = calculator
        self._types = np.array([self.elements.index(symbol) for symbol in atoms.symbols])
        self._masses = atoms.get_masses()[:, None]
        self._mobile = ~is_fixed(atoms)
        self._spring = spring_constant * KCAL_PER_MOL_IN_EV
        self._tagged = np.array(tagged) - 1
        self._agent: np.ndarray | None = None
        self._positions, self._velocities = atoms.positions.copy(), np.zeros((len(atoms), 3))
        self._seed, self._runs = seed, 0

    def positions(self) -> np.ndarray:
        return self._positions.copy()

    def local_atoms(self) -> LocalAtoms:
        return LocalAtoms(np.arange(1, len(self.atoms) + 1), self._positions.copy(), self._types)

    def tagged_position(self) -> np.ndarray:
        return self._center(self._positions, self._tagged)

    def _center(self, positions: np.ndarray, some: np.ndarray) -> np.ndarray:
        return np.average(positions[some], axis=0, weights=self._masses[some, 0])

    def set_tether(self, agent: np.ndarray | None) -> None:
        self._agent = None if agent is None else np.array(agent, dtype=float)

    def evaluate(self, positions: np.ndarray) -> Forces:
        self._positions, self._agent = np.array(positions, dtype=float), None
        return self._compute()

    def _compute(self) -> Forces:
        """Return the material's energy and forces at the present positions."""
        self._computed.positions = self._positions
        try:
            self.calculator.reset()
            forces = np.array(self._computed.get_forces(apply_constraint=False), dtype=float)
            own = "free_energy" in self.calculator.implemented_properties
            energy = float(self._computed.get_potential_energy(force_consistent=own))
        except Exception as error:
            words = " ".join(str(error).split()) or type(error).__name__
            raise EngineError(f"{type(self.calculator).__name__}: {words}") from error
        if not np.isfinite(energy):
            raise EngineError(f"the potential energy is {energy}", "not_a_number")
        if not np.isfinite(forces).all():
            raise EngineError("a force is not a number", "not_a_number")
        forces[~self._mobile] = 0.0
        return Forces(energy, forces)

    def _pulled(self) -> tuple[float, float, np.ndarray]:
        """Return the material's energy, the tether's, and the forces of both, in the frame of the center of mass.

        Where atoms are fixed these hold the frame.
        """
        energy, forces = self._compute()
        if self._agent is None:
            return energy, 0.0, forces
        ahead = self._agent - self.tagged_position()
        forces[self._tagged] += self._spring * ahead / len(self._tagged)
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
            self._velocities = keep * self._velocities + kick * random.normal(size=self._velocities.shape)
            self._settle_velocities()
            self._positions += 0.5 * dt * self._velocities
            energy, _, forces = self._pulled()
            self._velocities += 0.5 * dt * forces / inertia
            if step % SAMPLE_STEPS == 0 or step == steps:
                energies.append(energy)
                temperature = self.checked_temperature(self._temperature())
        return Segment(np.array(energies), temperature)

    def _settle_velocities(self) -> None:
        """Let fixed atoms rest; where there are none, take away the net momentum that the noise has given."""
        if not self._mobile.all():
            self._velocities[~self._mobile] = 0.0
        elif len(self.atoms) > 1:
            self._velocities -= (self._masses * self._velocities).sum(axis=0) / self._masses.sum()

    def _temperature(self) -> float:
        free = 3 * int(self._mobile.sum()) - (3 if self._mobile.all() and len(self.atoms) > 1 else 0)
        twice_kinetic = AMU_A2_PER_FS2_IN_EV * float((self._masses * self._velocities**2).sum())
        return twice_kinetic / (free * BOLTZMANN_EV_PER_K)

    def relax(self, calls: int) -> Segment:
        """Minimize by SciPy's L-BFGS-B."""
        everything = np.arange(len(self.atoms))
        before, start = self._center(self._positions, everything), self._positions.copy()

        def put_back() -> None:
            if self._mobile.all():
                self._positions += before - self._center(self._positions, everything)

        def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
            self._positions = start.copy()
            self._positions[self._mobile] = flat.reshape(-1, 3)
            put_back()
            energy, tether, forces = self._pulled()
            return energy + tether, -forces[self._mobile].ravel()

        options = {"gtol": RELAX_FORCE, "ftol": 0.0, "maxfun": calls, "maxiter": calls}
        found = minimize(value, start[self._mobile].ravel(), jac=True, method="L-BFGS-B", options=options)
        self._positions = start
        self._positions[self._mobile] = found.x.reshape(-1, 3)
        put_back()
        self._velocities = np.zeros_like(self._positions)
        return Segment(np.array([self._compute().energy]), 0.0)

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
        self._agent, self._computed.calc = None, None
