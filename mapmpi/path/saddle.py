"""Saddle search from near the top of a path.

The search first finds the lowest mode by a few finite differences, then steps uphill along it and downhill
along all others, by a Hessian that every force call makes better (the plan of Sella: Hermes, Sargsyan, Najm and
Zádor, J. Chem. Theory Comput. 18, 6974 (2022)). Gradients are minus forces, (n, 3) eV/Å.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from mapmpi.calculation import Calculation, Forces
from mapmpi.config import SaddleSettings
from mapmpi.md.engine import largest_force
from mapmpi.path.curvature import CurvatureModel, lowest_modes
from mapmpi.path.matching import Alignment, StationaryPoint
from mapmpi.path.preconditioner import Metric
from mapmpi.path.quench import clipped

FIRST_TRUST, LARGEST_TRUST, SMALLEST_TRUST = 0.1, 0.2, 0.01
"""Longest step of an atom in Å."""
REFRESH = 25
"""Steps after which the lowest mode is looked at again; if no curvature is negative, a fifth of them."""
STUCK, NEAR = 30, 0.2
"""A search whose last STUCK places lie within NEAR Å of each other and have not brought the force down by a fifth
sits on a step of the energy: ReaxFF switches a hydrogen bond on where the bond order of O-H passes 0.01, by up to
20 meV and 0.2 eV/Å (measured with water in silica).
"""
CLIMB = 0.3
"""eV: a search that rises so far above its start has left the pass behind."""


@dataclass(frozen=True)
class Saddle(StationaryPoint):
    """Where a saddle search ended: its mode (n, 3) of unit length, largest force in eV/Å, force calls.

    ``on_step``: the pass is a step of the energy, where no force vanishes; this is its upper side.
    """

    mode: np.ndarray
    residual: Annotated[float, "eV/Angstrom"]
    calls: int
    on_step: bool = False

    def relabelled(self, labels: Alignment) -> Saddle:
        """Return the same saddle in other labels of the atoms."""
        return replace(self, positions=labels.apply(self.positions), mode=self.mode[labels.order])

    def along(self, mode: np.ndarray) -> Saddle:
        """Return the same saddle with a better mode (n, 3), which keeps its sense."""
        sign = 1.0 if (mode * self.mode).sum() >= 0 else -1.0
        return replace(self, mode=sign * mode / np.linalg.norm(mode))


class Climber:
    """A point on its way to a saddle: positions (n, 3) Å, gradient (n, 3) eV/Å, energy eV; what it has learned.

    ``tangent`` (n, 3), if given, is the direction in which it goes up while no curvature is negative.
    """

    def __init__(
        self,
        positions: np.ndarray,
        gradient: np.ndarray,
        energy: float,
        metric: Metric,
        tangent: np.ndarray | None,
    ) -> None:
        self.positions, self.gradient, self.energy, self.tangent = positions, gradient, energy, tangent
        self.metric, self.model = metric, CurvatureModel(metric, positions.size)
        self.calls, self.trust, self._since = 0, FIRST_TRUST, 0
        self._visited: list[tuple[np.ndarray, Forces]] = []

    @property
    def residual(self) -> float:
        """The largest force on an atom in eV/Å."""
        return largest_force(self.gradient)

    @property
    def stale(self) -> bool:
        """Whether the lowest mode should be looked at again."""
        return self._since >= REFRESH or (self._since >= REFRESH / 5 and self.model.curvatures[0] > 0)

    @property
    def stuck(self) -> bool:
        """Whether the search only goes to and fro."""
        before, last = self._visited[:-STUCK], self._visited[-STUCK:]
        if not before or any(largest_force(place - self.positions) > NEAR for place, _ in last):
            return False
        return _calmest(last) > 0.8 * _calmest(before)

    def go_up(self) -> None:
        """Go to the edge of the step on which the search is stuck: the highest of the last calm places."""
        last = self._visited[-STUCK:]
        calm = [one for one in last if largest_force(one[1].forces) <= 2 * _calmest(last)]
        self.positions, top = max(calm, key=lambda one: one[1].energy)
        self.gradient, self.energy = -top.forces, top.energy

    def look(self, guess: np.ndarray, max_calls: int) -> Calculation[None]:
        """Find the lowest mode at the present place, from a guess (n, 3)."""
        modes = yield from lowest_modes(self.positions, self.gradient, guess, self.metric, max_calls=max_calls)
        self.calls, self._since = self.calls + modes.calls, 0
        for mode, action in zip(modes.vectors[::-1], modes.actions[::-1], strict=True):  # the last counts most
            self.model.learn(mode, action)

    def step(self) -> Calculation[None]:
        """Go one step; one that makes the gradient much larger in the metric is taken back."""
        step = clipped(self.model.saddle_step(self.gradient, self.tangent), self.trust)
        (there,) = yield [self.positions + step]
        self.calls, self._since = self.calls + 1, self._since + 1
        self.model.learn(step, -there.forces - self.gradient)
        self._visited.append((self.positions + step, there))
        growth = self.metric.force_length(there.forces) / self.metric.force_length(self.gradient)
        if growth > 2.5 and self.trust > SMALLEST_TRUST:
            self.trust = max(0.4 * largest_force(step), SMALLEST_TRUST)
            return
        if growth > 1.5:
            self.trust = max(0.5 * self.trust, SMALLEST_TRUST)
        elif growth < 1.05 and largest_force(step) > 0.99 * self.trust:
            self.trust = min(1.4 * self.trust, LARGEST_TRUST)
        self.positions, self.gradient, self.energy = self.positions + step, -there.forces, there.energy


def _calmest(visited: list[tuple[np.ndarray, Forces]]) -> float:
    """Return the least of the largest forces at some places in eV/Å."""
    return min(largest_force(there.forces) for _, there in visited)


def find_saddle(
    positions: np.ndarray,
    gradient: np.ndarray,
    energy: float,
    tangent: np.ndarray,
    metric: Metric,
    settings: SaddleSettings,
    guided: bool = False,
) -> Calculation[Saddle]:
    """Search the saddle near ``positions`` (n, 3) Å, where gradient (n, 3) eV/Å and energy (eV) are known.

    ``tangent`` (n, 3) is the path's direction, the first guess of the mode, whose sense the mode keeps. Where no
    curvature is negative the search goes up along the softest mode, which leads from any slope to some saddle, but
    often to another than the path's; ``guided``, it goes up along the path. Gives up after the calls of the settings,
    or CLIMB above the start, and says so by the residual; a step of the energy is an end, too.
    """
    climber, stuck = Climber(positions, gradient, energy, metric, tangent if guided else None), False
    yield from climber.look(tangent, 8)
    while climber.residual > settings.force and not stuck:
        if climber.calls >= settings.calls or climber.energy >= energy + CLIMB:
            break
        if climber.stale:
            yield from climber.look(climber.model.lowest_mode().reshape(positions.shape), 4)
        yield from climber.step()
        stuck = climber.stuck and climber.residual > settings.force
    if stuck:
        climber.go_up()
    found = Saddle(climber.positions, climber.energy, tangent, climber.residual, climber.calls, stuck)
    return found.along(climber.model.lowest_mode().reshape(positions.shape))
