"""The barrier between two minima: a little of the nudged elastic band, then a saddle search, then both ways down.

A band is good at telling where the pass is and bad at arriving there: its images hold each other up. So all images
are computed once, only those around the highest are relaxed, and only roughly, and a saddle search goes on from
the highest alone. Quenches from both sides of the saddle say which minima it joins. In a glass they are often not
the two that the band was put between: then the segment is split, not forced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from ase import Atoms

from mapmpi.calculation import CALLS, Calculation, Subcalculation
from mapmpi.config import Pneb
from mapmpi.errors import EngineError
from mapmpi.md.engine import largest_force
from mapmpi.path.curvature import Modes
from mapmpi.path.matching import Matcher, StationaryPoint
from mapmpi.path.neb import Band
from mapmpi.path.preconditioner import Metric
from mapmpi.path.quench import Minimum, clipped, quench
from mapmpi.path.saddle import Saddle, find_saddle
from mapmpi.path.transition import (
    Verification,
    downhill,
    judge,
    negative_curvatures,
    same_place,
    two_lowest_modes,
)

Status = Literal["converged", "split", "same basin", "collapsed", "kinked", "not converged", "engine failed"]

ASIDE = 0.15
"""Å: how far a search goes aside from a point at which two curvatures are negative."""


@dataclass(frozen=True)
class Barrier:
    """What came of a search. ``reason`` is a sentence where the status is not ``converged``.

    ``saddle`` and ``sides``, the minima to which it leads (first the one towards the start), where they are
    known; ``beside`` are minima below the two neighbours of the highest image, where no saddle was found. When split
    at a saddle, that saddle already joins ``sides``: only the remaining gaps need a search. ``band`` (m, n, 3) Å
    and ``energies`` (m,) eV are those of the first band; ``calls`` are all force calls, ``check_calls`` those of
    them that were made after the saddle was found: its curvatures and the ways down from it.
    """

    status: Status
    reason: str
    band: np.ndarray
    energies: np.ndarray
    calls: int
    saddle: Saddle | None = None
    sides: tuple[Minimum, Minimum] | None = None
    beside: tuple[Minimum, Minimum] | None = None
    verification: Verification | None = None
    check_calls: int = 0


class BarrierSearch:
    """The search of a saddle between two minima of ``atoms`` from a first band (m, n, 3) Å whose ends they are.

    The part of the band around its highest image is relaxed until that image feels less than the first of
    ``settings.band.forces``; then a saddle search goes on from it. If it does not arrive, the next force is tried.
    A saddle of ``known`` barriers that is found again is not checked again. ``arrived_at`` are the calls up to the
    saddle, once found.
    """

    def __init__(
        self,
        start: StationaryPoint,
        end: StationaryPoint,
        images: np.ndarray,
        atoms: Atoms,
        matcher: Matcher,
        settings: Pneb,
        known: Sequence[Barrier] = (),
    ) -> None:
        self.start, self.end, self.images, self.atoms, self.matcher = start, end, images, atoms, matcher
        self.settings, self.known = settings, known
        self.arrived_at = 0

    def metric(self, positions: np.ndarray) -> Metric:
        """Return the metric at a configuration (n, 3) Å."""
        return Metric(self.atoms, positions)

    def run(self) -> Calculation[Barrier]:
        """Search; what happened is told by the result's status. An EngineError becomes ``engine failed``."""
        energies = self.start.energy, self.end.energy
        self.band = self.near = Band(self.images, energies, self.metric(self.images[len(self.images) // 2]))
        (before,) = yield [CALLS]
        try:
            found = yield from self.steps()
        except EngineError as error:
            found = self.result("engine failed", str(error))
        (after,) = yield [CALLS]
        return replace(found, calls=after - before, check_calls=after - (self.arrived_at or after))

    def result(self, status: Status, reason: str, **found: Any) -> Barrier:
        """Return what is known as the result; its calls are not counted yet."""
        return Barrier(status, reason, self.band.images, self.band.energies, 0, **found)

    def steps(self) -> Calculation[Barrier]:
        """Search; EngineError passes through."""
        if same_place(self.matcher, self.start, self.end):
            return self.result("same basin", "the band's ends are one minimum")
        yield from self.band.compute()
        if self.band.energies[self.band.top] <= max(self.start.energy, self.end.energy):
            return (yield from self.collapsed())
        top = self.band.images[self.band.top]
        near = self.band.focus(self.settings.band.focus_width, self.settings.band.focus_images, self.metric(top))
        begun = None
        for force in self.settings.band.forces:
            if begun is not None or largest_force(self.band.gradients[self.band.top]) > force:
                self.near = near
                yield from near.relax(force, self.settings.band.iterations)
            place = self.near.images[self.near.top]
            if begun is not None and np.array_equal(place, begun):
                continue  # the last search began here
            begun, saddle = place.copy(), (yield from self.climb())
            if self.arrived(saddle):
                return (yield from self.connected(saddle))
        guided = yield from self.climb(guided=True)
        if self.arrived(guided):
            return (yield from self.connected(guided))
        return (yield from self.missed(saddle))

    def arrived(self, saddle: Saddle) -> bool:
        """Tell whether a saddle search has come to a saddle, or to a step of the energy."""
        return saddle.residual <= self.settings.saddle.force or saddle.on_step

    def climb(self, guided: bool = False) -> Calculation[Saddle]:
        """Search the saddle from the highest image, ``guided`` by the band; its mode points towards the end."""
        near, top = self.near, self.near.top
        place, energy = near.images[top], float(near.energies[top])
        start = place, near.gradients[top], energy, near.tangent, self.metric(place)
        search = (*start, self.settings.saddle, guided)
        (saddle,) = yield [Subcalculation(find_saddle, search)]
        return saddle

    def quench(self, *places: np.ndarray, tighter: float = 1.0) -> Calculation[list[Minimum]]:
        """Quench configurations (n, 3) Å to the force of the settings, or a fraction of it."""
        settings = self.settings.quench.model_copy(update={"force": self.settings.quench.force * tighter})
        return (yield [Subcalculation(quench, (place, self.metric(place), settings)) for place in places])

    def collapsed(self) -> Calculation[Barrier]:
        """Say what it means that no image lies above both ends: the higher end may be no minimum of its own."""
        higher, lower = (self.start, self.end) if self.start.energy > self.end.energy else (self.end, self.start)
        (found,) = yield from self.quench(higher.positions, tighter=0.25)
        if same_place(self.matcher, found, lower):
            return self.result("same basin", "the higher end, quenched further, comes to the lower one")
        return self.result("collapsed", "no image lies above both ends: no pass is seen between them")

    def connected(self, saddle: Saddle) -> Calculation[Barrier]:
        """Go down from a saddle, say whether it joins the two ends, and check it."""
        (self.arrived_at,) = yield [CALLS]
        again = self.recognised(saddle)
        if again is not None:
            return self.joined(**again)
        modes = yield from two_lowest_modes(saddle, self.metric(saddle.positions))
        if negative_curvatures(modes) > 1 and not saddle.on_step:
            lower = yield from self.off_the_hill(saddle, modes)
            if lower.residual <= self.settings.saddle.force:
                saddle = lower
                modes = yield from two_lowest_modes(saddle, self.metric(saddle.positions))
        sides = yield from downhill(saddle, self.metric(saddle.positions), self.settings.quench)
        if same_place(self.matcher, *sides):  # the search's mode may tell the sides apart less well than this one
            saddle = saddle.along(modes.vectors[0])
            sides = yield from downhill(saddle, self.metric(saddle.positions), self.settings.quench)
        if same_place(self.matcher, *sides):
            return self.result(
                "not converged", "both ways down from the saddle lead to one minimum", saddle=saddle
            )
        verification = judge(saddle, modes, sides, self.settings.saddle.force)
        return self.joined(saddle, sides, verification)

    def joined(self, saddle: Saddle, sides: tuple[Minimum, Minimum], verification: Verification) -> Barrier:
        """Return the result for a saddle that joins two minima."""
        found = {"saddle": saddle, "sides": sides, "verification": verification}
        if same_place(self.matcher, sides[0], self.start) and same_place(self.matcher, sides[1], self.end):
            return self.result("converged", "", **found)
        return self.result("split", "the saddle leads to another minimum", **found)

    def recognised(self, saddle: Saddle) -> dict[str, Any] | None:
        """Return what is known of a saddle that was found before, in the labels of this search and its sense."""
        for barrier in self.known:
            if barrier.saddle is None or barrier.sides is None:
                continue
            labels = self.matcher.match(saddle, barrier.saddle)
            if labels is None:
                continue
            sides = [side.relabelled(labels) for side in barrier.sides]
            before = barrier.saddle.relabelled(labels)
            if (before.mode * saddle.mode).sum() < 0:
                before, sides = replace(before, mode=-before.mode), sides[::-1]
            return {"saddle": before, "sides": tuple(sides), "verification": barrier.verification}
        return None

    def off_the_hill(self, saddle: Saddle, modes: Modes) -> Calculation[Saddle]:
        """Search on from a point with two ways down, off it along the second."""
        aside = saddle.positions + clipped(1e6 * modes.vectors[1], ASIDE)
        (there,) = yield [aside]
        start = aside, -there.forces, there.energy, modes.vectors[0], self.metric(aside)
        search = (*start, self.settings.saddle)
        (lower,) = yield [Subcalculation(find_saddle, search)]
        return lower

    def missed(self, saddle: Saddle) -> Calculation[Barrier]:
        """Say why there is no saddle; minima beside the highest image may help the next search."""
        near = self.near
        left, right = yield from self.quench(near.images[near.top - 1], near.images[near.top + 1])
        found = {"saddle": saddle, "beside": (left, right)}
        reason = f"the last saddle search stopped at {saddle.residual:.3f} eV/Å"
        ends = self.start, self.end
        if not all(any(same_place(self.matcher, point, end) for end in ends) for point in (left, right)):
            return self.result("split", f"{reason}; other minima lie beside the highest image", **found)
        if near.kinked:
            return self.result("kinked", f"the band turns back on itself, and {reason}", **found)
        return self.result("not converged", reason, **found)
