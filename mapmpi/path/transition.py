"""Is it a transition state? The ways down from a saddle, its curvatures, and the minima that it joins."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mapmpi.calculation import Calculation, Subcalculation
from mapmpi.config import QuenchSettings
from mapmpi.md.engine import largest_force
from mapmpi.path.band import difference
from mapmpi.path.curvature import Modes, lowest_modes
from mapmpi.path.matching import Matcher, StationaryPoint
from mapmpi.path.preconditioner import Metric
from mapmpi.path.quench import Minimum, clipped, quench
from mapmpi.path.saddle import Saddle

PUSHES = (0.15, 0.3, 0.6)
"""Longest displacements of an atom with which the way down from a saddle begins, one after another, Å."""
FALL = 0.01
"""eV: a quench that ends less than this below a saddle may not have left it."""
FLAT, SURE = 0.02, 0.005
"""eV/Å²: a second curvature above minus FLAT counts as flat. For the lowest, below minus SURE is enough: the quenches
from both sides show, too, that the energy falls along that mode."""


def same_place(matcher: Matcher, first: StationaryPoint, second: StationaryPoint) -> bool:
    """Tell whether two points are one, each atom in its own place.

    Unlike :meth:`Matcher.match`, which also takes structures as one in which equal atoms have changed places:
    such an exchange has a barrier.
    """
    apart = largest_force(difference(first.positions, second.positions, matcher.pbc, matcher.held))
    return apart <= matcher.tolerance_A and abs(first.energy - second.energy) <= matcher.energy_tolerance_ev


def downhill(saddle: Saddle, metric: Metric, settings: QuenchSettings) -> Calculation[tuple[Minimum, Minimum]]:
    """Quench from both sides of a saddle; return the minimum against its mode and the one along it."""
    ways = [(saddle, sign * saddle.mode, metric, settings) for sign in (-1.0, 1.0)]
    backward, forward = yield [Subcalculation(way_down, way) for way in ways]
    return backward, forward


def way_down(
    saddle: Saddle, direction: np.ndarray, metric: Metric, settings: QuenchSettings
) -> Calculation[Minimum]:
    """Quench from beside a saddle, along a direction (n, 3).

    From farther away if the saddle is so flat that the quench ends where it began.
    """
    calls = 0
    for push in PUSHES:
        side = saddle.positions + clipped(1e6 * direction, push)
        end = yield from quench(side, metric, settings)
        calls += end.calls
        if saddle.energy - end.energy > FALL or largest_force(end.positions - side) > push:
            break
    return replace(end, calls=calls)


@dataclass(frozen=True)
class Verification:
    """The checks of a saddle: two lowest curvatures (2,) in eV/Å², each along its mode; what is wrong, if anything."""

    curvatures: np.ndarray
    faults: tuple[str, ...]

    @property
    def verified(self) -> bool:
        """Whether the point is a transition state."""
        return not self.faults


def two_lowest_modes(saddle: Saddle, metric: Metric) -> Calculation[Modes]:
    """Find the two lowest modes at a saddle, by central differences, so well that their signs are sure."""
    return lowest_modes(saddle.positions, None, saddle.mode, metric, 2, 0.2, max_calls=120)


def plain_curvatures(modes: Modes) -> np.ndarray:
    """Return the curvatures (k,) in eV/Å² along modes found in a metric.

    By Sylvester's law of inertia as many are negative as the Hessian has negative eigenvalues, whatever the metric.
    """
    return modes.curvatures / (modes.vectors**2).sum(axis=(1, 2))


def negative_curvatures(modes: Modes) -> int:
    """Return how many of the two lowest curvatures are negative, as far as that matters (see FLAT)."""
    lowest, second = sorted(plain_curvatures(modes)[:2])
    return int(lowest < -SURE) + int(second < -FLAT)


def judge(saddle: Saddle, modes: Modes, sides: tuple[Minimum, Minimum], fmax: float) -> Verification:
    """Check a saddle: its forces below ``fmax`` eV/Å, exactly one negative curvature, both ways down at rest."""
    faults = []
    if saddle.on_step:
        faults.append(f"the force field has a step there, with forces of {saddle.residual:.3f} eV/Å")
    elif saddle.residual > fmax:
        faults.append(f"a force of {saddle.residual:.3f} eV/Å is left")
    if (negative := negative_curvatures(modes)) != 1:
        faults.append(f"{negative} curvatures are negative instead of one")
    elif not modes.accurate:
        faults.append(f"the curvatures were not clear after {modes.calls} force calls")
    for side in sides:
        if not side.at_rest:
            faults.append(f"a way down did not come to rest ({side.residual:.3f} eV/Å)")
    return Verification(plain_curvatures(modes)[:2], tuple(faults))
