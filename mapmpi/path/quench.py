"""Quench to the nearest minimum: preconditioned L-BFGS that looks at forces, not at energies.

ReaxFF's energy has steps of about a meV where bond orders are cut off (see the control file's cutoffs), so a
line search on energies gets stuck on them; the forces stay within hundredths of an eV/Å of a smooth
function. A step is therefore judged by the force along it: it is taken back only when it went far beyond the
minimum along its direction, or uphill by more than such a step in the energy can explain.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mapmpi.calculation import Calculation
from mapmpi.config import QuenchSettings
from mapmpi.md.engine import largest_force
from mapmpi.path.matching import Alignment, StationaryPoint
from mapmpi.path.preconditioner import Metric

MEMORY = 30
FIRST_TRUST, LARGEST_TRUST, SMALLEST_TRUST = 0.2, 0.4, 0.01
"""Longest step of an atom in Å."""
TRAIL = 0.4
"""Å between the points of a trail."""
UPHILL = 0.1
"""Rise of the energy in eV at which a step is taken back whatever the forces say."""
SETTLED, PATIENCE, NOISE = 1e-4, 30, 0.05
"""A quench has come to rest, too, when the energy has not fallen by SETTLED eV in PATIENCE calls and NOISE eV/Å or
less is left. Some of ReaxFF's minima lie at a step, with forces of 0.01 to 0.03 eV/Å on both sides of it."""


@dataclass(frozen=True)
class Minimum(StationaryPoint):
    """Where a quench ended: the largest force on an atom in eV/Å and the force calls it took.

    ``at_rest`` tells that it came to an end by itself. The way down from where it began, (k, n, 3) Å with energies
    (k,) in eV, is kept at a spacing of TRAIL Å (over all coordinates): where two quenches end apart, their trails are
    a path between the two minima.
    """

    residual: float
    calls: int
    trail: np.ndarray
    trail_energies: np.ndarray
    at_rest: bool = True

    def relabelled(self, labels: Alignment) -> Minimum:
        """Return the same quench in other labels of the atoms."""
        trail = np.array([labels.apply(place) for place in self.trail])
        return replace(self, positions=labels.apply(self.positions), trail=trail)


class LimitedMemory:
    """The inverse Hessian of L-BFGS over the metric (Nocedal and Wright, algorithm 7.4)."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._pairs: list[tuple[np.ndarray, np.ndarray]] = []

    def learn(self, step: np.ndarray, change: np.ndarray) -> bool:
        """Take up a step (…, 3) Å and the change of the gradient along it; tell if it was convex."""
        convex = bool((step * change).sum() > 1e-3 * (step * self.metric.times(step)).sum())
        if convex:
            self._pairs = [*self._pairs[1 - MEMORY :], (step, change)]
        return convex

    def descend(self, gradient: np.ndarray) -> np.ndarray:
        """Return the quasi-Newton step (…, 3) Å for a gradient (…, 3) eV/Å."""
        rest, shares = gradient.copy(), []
        for step, change in reversed(self._pairs):
            shares.append((step * rest).sum() / (step * change).sum())
            rest -= shares[-1] * change
        move = self.metric.solve(rest)
        if self._pairs:
            step, change = self._pairs[-1]
            move *= (step * change).sum() / (change * self.metric.solve(change)).sum()
        for (step, change), share in zip(self._pairs, reversed(shares), strict=True):
            move += step * (share - (change * move).sum() / (step * change).sum())
        return -move


def clipped(step: np.ndarray, longest: float) -> np.ndarray:
    """Return the step (…, 3) scaled so that no atom moves farther than ``longest`` (Å)."""
    return step * min(1.0, longest / max(largest_force(step), 1e-300))


def quench(positions: np.ndarray, metric: Metric, settings: QuenchSettings) -> Calculation[Minimum]:
    """Minimize the energy from ``positions`` (n, 3) Å until no atom feels more than the force of the settings.

    Or until the energy falls no more (see SETTLED): then the place with the least force since is the end. Give up
    after so many calls and say so by ``at_rest``. EngineError passes through.
    """
    memory, trust, convex = LimitedMemory(metric), FIRST_TRUST, True
    (here,) = yield [positions]
    gradient, energy, calls = -here.forces, here.energy, 1
    trail = [(positions, energy)]
    lowest, lowest_call, calmest = energy, calls, (positions, here)
    while largest_force(gradient) > settings.force and calls < settings.calls:
        if calls - lowest_call > PATIENCE and largest_force(calmest[1].forces) <= NOISE:
            break
        step = memory.descend(gradient)
        # where the energy curves downwards, as beside a saddle, the model has no length to offer: go far
        step = clipped(step if convex else step * (trust / largest_force(step)), trust)
        (there,) = yield [positions + step]
        new, calls = -there.forces, calls + 1
        convex = memory.learn(step, new - gradient)
        before, after = (step * gradient).sum(), (step * new).sum()
        overshot = after > -0.6 * before and largest_force(new) > 0.5 * largest_force(gradient)
        if (overshot or there.energy > energy + UPHILL) and largest_force(step) > SMALLEST_TRUST:
            trust = 0.25 * largest_force(step)
            continue
        if largest_force(step) > 0.99 * trust:
            trust = min(1.5 * trust, LARGEST_TRUST)
        positions, gradient, energy = positions + step, new, there.energy
        if energy < lowest - SETTLED:
            lowest, lowest_call, calmest = energy, calls, (positions, there)
        elif largest_force(gradient) < largest_force(calmest[1].forces):
            calmest = positions, there
        if np.linalg.norm(positions - trail[-1][0]) > TRAIL:
            trail.append((positions, energy))
    end, at_end = calmest
    residual = largest_force(at_end.forces)
    at_rest = calls < settings.calls or residual <= settings.force
    places, energies = zip(*trail, (end, at_end.energy), strict=True)
    return Minimum(end, at_end.energy, residual, calls, np.array(places), np.array(energies), at_rest)
