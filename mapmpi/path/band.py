"""Bands of images between two minima: the first guess, the tangents, the number of images.

A band is an array (m, n, 3) Å of m images of n atoms, unwrapped; image 0 and image m-1 are the minima.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.geometry import find_mic
from ase.neighborlist import neighbor_list
from scipy.optimize import minimize
from scipy.sparse import csr_array

from mapmpi.calculation import Calculation
from mapmpi.config import BandSettings
from mapmpi.md.fixed import is_fixed

IDPP_REACH = 5.0
"""Å: pairs nearer than this in one of the ends shape the interpolation."""


def difference(first: np.ndarray, second: np.ndarray, pbc: np.ndarray, held: bool = False) -> np.ndarray:
    """Return the displacements (n, 3) Å from ``first`` to ``second``, without a translation of all atoms.

    No force opposes such a translation where all directions are periodic, and no atom is fixed (``held``). Atoms are
    in one continuous labelling, unwrapped: a molecule may be farther from its start than half the cell.
    """
    apart = second - first
    return apart - apart.mean(axis=0) if all(pbc) and not held else apart


def without_drift(images: Sequence[np.ndarray] | np.ndarray, atoms: Atoms) -> np.ndarray:
    """Return a band (m, n, 3) Å of images that follow each other without a translation of all atoms."""
    band, held = [np.asarray(images[0], dtype=float)], bool(is_fixed(atoms).any())
    for image in images[1:]:
        band.append(band[-1] + difference(band[-1], image, atoms.pbc, held))
    return np.array(band)


def path_lengths(band: np.ndarray) -> np.ndarray:
    """Return the length (m,) Å of the path, in all 3n coordinates, from image 0 to each image."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(band, axis=0), axis=(1, 2)))])


def images_for(length: float, settings: BandSettings) -> int:
    """Return how many images, with the ends, a path of ``length`` Å gets, at least 5."""
    return int(np.clip(round(length / settings.spacing) + 1, 5, settings.images))


def resample(frames: Sequence[np.ndarray] | np.ndarray, images: int, atoms: Atoms) -> np.ndarray:
    """Return a band of so many images, equally spaced along the polyline of ``frames``, each (n, 3) Å."""
    band = without_drift(frames, atoms)
    band = band[np.concatenate([[True], np.diff(path_lengths(band)) > 1e-9])]
    return place_along(band, np.linspace(0.0, path_lengths(band)[-1], images))


def place_along(band: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the points (k, n, 3) Å of the polyline of a band (m, n, 3) at ``places`` (k,) Å from its start."""
    lengths = path_lengths(band)
    right = np.clip(np.searchsorted(lengths, places), 1, len(lengths) - 1)
    share = (places - lengths[right - 1]) / (lengths[right] - lengths[right - 1])
    return band[right - 1] + share[:, None, None] * (band[right] - band[right - 1])


def interpolate(start: np.ndarray, end: np.ndarray, images: int, atoms: Atoms) -> np.ndarray:
    """Return the first band between two configurations (n, 3) Å by image-dependent pair potentials.

    Every image is brought as near as possible to distances between atoms that change linearly from end to end,
    short distances weighing most: S = Σ (d_ij - d_ij(target))²/d_ij(target)⁴ (Smidstrup et al., J. Chem. Phys.
    140, 214106 (2014)); fixed atoms stay, and in the end the images are equally spaced.
    """
    band, mobile = resample([start, end], images, atoms), ~is_fixed(atoms)[:, None]
    pairs = _near_pairs(band[[0, -1]], atoms)
    apart = pairs @ band[0]
    shift = apart - find_mic(apart, atoms.cell, atoms.pbc)[0]  # the image a pair has at the start it keeps
    ends = [np.linalg.norm(pairs @ image - shift, axis=1) for image in (band[0], band[-1])]

    def misfit(flat: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        vectors = pairs @ flat.reshape(start.shape) - shift
        distances = np.linalg.norm(vectors, axis=1) + 1e-12
        off, weight = distances - target, target**-4
        pull = (2 * weight * off / distances)[:, None] * vectors
        return float((weight * off**2).sum()), (mobile * (pairs.T @ pull)).ravel()

    for number in range(1, images - 1):
        share = number / (images - 1)
        target = (1 - share) * ends[0] + share * ends[1]
        found = minimize(misfit, band[number].ravel(), (target,), "L-BFGS-B", jac=True, options={"maxiter": 200})
        band[number] = found.x.reshape(start.shape)
    return resample(list(band), images, atoms)


def interpolation(start: np.ndarray, end: np.ndarray, images: int, atoms: Atoms) -> Calculation[np.ndarray]:
    """Return what :func:`interpolate` does, as a calculation: it asks for no forces, but somebody has to do it."""
    yield from ()
    return interpolate(start, end, images, atoms)


def _near_pairs(ends: np.ndarray, atoms: Atoms) -> csr_array:
    """Return the matrix (pairs, n) of differences between atoms that are near in one of the ends (2, n, 3) Å."""
    structures = [Atoms(atoms.numbers, positions, cell=atoms.cell, pbc=atoms.pbc) for positions in ends]
    near = np.hstack([neighbor_list("ij", structure, IDPP_REACH) for structure in structures]).T
    pairs = np.unique(near[near[:, 0] < near[:, 1]], axis=0)
    signs = np.tile([1.0, -1.0], len(pairs))
    return csr_array((signs, pairs.ravel(), np.arange(0, pairs.size + 1, 2)), shape=(len(pairs), len(atoms)))


def tangents(band: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """Return the improved tangents (m-2, n, 3) at the inner images, not normalized.

    Upwind, and at extrema the mean weighted by the energy differences (Henkelman and Jónsson, J. Chem. Phys.
    113, 9978 (2000), equations 8 to 11).
    """
    forward, backward = band[2:] - band[1:-1], band[1:-1] - band[:-2]
    rise, fall = energies[2:] - energies[1:-1], energies[:-2] - energies[1:-1]
    largest = np.maximum(abs(rise), abs(fall))
    smallest = np.minimum(abs(rise), abs(fall))
    higher_ahead = energies[2:] > energies[:-2]
    ahead = np.where(higher_ahead, largest, smallest)
    behind = np.where(higher_ahead, smallest, largest)
    monotonic_up, monotonic_down = (rise > 0) & (fall <= 0), (rise <= 0) & (fall > 0)
    ahead = np.where(monotonic_up, 1.0, np.where(monotonic_down, 0.0, ahead + 1e-12))
    behind = np.where(monotonic_up, 0.0, np.where(monotonic_down, 1.0, behind + 1e-12))
    return ahead[:, None, None] * forward + behind[:, None, None] * backward
