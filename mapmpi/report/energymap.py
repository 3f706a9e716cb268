"""The energy map that a planned training has learned, made again from its last checkpoint, and the paths over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial import cKDTree

from mapmpi.config import Config
from mapmpi.errors import UserError, why
from mapmpi.path.pathway import Pathway
from mapmpi.report.stored import tagged_centers
from mapmpi.search.energymap import EnergyMap
from mapmpi.search.planner import MOST_VISITS
from mapmpi.search.prior import Prior
from mapmpi.search.region import Region
from mapmpi.store.ancestry import best_first
from mapmpi.store.checkpoint import Checkpoints
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.trajectory import start_structure
from mapmpi.store.wholepath import WholePaths
from mapmpi.structures.inputs import check_atoms
from mapmpi.train.guidance import make_region

KNOWN = 1.2
"""Å from a visited place up to which the map is more than a guess."""
MOST_PATHS = 5

_PART = "guidance."


@dataclass(frozen=True)
class Line:
    """A path over the map: places (k, 3) Å in the goal's frame, from the start."""

    name: str
    places: np.ndarray
    refined: bool


@dataclass(frozen=True)
class Map:
    """The map as it was fitted: energies (a, b, c) eV above the start at a region's places, forward and twice across.

    ``places`` (m, 3) Å are the visits that it rests on, of ``visits`` in all; ``scale`` in eV is that of the fit's
    asinh; ``best`` is the climb of the best path in eV (infinite before one arrived); ``believed`` tells that the
    training explored by it to the end; ``lines`` are paths over it.
    """

    region: Region
    energies: np.ndarray
    places: np.ndarray
    visits: int
    scale: float
    best: float
    believed: bool
    lines: Sequence[Line] = ()

    @cached_property
    def ticks(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The coordinates in Å of its places along each axis of the goal's frame, from the start."""
        grid = self._local(self.region.places).reshape(*self.region.shape, 3)
        return grid[:, 0, 0, 0], grid[0, :, 0, 1], grid[0, 0, :, 2]

    @cached_property
    def known(self) -> np.ndarray:
        """Where it is more than a guess, (a, b, c) bool."""
        apart = cKDTree(self.places).query(self.region.places, distance_upper_bound=KNOWN)[0]
        return np.isfinite(apart).reshape(self.region.shape)

    @property
    def height(self) -> float:
        """The climb of the best path in eV, or that of the barriers where no path has arrived."""
        return self.best if 0 < self.best < np.inf else self.scale

    def at(self, places: np.ndarray) -> np.ndarray:
        """Return the energies (m,) eV at places (m, 3) Å, NaN outside the region.

        Between the places of the grid the asinh of the energy, which is what was fitted, is linear along each axis.
        """
        fitted = np.arcsinh(self.energies / self.scale)
        among = RegularGridInterpolator(self.ticks, fitted, bounds_error=False, fill_value=np.nan)
        return self.scale * np.sinh(among(self._local(places)))

    def line(self, name: str, places: np.ndarray, refined: bool = False) -> Line:
        """Return a path over it from places (k, 3) Å."""
        return Line(name, self._local(places), refined)

    def _local(self, places: np.ndarray) -> np.ndarray:
        """Return places (m, 3) Å in the goal's frame, from the start."""
        return (places - self.region.start) @ self.region.axes.T


def learned_map(directory: RunDirectory, config: Config, arrays: Mapping[str, np.ndarray]) -> Map | None:
    """Return the map that the ``arrays`` of a checkpoint know; None without one (another exploration, no visit).

    Raises UserError where they are damaged or do not fit the run.
    """
    if config.exploration.kind != "planned" or f"{_PART}visited" not in arrays:
        return None
    atoms = start_structure(directory)
    check_atoms(directory.config, config, atoms)
    try:
        visited = np.asarray(arrays[f"{_PART}visited"], dtype=float)
        best = float(arrays[f"{_PART}best"])
        believed = bool(arrays[f"{_PART}mapped"])
        scale = float(arrays[f"{_PART}scale"])
        atoms.positions[:] = arrays[f"{_PART}positions"]
        if visited.ndim != 2 or visited.shape[1] != 4 or not np.isfinite(visited).all() or not 0 < scale < 1e6:
            raise ValueError("its visits are no numbers")
        if not len(visited):
            return None
        region = make_region(config, atoms)
        found = EnergyMap(region, _prior(config, region))
        places = visited[-MOST_VISITS:, :3]
        bounds = np.asarray(arrays.get(f"{_PART}bounds", np.empty((0, 4))), dtype=float).reshape(-1, 4)
        found.fit(places, visited[-MOST_VISITS:, 3], scale, bounds, best)
        energies = found.energies().reshape(region.shape)
        return Map(region, energies, places, len(visited), scale, best, believed)
    except (LookupError, ValueError, TypeError, ArithmeticError, np.linalg.LinAlgError) as error:
        raise UserError(
            f"{directory.checkpoints}: no energy map can be made of the last checkpoint ({why(error)})."
        ) from None


def read_map(directory: RunDirectory, config: Config, refined: Sequence[Pathway]) -> Map | None:
    """Return the map of a training; None where there is none (no checkpoint, another exploration).

    Raises UserError where the checkpoint is damaged or does not fit the run.
    """
    if config.exploration.kind != "planned" or not directory.trajectory_files():
        return None
    checkpoint = Checkpoints(directory.checkpoints).newest()
    if checkpoint is None or (learned := learned_map(directory, config, checkpoint.arrays)) is None:
        return None
    refinement = [learned.line(one.name, tagged_centers(one), refined=True) for one in refined[:1]]
    return replace(learned, lines=[*_trained(directory, learned), *refinement])


def _prior(config: Config, region: Region) -> Prior | None:
    """Return the prior of the training where its file is still there and fits."""
    file = config.exploration.prior
    if file is None or not file.is_file():
        return None
    prior = Prior.load(file)
    return prior if prior.suits(region) else None


def _trained(directory: RunDirectory, learned: Map) -> list[Line]:
    """Return the best whole paths of the training."""
    paths = WholePaths(directory.trajectory_files())
    lines = []
    for row in best_first(paths.episodes)[:MOST_PATHS]:
        agent, episode = int(row["agent"]), int(row["episode"])
        try:
            places = paths.path(agent, episode).tagged_position
        except UserError:  # an orphan by its energies
            continue
        lines.append(learned.line(f"agent {agent} episode {episode}", places))
    return lines
