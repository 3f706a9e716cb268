"""A prior for the energy map: what other trainings, in other structures of the same elements, saw of places."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from mapmpi.errors import UserError
from mapmpi.search.region import CENTERS, CUTOFF, WIDTH, Region
from mapmpi.store.arrays import read_archive, write_archive
from mapmpi.store.files import replace_file

WORTH = 50.0
"""Visits of the training itself as which all of a prior counts."""
MOST_PLACES = 2000
"""Places that a prior holds."""
_FEATURES = np.array([*CENTERS, WIDTH, CUTOFF])


@dataclass(frozen=True)
class Prior:
    """Surroundings of m visited places, and the energies there.

    elements (e,) atomic numbers of the host's; features (m, f) and distances (m, e) Å as a Region describes them;
    rises (m,) eV above the start of each place's own training.
    """

    elements: np.ndarray
    features: np.ndarray
    distances: np.ndarray
    rises: np.ndarray

    @classmethod
    def of(cls, regions: list[Region], visited: list[np.ndarray]) -> Prior:
        """Return the prior from visits (m, 4; place in Å, rise in eV) to regions of the same elements, evenly thinned.

        Raises ValueError for regions of different elements.
        """
        elements = {tuple(region.elements) for region in regions}
        if len(elements) != 1:
            raise ValueError(f"structures of different elements: {sorted(elements)}")
        share = MOST_PLACES // len(regions)
        some = [
            rows[np.unique(np.linspace(0, len(rows) - 1, min(share, len(rows))).astype(int))] for rows in visited
        ]
        described = [region.describe(rows[:, :3]) for region, rows in zip(regions, some, strict=True)]
        distances = [region.distances(rows[:, :3]) for region, rows in zip(regions, some, strict=True)]
        rises = np.concatenate([rows[:, 3] for rows in some])
        return cls(np.array(regions[0].elements), np.concatenate(described), np.concatenate(distances), rises)

    @property
    def symbols(self) -> str:
        """Symbols of the elements, for people."""
        return ", ".join(chemical_symbols[number] for number in self.elements)

    def suits(self, region: Region) -> bool:
        """Return whether a region is of the same elements."""
        return self.elements.tolist() == region.elements

    def save(self, file: Path) -> None:
        """Write it in place of an old one. Raises OSError."""
        arrays = {"elements": self.elements, "features": self.features, "distances": self.distances.astype("f4"),
                  "rises": self.rises.astype("f4"), "kind": _FEATURES}  # fmt: skip
        replace_file(file, lambda handle: write_archive(handle, arrays, {}))

    @classmethod
    def load(cls, file: Path) -> Prior:
        """Read one. Raises UserError."""
        try:
            with open(file, "rb") as handle:
                arrays, _ = read_archive(handle)
            prior = cls(*(arrays[name] for name in ("elements", "features", "distances", "rises")))
            places, elements = len(prior.rises), len(prior.elements)
            shapes = ((places, len(CENTERS) * elements), (places, elements))
            if not places or not set(prior.elements.tolist()) <= set(range(1, len(chemical_symbols))):
                raise ValueError("no places, or no elements")
            if (prior.features.shape, prior.distances.shape) != shapes or not np.array_equal(
                arrays["kind"], _FEATURES
            ):
                raise ValueError("other features")
            if not all(np.isfinite(array).all() for array in (prior.features, prior.distances, prior.rises)):
                raise ValueError("not numbers")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"exploration.prior: {file} is no prior of this version ({error}); make it anew with python -m "
                "mapmpi.train.prior."
            ) from None
        return prior
