"""An engine that only takes its time: it computes a simple energy, and sleeps as long as an action would take.

With it one machine tries what a thousand ranks would do: messages, replay, weights, files and refinement are the
real ones, and so are the sizes of all arrays. The energy is that of an Einstein crystal and a molecule on an egg box:
every atom of the material hangs on a spring at its place, the atoms of the molecule at theirs around the
center of mass of the tagged atoms, which is at (x, y, z) from its start and feels

    ½a(y, z)·(1 - cos 2πx/L) + 0.3A·(2 - cos 2πy/L - cos 2πz/L),  a = ¾A + ⅛A·(cos 2πy/Y + cos 2πz/Z).

So minima lie L apart, about PERIOD_A but an even part of each of the cell's lengths X, Y, Z; the way straight on along
x has barriers of A, those to its sides of 0.6A, and there are lanes along x, half a cell to the sides, whose barriers
are ½A: there is something to be found, and the energy is as periodic as the cell.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from ase import Atoms

from mapmpi.calculation import Forces
from mapmpi.config import Config
from mapmpi.md.engine import Segment
from mapmpi.md.numpy_engine import NumpyEngine

BARRIER_EV, PERIOD_A = 0.5, 4.0
"""A of the landscape, and its L as far as the cell allows."""
RESTS_EV_A = 1e-4
"""eV/Å on the molecule below which it has come to rest under the tether."""
SPRING = 5.0
"""eV/Å² of the springs."""


class SimulatedEngine(NumpyEngine):
    """The engine of ``forcefield.simulated`` for the structure ``atoms``; its ranks sleep at the same time."""

    def __init__(self, config: Config, atoms: Atoms, comm: Any = None) -> None:
        assert config.forcefield.simulated is not None
        tagged, spring = config.structure.tagged_atoms, config.tether.spring_constant
        super().__init__(atoms, config.dynamics, tagged, spring, config.seed, config.structure.elements, comm)
        self._pace, self._random = config.forcefield.simulated, np.random.default_rng(config.seed)
        self._molecule = np.array(config.structure.molecule) - 1
        self._edges = atoms.cell.lengths()
        self.periods = self._edges / (2.0 * np.maximum(1.0, np.round(self._edges / (2.0 * PERIOD_A))))
        """(3,) Å, L along each of the cell's vectors."""
        self._start, self._start_center = self.positions(), self.tagged_position()

    def _sleep(self, share: float) -> None:
        """Take a share of an action's time: log-normal around the median."""
        time.sleep(share * self._pace.seconds * float(np.exp(self._pace.spread * self._random.normal())))

    def evaluate(self, positions: np.ndarray) -> Forces:
        self._sleep(1.0 / self.dynamics.steps_per_action)
        return super().evaluate(positions)

    def _landscape(self, away: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the energy in eV of a center (3,) Å away from the start's, and its gradient (3,) eV/Å."""
        turns, slow = 2.0 * np.pi / self.periods, 2.0 * np.pi / self._edges[1:]
        phase, lane = turns * away, slow * away[1:]
        along = BARRIER_EV * (0.75 + 0.125 * float(np.cos(lane).sum()))
        energy = 0.5 * along * (1.0 - np.cos(phase[0])) + 0.3 * BARRIER_EV * float((1.0 - np.cos(phase[1:])).sum())
        slope = np.sin(phase) * 0.3 * BARRIER_EV * turns
        slope[0] *= along / (0.6 * BARRIER_EV)
        slope[1:] -= 0.5 * (1.0 - np.cos(phase[0])) * 0.125 * BARRIER_EV * np.sin(lane) * slow
        return float(energy), slope

    def _compute(self) -> tuple[float, np.ndarray]:
        away = self.tagged_position() - self._start_center
        stretched = self._positions - self._start
        stretched[self._molecule] -= away
        energy, slope = self._landscape(away)
        # what moves the center pulls the springs along
        pull = SPRING * stretched[self._molecule].sum(axis=0) - slope
        forces = -SPRING * stretched
        masses = self._masses[self._tagged]
        forces[self._tagged] += masses / masses.sum() * pull
        return energy + 0.5 * SPRING * float((stretched**2).sum()), forces

    def relax(self, calls: int) -> Segment:
        """Bring the molecule's center to rest under the tether; all else rests already."""
        self._sleep(calls / self.dynamics.steps_per_action)
        center = self.tagged_position()
        away = center - self._start_center
        if self._agent is not None:
            stiffest = self._spring + 0.6 * BARRIER_EV * float((2.0 * np.pi / self.periods).max()) ** 2
            for _ in range(calls):
                pull = self._spring * (self._agent - self._start_center - away) - self._landscape(away)[1]
                if float(np.abs(pull).max()) < RESTS_EV_A:
                    break
                away = away + pull / stiffest
        self._positions = self._start.copy()
        self._positions[self._molecule] += away
        return Segment(np.array([self._landscape(away)[0]]), 0.0)

    def run(self, steps: int) -> Segment:
        """Follow the tether as in :meth:`relax`: there is no heat in it."""
        self._runs += 1
        return self.relax(steps)
