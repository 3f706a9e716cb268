"""Segmentation of a pathway by its energy profile: the paper's way.

Mutually exclusive segments, each with two minima and one maximum between them. What the thermal noise and a
tethered molecule hide in such a profile only quenching finds: :mod:`mapmpi.path.basins`.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.signal import find_peaks


def _separate(energies: np.ndarray, tops: np.ndarray, prominence_ev: float) -> list[int]:
    """Leave out the later of two equal maxima that no valley of that depth separates.

    SciPy's prominence looks past a maximum of the same height. Between unequal ones it vouches for the valley.
    """
    kept: list[int] = []
    for top in map(int, tops):
        if kept:
            valley = energies[kept[-1] : top].min()
            if min(energies[kept[-1]], energies[top]) - valley < prominence_ev:
                continue
        kept.append(top)
    return kept


def profile_segments(energies: np.ndarray, prominence_ev: float) -> list[tuple[int, int, int]]:
    """Cut an energy profile into segments: the frames of a minimum, the next maximum, the next minimum.

    Segments share nothing but the minima where they meet. The maxima are the peaks of the profile (eV, one
    value a frame) that stand out by ``prominence_ev`` (scipy.signal.find_peaks); the minima are the lowest
    frames before, between and after them, so an end of the path counts where the profile rises from it. A
    descent before the first minimum and a rise after the last belong to no segment, and a monotone profile has
    none. Raises ValueError for an energy that is not a number and for a prominence that is not positive.
    """
    energies = np.asarray(energies, dtype=float)
    if energies.ndim != 1 or not np.isfinite(energies).all():
        raise ValueError("the energies must be one finite number a frame")
    if not prominence_ev > 0:
        raise ValueError(f"the prominence is {prominence_ev} eV; it must be positive")
    tops = _separate(energies, find_peaks(energies, prominence=prominence_ev)[0], prominence_ev)
    if not tops:
        return []
    borders = [0, *tops, len(energies) - 1]
    minima = [left + int(np.argmin(energies[left : right + 1])) for left, right in pairwise(borders)]
    return list(zip(minima[:-1], tops, minima[1:], strict=True))
