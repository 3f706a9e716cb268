"""The energy map: what the energy will be at a place, learned from places that were visited."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from mapmpi.search.prior import WORTH, Prior
from mapmpi.search.process import Process
from mapmpi.search.region import Region

REACH = 0.6
"""Å around a visited place within which the energy counts as known."""
NO_BOUNDS = np.empty((0, 4))
BOUNDED = 0.4
"""Å around a place within which a bound of the energy holds: the map is smoother than a wall is steep."""
WALL = 4.0
"""By which the asinh of the energy grows per Å that a place is closer to an atom than any that was visited."""
STEEPEST = 8.0
"""Largest asinh of an energy."""


class EnergyMap:
    """Energies in eV over the places of a region, from visited places.

    What is fitted is ``asinh`` of the energy in units of ``scale``: it leaves the order of heights as it is, which is
    all that a plan asks for, and keeps steep walls from ruling the fit. All visits count alike: a map that makes light
    of high ones forgets walls, promises too much, and leads to them again. What a ``prior`` knows counts as WORTH
    visits.
    """

    def __init__(self, region: Region, prior: Prior | None = None) -> None:
        self.region, self._prior = region, prior
        self._process = Process(region.features)
        self._features = self._process.scaled(region.features).astype(np.float32)
        self._tree = cKDTree(region.places)
        self._known: dict[bytes, list[np.ndarray]] = {}

    def fit(
        self,
        visited: np.ndarray,
        energies: np.ndarray,
        scale: float,
        bounds: np.ndarray = NO_BOUNDS,
        high: float = np.inf,
    ) -> None:
        """Learn from visited places (m, 3) Å, where the energies were (m,) eV.

        ``bounds`` (k, 4) are places in Å and how many eV the energy has there at least. None near by is lower than the
        least of them, for who came another way had it easier. From those of ``high`` eV on the process learns, too.
        """
        self.scale, region = scale, self.region
        self._bound(bounds)
        walls = bounds[bounds[:, 3] >= high]
        visited, energies = np.vstack([visited, walls[:, :3]]), np.concatenate([energies, walls[:, 3]])
        features, closest = self._surroundings(visited)
        if self._prior is not None:
            closest = np.minimum(closest, self._prior.distances.min(axis=0))
        self._wall = WALL * np.maximum(closest - region.closest, 0.0).sum(axis=1)
        self._lowest = float(np.arcsinh(energies.min() / scale))
        self._fit(self._process.scaled(features), energies / scale)
        self._mean = self._process.predict(self._features)
        pairs = self._tree.sparse_distance_matrix(cKDTree(visited), 2 * REACH, output_type="coo_matrix")
        near = np.exp(-0.5 * (pairs.data / REACH) ** 2)
        total = np.bincount(pairs.row, near, len(region))
        self._unknown = 1.0 / (1.0 + total)

    def _bound(self, bounds: np.ndarray) -> None:
        """Note what the energy is at least, (g,) eV."""
        near = self._tree.sparse_distance_matrix(cKDTree(bounds[:, :3]), BOUNDED, output_type="coo_matrix")
        least = np.full(len(self.region), np.inf)
        np.minimum.at(least, near.row, bounds[near.col, 3])
        self._least = np.where(np.isfinite(least), least, -np.inf)

    def _surroundings(self, visited: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what surrounds visited places (m, f), and the closest that any came to each element (elements,) Å.

        Those of earlier fits are kept.
        """
        keys = [place.tobytes() for place in visited]
        new = [row for row, key in enumerate(keys) if key not in self._known]
        if new:
            rows = self.region.describe(visited[new]), self.region.distances(visited[new])
            self._known |= {keys[row]: pair for row, *pair in zip(new, *rows, strict=True)}
        self._known = {key: self._known[key] for key in keys}
        features, distances = zip(*(self._known[key] for key in keys), strict=True)
        return np.array(features), np.min(distances, axis=0)

    def _fit(self, features: np.ndarray, energies: np.ndarray) -> None:
        """Fit the process to energies (m,) in units of the scale at scaled features, and to the prior."""
        worth = np.ones(len(energies))
        if (prior := self._prior) is not None:
            features = np.vstack([features, self._process.scaled(prior.features)])
            energies = np.concatenate([energies, prior.rises / self.scale])
            worth = np.concatenate([worth, np.full(len(prior.rises), WORTH / len(prior.rises))])
        self._process.fit(features, np.arcsinh(energies), worth)

    def energies(self, doubt: np.ndarray | float = 0.0) -> np.ndarray:
        """Return the energies at all places, (g,) eV.

        None lies lower than the lowest that was visited: nothing speaks for it. ``doubt`` (g,) is added to the asinh
        where nothing was visited.
        """
        mean = np.maximum(self._mean + doubt * self._unknown, self._lowest)
        return np.maximum(self.scale * np.sinh(np.minimum(mean + self._wall, STEEPEST)), self._least)
