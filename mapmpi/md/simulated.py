"""An engine that only takes its time: it computes a simple energy, and sleeps as long as an action would take.

With it one machine tries what a thousand ranks would do: messages, replay, weights, files and refinement are the
real ones, and so are the sizes of all arrays. The energy is that of an Einstein crystal and a molecule on an egg box:
every atom of the material hangs on a spring at its place, the atoms of the molecule at theirs around the
center of mass of the tagged atoms, which is at (x, y, z) from its start and feels

    ½a(y, z)·(1 - cos 2πx/L) + 0.3A·(2 - cos 2πy/L - cos 2πz/L),  a = ¾A + ⅛A·(cos πy/2L + cos πz/2L).

So minima lie about L apart, the way straight on along x has barriers of A, those to its sides of 0.6A, and there are
lanes along x, 2L to the sides, whose barriers are ½A: there is something to be found.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from ase import Atoms

from mapmpi.calculation import Forces
from mapmpi.config import Config
from mapmpi.errors import EngineError
from mapmpi.md.engine import Engine, LocalAtoms, Segment, Snapshot, element_order
from mapmpi.md.fixed import is_fixed
from mapmpi.units import KCAL_PER_MOL_IN_EV

BARRIER_EV, PERIOD_A = 0.5, 2.5
"""A and L of the landscape."""
SPRING = 5.0
"""eV/Å² of the springs."""


class SimulatedEngine(Engine):
    """The engine of ``forcefield.simulated`` for the structure ``atoms``; its ranks sleep at the same time."""

    def __init__(self, config: Config, atoms: Atoms, comm: Any = None) -> None:
        assert config.forcefield.simulated is not None
        self.atoms, self.dynamics, self.comm = atoms, config.dynamics, comm
        self.elements = element_order(atoms, config.structure.elements)
        self._pace, self._random = config.forcefield.simulated, np.random.default_rng(config.seed)
        self._types = np.array([self.elements.index(symbol) for symbol in atoms.symbols])
        self._spring = config.tether.spring_constant * KCAL_PER_MOL_IN_EV
        self._molecule = np.array(config.structure.molecule) - 1
        tagged, masses = np.array(config.structure.tagged_atoms) - 1, atoms.get_masses()
        self._shares = np.zeros(len(atoms))
        self._shares[tagged] = masses[tagged] / masses[tagged].sum()
        self._mobile = ~is_fixed(atoms)
        self._start = atoms.positions.copy()
        self._start_center = self._shares @ self._start
        self._positions = self._start.copy()
        self._agent: np.ndarray | None = None
        self._seed, self._runs = config.seed, 0

    def _sleep(self, share: float) -> None:
        """Take a share of an action's time: log-normal around the median."""
        time.sleep(share * self._pace.seconds * float(np.exp(self._pace.spread * self._random.normal())))

    def positions(self) -> np.ndarray:
        return self._positions.copy()

    def tagged_position(self) -> np.ndarray:
        return self._shares @ self._positions

    def set_tether(self, agent: np.ndarray | None) -> None:
        self._agent = None if agent is None else np.array(agent, dtype=float)

    def local_atoms(self) -> LocalAtoms:
        rank, size = (self.comm.rank, self.comm.size) if self.comm is not None else (0, 1)
        rows = np.arange(len(self.atoms))[rank::size]
        return LocalAtoms(rows + 1, self._positions[rows], self._types[rows])

    @staticmethod
    def _landscape(away: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the energy in eV of a center (3,) Å away from the start's, and its gradient (3,) eV/Å."""
        phase, slow = 2.0 * np.pi * away / PERIOD_A, 0.5 * np.pi * away[1:] / PERIOD_A
        along = BARRIER_EV * (0.75 + 0.125 * float(np.cos(slow).sum()))
        energy = 0.5 * along * (1.0 - np.cos(phase[0])) + 0.3 * BARRIER_EV * float((1.0 - np.cos(phase[1:])).sum())
        slope = np.sin(phase) * 0.6 * BARRIER_EV * np.pi / PERIOD_A
        slope[0] *= along / (0.6 * BARRIER_EV)
        slope[1:] -= 0.5 * (1.0 - np.cos(phase[0])) * 0.125 * BARRIER_EV * np.sin(slow) * 0.5 * np.pi / PERIOD_A
        return float(energy), slope

    def _energy_and_forces(self) -> tuple[float, np.ndarray]:
        away = self._shares @ self._positions - self._start_center
        stretched = self._positions - self._start
        stretched[self._molecule] -= away
        energy, slope = self._landscape(away)
        pull = (
            SPRING * stretched[self._molecule].sum(axis=0) - slope
        )  # what moves the center pulls the springs along
        forces = -SPRING * stretched + self._shares[:, None] * pull
        forces[~self._mobile] = 0.0
        return energy + 0.5 * SPRING * float((stretched**2).sum()), forces

    def evaluate(self, positions: np.ndarray) -> Forces:
        self._positions, self._agent = np.array(positions, dtype=float), None
        self._sleep(1.0 / self.dynamics.steps_per_action)
        energy, forces = self._energy_and_forces()
        if not np.isfinite(energy):
            raise EngineError(f"the potential energy is {energy}", "not_a_number")
        return Forces(energy, forces)

    def relax(self, calls: int) -> Segment:
        """Bring the molecule's center to rest under the tether; all else rests already."""
        self._sleep(calls / self.dynamics.steps_per_action)
        center = self.tagged_position()
        away = center - self._start_center
        if self._agent is not None:
            stiffest = self._spring + 2.5 * BARRIER_EV * (np.pi / PERIOD_A) ** 2
            for _ in range(calls):
                pull = self._spring * (self._agent - self._start_center - away)
                away = away + (pull - self._landscape(away)[1]) / stiffest
        self._positions = self._start.copy()
        self._positions[self._molecule] += away
        return Segment(np.array([self._landscape(away)[0]]), 0.0)

    def run(self, steps: int) -> Segment:
        """Follow the tether as in :meth:`relax`: there is no heat in it."""
        self._runs += 1
        return self.relax(steps)

    def snapshot(self) -> Snapshot:
        still = np.zeros_like(self._positions)
        return Snapshot(
            self.positions(), still.astype(int), still, np.zeros(len(self.atoms)), self._seed, self._runs
        )

    def restore(self, snapshot: Snapshot, seed: int | None = None) -> None:
        self._positions = snapshot.positions.copy()
        self._seed, self._runs = (snapshot.seed, snapshot.runs) if seed is None else (seed, 0)

    def close(self) -> None:
        self._agent = None
