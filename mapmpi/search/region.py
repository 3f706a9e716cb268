"""The region that a plan covers: a grid of places between the start and the goal plane, and what surrounds each."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from ase import Atoms
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

SPACING = 0.4
"""Å between places, where there are not too many of them."""
MOST_PLACES = 300_000
BEHIND, BEYOND = 3.0, 1.0
"""Å that the region reaches behind the start and past the goal plane."""
NARROWEST = 8.0
"""Å that it reaches to either side, at least, in a cell that is so wide."""
FIELD = 2.0
"""Å within which random fields are alike."""
CENTERS = np.linspace(1.0, 4.6, 10)
WIDTH, CUTOFF = 0.4, 5.5
"""Å: Gaussians of the distance, and where they end smoothly."""


class Region:
    """Places on a grid along the goal frame ``axes`` (3, 3; rows forward, across, across), centered at ``start``.

    The region is as wide as the cell (or as the way is long, if that is less), so it holds every place once, and it
    does not stop at the cell's faces: what surrounds a place is found through periodic boundaries.

    places (g, 3) Å; forward (g,) Å along the goal direction from the start.
    """

    def __init__(self, atoms: Atoms, start: np.ndarray, axes: np.ndarray, distance: float) -> None:
        self.start, self.axes, self.distance = np.asarray(start, dtype=float), axes, distance
        extents = np.abs(axes @ atoms.cell.array.T).sum(axis=1) / 2.0
        across = np.minimum(extents[1:], max(distance, NARROWEST))
        sizes = np.array([BEHIND + distance + BEYOND, *(2.0 * across)])
        self.spacing = max(SPACING, float((sizes.prod() / MOST_PLACES) ** (1.0 / 3.0)))
        self.shape = tuple(int(np.ceil(size / self.spacing)) + 1 for size in sizes)
        self._low = np.array([-BEHIND, *(-across)])
        steps = np.stack(np.meshgrid(*map(np.arange, self.shape), indexing="ij"), axis=-1).reshape(-1, 3)
        local = self._low + steps * self.spacing
        self.forward = local[:, 0]
        self.places = self.start + local @ axes
        self.elements: list[int] = sorted(set(atoms.numbers.tolist()))
        """Atomic numbers of what surrounds the places, in order."""
        self._trees = [_with_images(atoms, atoms.numbers == number) for number in self.elements]
        self._cell, self._inverse, self._pbc = atoms.cell.array, np.linalg.inv(atoms.cell.array), atoms.pbc

    def prepare(self) -> None:
        """Compute now what the first plan would take a second for."""
        _ = self.features, self.closest, self.edges

    def __len__(self) -> int:
        return len(self.places)

    def nearest(self, places: np.ndarray) -> np.ndarray:
        """Return the index of the place on the grid that is nearest to each of (m, 3) Å, shape (m,)."""
        local = (np.atleast_2d(places) - self.start) @ self.axes.T
        steps = np.rint((local - self._low) / self.spacing).astype(int)
        return np.ravel_multi_index(tuple(steps.T), self.shape, mode="clip")

    @cached_property
    def features(self) -> np.ndarray:
        """What surrounds each place, (g, f) float32."""
        return self.describe(self.places)

    def describe(self, places: np.ndarray) -> np.ndarray:
        """Return what surrounds each of (m, 3) Å in the structure at the start, (m, f) float32.

        For each element, sums of Gaussians of the distances to its atoms: what pair forces would make of a place.
        """
        own, columns = cKDTree(self._wrapped(places)), []
        for tree in self._trees:
            pairs = own.sparse_distance_matrix(tree, CUTOFF, output_type="coo_matrix")
            distances = pairs.data
            smooth = 0.5 * (1.0 + np.cos(np.pi * distances / CUTOFF))
            for center in CENTERS:
                values = np.exp(-0.5 * ((distances - center) / WIDTH) ** 2) * smooth
                columns.append(csr_array((values, (pairs.row, pairs.col)), shape=pairs.shape).sum(axis=1))
        return np.stack(columns, axis=1).astype(np.float32)

    @cached_property
    def closest(self) -> np.ndarray:
        """The distance of each place from the closest atom of each element, (g, elements) Å."""
        return self.distances(self.places)

    def random_field(self, seed: int) -> np.ndarray:
        """Return random numbers at the places, (g,), of variance 1 and alike within FIELD Å; the same for a seed."""
        noise = np.random.default_rng(seed).normal(size=self.shape)
        smooth = gaussian_filter(noise, FIELD / self.spacing, mode="wrap").ravel()
        return smooth / smooth.std()

    def distances(self, places: np.ndarray) -> np.ndarray:
        """Return the distance of each of (m, 3) Å from the closest atom of each element, (m, elements) Å."""
        wrapped = self._wrapped(places)
        return np.stack([tree.query(wrapped)[0] for tree in self._trees], axis=1)

    def _wrapped(self, places: np.ndarray) -> np.ndarray:
        """Return places (m, 3) Å, or one (3,), as (m, 3) in the cell."""
        fractional = np.atleast_2d(places) @ self._inverse
        return (fractional - np.where(self._pbc, np.floor(fractional), 0.0)) @ self._cell

    @cached_property
    def edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of neighbouring places (26 neighbours each, a pair once): two index arrays, and lengths in Å."""
        index = np.arange(len(self)).reshape(self.shape)
        firsts, seconds, lengths = [], [], []
        for step in np.ndindex(3, 3, 3):
            move = np.array(step) - 1
            if tuple(move) <= (0, 0, 0):
                continue
            near, far = (
                tuple(
                    slice(max(0, sign * -m), n - max(0, sign * m)) for m, n in zip(move, self.shape, strict=True)
                )
                for sign in (1, -1)
            )
            firsts.append(index[near].ravel())
            seconds.append(index[far].ravel())
            lengths.append(np.full(firsts[-1].size, np.linalg.norm(move) * self.spacing))
        return np.concatenate(firsts), np.concatenate(seconds), np.concatenate(lengths)


def _with_images(atoms: Atoms, chosen: np.ndarray) -> cKDTree:
    """Return the chosen (n,) of the atoms and their periodic images within CUTOFF of the cell."""
    fractional = atoms.get_scaled_positions(wrap=True)[chosen]
    margin = CUTOFF * np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
    counts = np.where(atoms.pbc, np.ceil(margin), 0).astype(int)
    ranges = [np.arange(-count, count + 1) for count in counts]
    shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    images = (fractional[None] + shifts[:, None]).reshape(-1, 3)
    inside = ((images >= -margin) & (images <= 1.0 + margin)) | ~atoms.pbc
    return cKDTree(images[inside.all(axis=1)] @ atoms.cell.array)
