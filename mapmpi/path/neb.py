"""The nudged elastic band: images between two minima relax across the path, the highest climbs along it.

G. Henkelman, B. P. Uberuaga and H. Jónsson, J. Chem. Phys. 113, 9901 (2000), with the improved tangents of ibid.
9978, in the metric of a stiffness matrix (S. Makri, C. Ortner and J. R. Kermode, ibid. 150, 094109 (2019)).
"""

from __future__ import annotations

import numpy as np

from mapmpi.calculation import Calculation
from mapmpi.md.engine import largest_force
from mapmpi.path.band import path_lengths, place_along, tangents
from mapmpi.path.preconditioner import Metric
from mapmpi.path.quench import LimitedMemory, clipped

FIRST_TRUST, LARGEST_TRUST, SMALLEST_TRUST = 0.1, 0.3, 0.03
"""Longest step of an atom of an image in Å."""
CLIMB_BELOW = 1.0
"""eV/Å: the highest image climbs once the forces across the path are below this."""


class Band:
    """A band (m, n, 3) Å on its way to the minimum energy path; energies (m,) eV, gradients (m, n, 3) eV/Å.

    The ends, whose energies (2,) eV are given, never move, and their gradients count as zero.
    """

    def __init__(self, images: np.ndarray, end_energies: tuple[float, float], metric: Metric) -> None:
        self.images, self.metric = images.copy(), metric
        self.energies = np.full(len(images), np.nan)
        self.energies[[0, -1]] = end_energies
        self.gradients = np.zeros_like(images)
        self.climbing = False
        self._memory, self._trust = LimitedMemory(metric), FIRST_TRUST

    @property
    def computed(self) -> bool:
        """Whether the energies of all images are known."""
        return bool(np.isfinite(self.energies).all())

    @property
    def top(self) -> int:
        """The number of the highest inner image."""
        return 1 + int(np.argmax(self.energies[1:-1]))

    @property
    def tangent(self) -> np.ndarray:
        """The tangent (n, 3) at the highest image, of unit length."""
        tangent = tangents(self.images, self.energies)[self.top - 1]
        return tangent / np.linalg.norm(tangent)

    @property
    def kinked(self) -> bool:
        """Whether the band turns back on itself at some image, by more than a right angle."""
        moves = np.diff(self.images, axis=0)
        return bool(((moves[1:] * moves[:-1]).sum(axis=(1, 2)) < 0).any())

    def compute(self) -> Calculation[None]:
        """Ask for the forces on all inner images."""
        answers = yield list(self.images[1:-1])
        self.energies[1:-1] = [answer.energy for answer in answers]
        self.gradients = np.zeros_like(self.images)
        self.gradients[1:-1] = [-answer.forces for answer in answers]

    def focus(self, width: float, images: int, metric: Metric) -> Band:
        """Return a new band of ``images`` images (an odd number) within ``width`` Å of the highest, on both sides.

        Its ends are points of this band, where they stay; their energies are interpolated.
        """
        lengths = path_lengths(self.images)
        top, half = lengths[self.top], images // 2
        before = np.linspace(max(0.0, top - width), top, half + 1)
        behind = np.linspace(top, min(lengths[-1], top + width), half + 1)
        places = np.concatenate([before[:-1], behind])
        first, last = np.interp(places[[0, -1]], lengths, self.energies)
        return Band(place_along(self.images, places), (float(first), float(last)), metric)

    def nudged(self) -> np.ndarray:
        """Return the nudged gradients (m, n, 3) eV/Å, all projections in the metric.

        The springs make neighbouring images equally distant; the climbing image feels its true gradient with
        the part along the path turned around.
        """
        nudged, top = np.zeros_like(self.images), self.top
        moves = np.diff(self.images, axis=0)
        for image, tangent in enumerate(tangents(self.images, self.energies), start=1):
            tangent = tangent / self.metric.length(tangent)
            stiff, gradient = self.metric.times(tangent), self.gradients[image]
            along = (tangent * gradient).sum()
            if image == top:
                self.climbing |= largest_force(gradient - along * stiff) < CLIMB_BELOW
            if image == top and self.climbing:
                nudged[image] = gradient - 2 * along * stiff
            else:
                stretch = self.metric.length(moves[image]) - self.metric.length(moves[image - 1])
                nudged[image] = gradient - (along + stretch) * stiff
        return nudged

    def relax(self, force: float, iterations: int) -> Calculation[bool]:
        """Relax until the highest image feels less than ``force`` eV/Å; return whether it came to that.

        L-BFGS over all images at once. Steps get shorter when the nudged gradient grows; one that makes it three
        times as large is taken back. A later call goes on with what this one has learned.
        """
        if not self.computed:
            yield from self.compute()
        for _ in range(iterations):
            if largest_force(self.gradients[self.top]) < force:
                return True
            yield from self._step()
        return largest_force(self.gradients[self.top]) < force

    def _step(self) -> Calculation[None]:
        """Move all images once."""
        old, nudged = (self.images, self.energies, self.gradients), self.nudged()
        step = clipped(self._memory.descend(nudged), self._trust)
        self.images, self.energies = self.images + step, self.energies.copy()
        yield from self.compute()
        new = self.nudged()
        self._memory.learn(step, new - nudged)
        growth = self.metric.force_length(new) / self.metric.force_length(nudged)
        if growth > 1.3:
            self._trust = max(0.5 * largest_force(step), SMALLEST_TRUST)
        elif growth < 1.0:
            self._trust = min(1.2 * self._trust, LARGEST_TRUST)
        if growth > 3.0 and largest_force(step) > SMALLEST_TRUST:
            self.images, self.energies, self.gradients = old
