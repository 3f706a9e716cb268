"""A gap between two minima: how often it was searched, and the paths from which the next searches may begin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mapmpi.path.barrier import Barrier
from mapmpi.path.network import Gap
from mapmpi.path.quench import Minimum

ATTEMPTS = 6
"""How often a gap is searched, each time from another path."""


@dataclass
class Attempts:
    """The searches of one gap: how many were begun, whether one runs, why the last failed, and a path for the next.

    ``fresh`` tells that no search has begun from the path yet, ``direct`` that one began from the two minima alone.
    """

    begun: int = 0
    running: bool = False
    path: list[np.ndarray] | None = None
    fresh: bool = False
    direct: bool = False
    reason: str = ""

    @property
    def due(self) -> bool:
        """Whether a search is to be made when its turn comes."""
        return not self.running and (self.begun == 0 or (self.fresh and self.begun < ATTEMPTS))

    @property
    def closed(self) -> bool:
        """Whether the gap was searched in vain."""
        return not self.running and not self.due

    def try_directly(self) -> None:
        """Make a search from the two minima alone due, if there was none."""
        if not self.direct:
            self.path, self.fresh = None, True


def leads(
    gap: Gap, found: Gap, minima: tuple[Minimum, Minimum], barrier: Barrier
) -> Iterator[tuple[Gap, list[np.ndarray]]]:
    """Yield gaps and paths across them that a search has shown: by two minima, and on from there along its band.

    ``found`` are the numbers of these minima, first the one towards the gap's first minimum.
    """
    (first, last), (left, right) = found, minima
    top = 1 + int(np.argmax(barrier.energies[1:-1]))
    back, onward = _onward(left, barrier.band[:top][::-1])[::-1], _onward(right, barrier.band[top + 1 :])
    if first == last and first in gap:  # the pass is not here: go on from where the band comes down
        yield gap, onward if first == gap[0] else back
        return
    yield (gap[0], first), back
    yield (last, gap[1]), onward
    yield found, [*left.trail[::-1], *right.trail]


def _onward(minimum: Minimum, band: np.ndarray) -> list[np.ndarray]:
    """Return a path from a minimum to the images (m, n, 3) Å of a band that come after the pass it was reached from.

    Only the lower half of the trail is climbed, for the pass is known already; then the path goes over to the band
    where the two are nearest to each other.
    """
    energies = minimum.trail_energies
    low = energies <= 0.5 * (energies[0] + energies[-1])
    low[-1] = True  # the minimum itself, whatever noise there is in its energy
    up = minimum.trail[low][::-1]
    apart = np.array([[np.linalg.norm(place - image) for image in band] for place in up])
    leave, enter = np.unravel_index(np.argmin(apart), apart.shape)
    return [*up[: leave + 1], *band[enter:]]
