"""The engine interface: what the rest of mapmpi asks of a molecular simulation.

An engine belongs to a group of ranks; every method is called by all of them together and, unless it says
otherwise, gives every rank the same answer. Units: Å, fs, eV, K, amu. Positions are unwrapped: an atom that
crosses a periodic boundary goes on counting.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from mapmpi.calculation import Forces
from mapmpi.config import Dynamics
from mapmpi.errors import EngineError
from mapmpi.units import AMU_A2_PER_FS2_IN_EV, BOLTZMANN_EV_PER_K

SAMPLE_STEPS = 10
"""MD steps between two samples of the energy that :meth:`Engine.run` returns."""
RELAX_FORCE = 0.02
"""Largest component of a force in eV/Å at which :meth:`Engine.relax` ends early."""


@dataclass(frozen=True)
class Snapshot:
    """All that determines what an engine does next, to the last bit on one rank."""

    positions: np.ndarray
    """(n, 3) Å, in the cell as the engine holds them."""
    images: np.ndarray
    """(n, 3) int: cells by which each atom is away from there."""
    own_velocities: np.ndarray
    """(n, 3), in the engine's own units: a conversion would round."""
    charges: np.ndarray
    """(n,) e."""
    seed: int
    """Of the thermostat's noise."""
    runs: int
    """How many runs there have been with this seed: each has noise of its own."""
    time_unit_fs: float = 1.0
    """The engine's unit of time."""

    @property
    def velocities(self) -> np.ndarray:
        """(n, 3) Å/fs."""
        return self.own_velocities / self.time_unit_fs


def noise_seed(seed: int, runs: int) -> int:
    """Return the seed of one run's noise, from 1 to 900 million as LAMMPS wants it."""
    return int(np.random.SeedSequence([seed, runs]).generate_state(1)[0]) % 900_000_000 + 1


@dataclass(frozen=True)
class LocalAtoms:
    """The atoms that this rank owns: ids (m,) from 1, positions (m, 3) Å, element indices (m,)."""

    ids: np.ndarray
    positions: np.ndarray
    elements: np.ndarray


@dataclass(frozen=True)
class Segment:
    """A stretch of molecular dynamics: energies (k,) eV sampled on the way, and the last temperature in K."""

    energies: np.ndarray
    temperature: float


@dataclass(frozen=True)
class Quench:
    """A minimization: energy in eV, positions (n, 3) Å, largest force on an atom in eV/Å, force calls."""

    energy: float
    positions: np.ndarray
    residual: float
    calls: int


def element_order(atoms: Atoms, elements: list[str] | None = None) -> list[str]:
    """Return the chemical symbols in the order of the element indices: as given, or by the alphabet."""
    return elements or sorted(set(atoms.symbols))


def largest_force(forces: np.ndarray) -> float:
    """Return the largest norm among the force vectors (…, 3), in their unit."""
    return float(np.sqrt((forces**2).sum(axis=-1).max()))


def thermal_velocities(masses: np.ndarray, temperature: float, seed: int, mobile: np.ndarray) -> np.ndarray:
    """Draw Maxwell–Boltzmann velocities (n, 3) in Å/fs for masses (n,) in amu, :func:`settled`."""
    sigma = np.sqrt(BOLTZMANN_EV_PER_K * temperature / (masses * AMU_A2_PER_FS2_IN_EV))
    drawn = np.random.default_rng(seed).normal(size=(len(masses), 3)) * sigma[:, None]
    return settled(drawn, masses, mobile)


def settled(velocities: np.ndarray, masses: np.ndarray, mobile: np.ndarray) -> np.ndarray:
    """Return velocities (n, 3) without net momentum, for masses (n,).

    If not all atoms are ``mobile`` (n,) the others are at rest: they hold the frame of reference, and the net momentum
    is left as it is.
    """
    if not mobile.all():
        return np.where(mobile[:, None], velocities, 0.0)
    if len(masses) == 1:
        return velocities
    return velocities - (masses[:, None] * velocities).sum(axis=0) / masses.sum()


class Engine(ABC):
    """One simulation. ``elements`` are the distinct chemical symbols in the order of the element indices."""

    atoms: Atoms
    elements: list[str]
    dynamics: Dynamics
    comm: Any
    """The group's communicator (None: this process alone)."""

    @abstractmethod
    def positions(self) -> np.ndarray:
        """Return the unwrapped positions of all atoms, (n, 3) in Å, in the order of their ids."""

    @abstractmethod
    def evaluate(self, positions: np.ndarray) -> Forces:
        """Move the atoms to ``positions`` (n, 3) Å and return energy (eV) and forces (n, 3) eV/Å.

        The tether is not part of either. The answer depends on nothing but the positions: on one rank it is the
        same to the last bit whatever was computed before. Raises EngineError when the result is not a number.
        """

    @abstractmethod
    def local_atoms(self) -> LocalAtoms:
        """Return the atoms that this rank owns; the ranks of a group own each atom exactly once."""

    @abstractmethod
    def tagged_position(self) -> np.ndarray:
        """Return the unwrapped center of mass of the tagged atoms, (3,) in Å."""

    @abstractmethod
    def set_tether(self, agent: np.ndarray | None) -> None:
        """Put the far end of the tether at ``agent`` (3,) Å; None takes the tether off."""

    @abstractmethod
    def run(self, steps: int) -> Segment:
        """Run molecular dynamics for ``steps`` steps. Raises EngineError when the simulation fails.

        Every run begins anew, with nothing carried over but what a :class:`Snapshot` holds.
        """

    @abstractmethod
    def relax(self, calls: int) -> Segment:
        """Minimize the energy with the tether's in at most about ``calls`` force calls; the material's is returned.

        Nothing moves at the end, and the center of mass is where it was. The end is a function of the positions at
        the beginning. Raises EngineError when the simulation fails.
        """

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Return the present state."""

    @abstractmethod
    def restore(self, snapshot: Snapshot, seed: int | None = None) -> None:
        """Go back to a state, also another engine's for the same atoms.

        With a seed, velocities and thermostat noise are drawn from it anew; else what follows is what followed then.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what the engine holds; it cannot be used afterwards."""

    def checked_temperature(self, kelvin: float) -> float:
        """Return a temperature; EngineError where it shows that the simulation has come apart."""
        if not kelvin < self.dynamics.max_temperature:
            raise EngineError(f"the temperature reached {kelvin:.0f} K (dynamics.max_temperature)", "temperature")
        return kelvin

    def quench(self, fmax: float = 0.02, max_calls: int = 500) -> Quench:
        """Minimize the energy (SciPy's L-BFGS) until no atom feels more than ``fmax`` eV/Å.

        The engine stays at the minimum. The result says how far it came; look at ``residual``.
        """
        from scipy.optimize import minimize  # 44 MB that an agent does without

        start = self.positions()
        calls = 0

        def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
            nonlocal calls
            calls += 1
            energy, forces = self.evaluate(flat.reshape(start.shape))
            return energy, -forces.ravel()

        # gtol bounds each component; a vector of three such components is at most √3 longer
        options = {"gtol": fmax / np.sqrt(3.0), "ftol": 0.0, "maxfun": max_calls, "maxiter": max_calls}
        found = minimize(value, start.ravel(), jac=True, method="L-BFGS-B", options=options)
        energy, forces = self.evaluate(found.x.reshape(start.shape))
        return Quench(energy, found.x.reshape(start.shape), largest_force(forces), calls + 1)
