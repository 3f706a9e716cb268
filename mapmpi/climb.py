"""The measure of a path: the largest rise of the energy from any earlier low point of the whole path.

Both phases rank paths by it. It is the barrier that the path would have to cross at least if its profile were free of
thermal noise, and it can be carried on from any point of the path with four numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Heights:
    """What must be known of a path's energies so far to go on with them; all in eV."""

    first: float
    """At the start of the whole path."""
    low: float
    """The lowest so far."""
    high: float
    """The highest so far."""
    climb: float
    """The largest rise so far from any earlier point; 0 if the energy only fell."""

    @classmethod
    def of(cls, energies: np.ndarray | float) -> Heights:
        """Return those of a path from its start, energies (f,) eV or one. Raises ValueError where there are none."""
        energies = np.atleast_1d(energies)
        if not len(energies):
            raise ValueError("a path without energies has no heights")
        first = float(energies[0])
        return cls(first, first, first, 0.0).after(energies)

    def after(self, energies: np.ndarray | float) -> Heights:
        """Return those after more energies (f,) eV, or one; the last one again, or none, changes nothing."""
        energies = np.atleast_1d(np.asarray(energies, dtype=float))
        if not len(energies):
            return self
        lows = np.minimum(np.minimum.accumulate(energies), self.low)
        return Heights(
            first=self.first,
            low=float(lows[-1]),
            high=max(self.high, float(energies.max())),
            climb=max(self.climb, float((energies - lows).max())),
        )

    @property
    def rise(self) -> float:
        """The highest energy so far above the start's."""
        return self.high - self.first


def largest_rise(energies: np.ndarray) -> tuple[int, int]:
    """Return the frames (low, top) between which a path's energies (f,) eV make their climb, the first such two.

    Both are 0 where the energy only falls. Raises ValueError where there are no energies.
    """
    energies = np.asarray(energies, dtype=float)
    if not len(energies):
        raise ValueError("a path without energies has no rise")
    rises = energies - np.minimum.accumulate(energies)
    top = int(rises.argmax())
    return int(energies[: top + 1].argmin()), top
