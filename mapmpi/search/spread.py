"""Whether energy is a function of the place: by how much it differs between visits to the same one."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

REPEATED, ALIKE, FEWEST_PAIRS = 0.2, 0.05, 100
"""Å between places of which one is the other visited again, and within which their distance says nothing; the
fewest pairs that tell: of fewer a few on a steep wall would pass for spread."""


def spread(places: np.ndarray, energies: np.ndarray) -> float:
    """Return the standard deviation of the energies at one place, in eV, from energies (m,) at places (m, 3) Å.

    It is the nugget of the variogram: half the mean square of a difference grows with the square of the distance by
    what the slopes are, and what is left of it at none is the spread (Cressie, *Statistics for Spatial Data*, 1993,
    section 2.3). NaN where too few places were visited again.
    """
    if len(places) < 2:
        return np.nan
    pairs = cKDTree(places).query_pairs(REPEATED, output_type="ndarray")
    if len(pairs) < FEWEST_PAIRS:
        return np.nan
    one, other = pairs.T
    squares = ((places[one] - places[other]) ** 2).sum(axis=1)
    certain = 1.0 / (squares + ALIKE**2)  # the scatter of a square grows with its mean
    terms = np.stack([np.ones(len(pairs)), squares], axis=1) * certain[:, None]
    halves = 0.5 * (energies[one] - energies[other]) ** 2 * certain
    return float(np.sqrt(max(np.linalg.lstsq(terms, halves)[0][0], 0.0)))
