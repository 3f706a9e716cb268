"""The barrier between two minima: a little of the nudged elastic band, then a saddle search, then both ways down.

A band is good at telling where the pass is and bad at arriving there: its images hold each other up. So all images
are computed once, only those around the highest are relaxed, and only roughly, and a saddle search goes on from
the highest alone. Quenches from both sides of the saddle say which minima it joins. In a glass they are often not
the two that the band was put between: then the segment is split, not forced.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from ase import Atoms

from mapmpi.errors import EngineError, EngineLost
from mapmpi.path.basins import Matcher, StationaryPoint
from mapmpi.path.calculation import Calculation
from mapmpi.path.curvature import lowest_modes
from mapmpi.path.neb import Band
from mapmpi.path.preconditioner import Metric
from mapmpi.path.quench import Minimum, quench
from mapmpi.path.saddle import Saddle, find_saddle
from mapmpi.path.transition import downhill, same_place

Status = Literal["converged", "split", "same basin", "collapsed", "kinked", "not converged", "engine failed"]


@dataclass(frozen=True)
class BarrierSettings:
    """When to stop. Forces in eV/Å, the largest on an atom.

    The part of the band within ``focus_width`` Å of its highest image is relaxed with ``focus_images`` images until
    that image feels less than the first of ``band_forces``, or for ``band_iterations``; then a saddle search goes
    on from it. If it does not come to ``saddle_force`` in ``saddle_calls``, the next of ``band_forces`` is tried.
    ``minimum_force`` and ``minimum_calls`` are those of a quench.
    """

    focus_images: int = 5
    focus_width: float = 1.0
    band_forces: tuple[float, ...] = (0.8, 0.4, 0.2)
    band_iterations: int = 15
    saddle_force: float = 0.05
    saddle_calls: int = 150
    minimum_force: float = 0.02
    minimum_calls: int = 300


@dataclass(frozen=True)
class Barrier:
    """What came of a search. ``reason`` is a sentence where the status is not ``converged``.

    ``saddle`` and ``sides``, the minima to which it leads (first the one towards the start), where they are
    known; ``inner``, minima found between start and end, in that order, each unlike its predecessor. When split
    at a saddle, that saddle already joins ``sides``: only the remaining gaps need a search. ``band`` (m, n, 3) Å
    and ``energies`` (m,) eV are those of the first band; ``calls`` are all force calls, ``way_down_calls`` those of
    them that went from the saddle to its sides.
    """

    status: Status
    reason: str
    band: np.ndarray
    energies: np.ndarray
    calls: int
    saddle: Saddle | None = None
    sides: tuple[Minimum, Minimum] | None = None
    inner: tuple[Minimum, ...] = ()
    way_down_calls: int = 0


def find_barrier(
    start: StationaryPoint,
    end: StationaryPoint,
    images: np.ndarray,
    atoms: Atoms,
    matcher: Matcher,
    settings: BarrierSettings | None = None,
) -> Calculation[Barrier]:
    """Find a saddle between two minima of ``atoms`` from a first band (m, n, 3) Å whose ends they are.

    What happened is told by the result's status; an EngineError in a force call becomes ``engine failed``.
    """
    search = _Search(start, end, images, atoms, matcher, settings or BarrierSettings())
    try:
        return (yield from search.run())
    except EngineLost:
        raise
    except EngineError as error:
        return search.result("engine failed", str(error))


class _Search:
    """One search of a barrier; see :func:`find_barrier`."""

    def __init__(
        self,
        start: StationaryPoint,
        end: StationaryPoint,
        images: np.ndarray,
        atoms: Atoms,
        matcher: Matcher,
        settings: BarrierSettings,
    ) -> None:
        self.start, self.end, self.atoms, self.matcher, self.settings = start, end, atoms, matcher, settings
        self.band = Band(images, (start.energy, end.energy), self.metric(images[len(images) // 2]))
        self.near = self.band
        self.other_calls = self.down_calls = 0

    def metric(self, positions: np.ndarray) -> Metric:
        """Return the metric at a configuration (n, 3) Å."""
        return Metric.of_solid(self.atoms, [positions])

    def result(self, status: Status, reason: str, **found: Any) -> Barrier:
        """Return what is known as the result."""
        calls = self.band.calls + self.other_calls + self.down_calls
        calls += self.near.calls if self.near is not self.band else 0
        band = self.band
        return Barrier(status, reason, band.images, band.energies, calls, way_down_calls=self.down_calls, **found)

    def run(self) -> Calculation[Barrier]:
        """Search; EngineError passes through."""
        if same_place(self.matcher, self.start, self.end):
            return self.result("same basin", "the band's ends are one minimum")
        yield from self.band.compute()
        if self.band.energies[self.band.top] <= max(self.start.energy, self.end.energy):
            return (yield from self.collapsed())
        top = self.band.images[self.band.top]
        self.near = self.band.focus(self.settings.focus_width, self.settings.focus_images, self.metric(top))
        for force in self.settings.band_forces:
            yield from self.near.relax(force, self.settings.band_iterations)
            saddle = yield from self.climb()
            if saddle.residual <= self.settings.saddle_force:
                return (yield from self.connected(saddle))
        return (yield from self.missed(saddle))

    def climb(self) -> Calculation[Saddle]:
        """Search the saddle from the highest image; its mode points towards the end."""
        near, top = self.near, self.near.top
        place, energy = near.images[top], float(near.energies[top])
        limits = self.settings.saddle_force, self.settings.saddle_calls
        saddle = yield from find_saddle(
            place, near.gradients[top], energy, near.tangent, self.metric(place), *limits
        )
        self.other_calls += saddle.calls
        return saddle

    def quench(self, positions: np.ndarray, tighter: float = 1.0) -> Calculation[Minimum]:
        """Quench a configuration (n, 3) Å to the tolerance of the settings, or a fraction of it."""
        force = self.settings.minimum_force * tighter
        found = yield from quench(positions, self.metric(positions), force, self.settings.minimum_calls)
        self.other_calls += found.calls
        return found

    def collapsed(self) -> Calculation[Barrier]:
        """Say what it means that no image lies above both ends: the higher end may be no minimum of its own."""
        higher, lower = (
            (self.start, self.end) if self.start.energy > self.end.energy else (self.end, self.start)
        )
        found = yield from self.quench(higher.positions, 0.25)
        if same_place(self.matcher, found, lower):
            return self.result("same basin", "the higher end, quenched further, comes to the lower one")
        return self.result("collapsed", "no image lies above both ends: no pass is seen between them")

    def connected(self, saddle: Saddle) -> Calculation[Barrier]:
        """Go down from a saddle and say whether it joins the two ends; twice if both ways lead to one minimum."""
        settings, metric = self.settings, self.metric(saddle.positions)
        for again in (False, True):
            if again:  # the mode of the search was not good enough to tell one side from the other
                modes = yield from lowest_modes(saddle.positions, None, saddle.mode, metric, 1, 0.1, 20)
                self.other_calls += modes.calls
                saddle = saddle.along(modes.vectors[0])
            sides = yield from downhill(saddle, metric, settings.minimum_force, settings.minimum_calls)
            self.down_calls += sides[0].calls + sides[1].calls
            if not same_place(self.matcher, *sides):
                break
        else:
            reason = "both ways down from the saddle lead to one minimum"
            inner = self.new_minima(*sides[:1])
            return self.result("split" if inner else "not converged", reason, saddle=saddle, inner=inner)
        found = {"saddle": saddle, "sides": sides}
        if self.new_minima(*sides) or same_place(self.matcher, sides[0], self.end):
            return self.result("split", "the saddle leads to another minimum", inner=self.new_minima(*sides), **found)
        return self.result("converged", "", **found)

    def new_minima(self, *minima: Minimum) -> tuple[Minimum, ...]:
        """Return those of some minima that came to rest and are not one of the ends."""
        ends = (self.start, self.end)
        return tuple(
            point
            for point in minima
            if point.residual <= self.settings.minimum_force
            and not any(same_place(self.matcher, point, end) for end in ends)
        )

    def missed(self, saddle: Saddle) -> Calculation[Barrier]:
        """Say why there is no saddle; minima beside the highest image may help the next search."""
        near = self.near
        left = yield from self.quench(near.images[near.top - 1])
        right = yield from self.quench(near.images[near.top + 1])
        reason = f"the last saddle search stopped at {saddle.residual:.3f} eV/Å"
        inner = self.new_minima(left) if same_place(self.matcher, left, right) else self.new_minima(left, right)
        if inner:
            return self.result("split", f"{reason}; other minima lie beside the highest image", inner=inner)
        if near.kinked:
            return self.result("kinked", f"the band turns back on itself, and {reason}", saddle=replace(saddle))
        return self.result("not converged", reason, saddle=saddle)
