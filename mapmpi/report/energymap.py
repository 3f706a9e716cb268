"""The energy map that a planned training has learned, made again from its last checkpoint, and the paths over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
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
    """Energies in eV above the start on a grid of places in the goal's frame: forward, and two ways across.

    energies (a, b, c), known (a, b, c) bool; ticks are the coordinates in Å along each axis; ``height`` is the climb
    of the best path in eV, or that of the barriers where no path has arrived. ``believed`` tells that the training
    explored by it to the end.
    """

    energies: np.ndarray
    known: np.ndarray
    ticks: tuple[np.ndarray, np.ndarray, np.ndarray]
    height: float
    distance: float
    visits: int
    believed: bool
    lines: list[Line]


@dataclass(frozen=True)
class Learned:
    """The map as it was fitted: energies (g,) eV above the start at the places of a region.

    ``places`` (m, 3) Å are the visits that it rests on, of ``visits`` in all; ``scale`` in eV is that of the fit's
    asinh; ``best`` is the climb of the best path in eV (infinite before one arrived).
    """

    region: Region
    energies: np.ndarray
    places: np.ndarray
    visits: int
    scale: float
    best: float
    believed: bool

    def at(self, places: np.ndarray) -> np.ndarray:
        """Return the energies (m,) eV at places (m, 3) Å, NaN outside the region.

        Between the places of the grid the asinh of the energy, which is what was fitted, is linear along each axis.
        """
        region = self.region
        ticks = [axis - axis[0] for axis in _ticks(region)]
        local = (places - region.places[0]) @ region.axes.T
        fitted = np.arcsinh(self.energies / self.scale).reshape(region.shape)
        among = RegularGridInterpolator(ticks, fitted, bounds_error=False, fill_value=np.nan)
        return self.scale * np.sinh(among(local))


def _ticks(region: Region) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the coordinates in Å of a region's places along each axis of the goal's frame, from the start."""
    grid = ((region.places - region.start) @ region.axes.T).reshape(*region.shape, 3)
    return grid[:, 0, 0, 0], grid[0, :, 0, 1], grid[0, 0, :, 2]


def learned_map(directory: RunDirectory, config: Config, arrays: Mapping[str, np.ndarray]) -> Learned | None:
    """Return the map that the ``arrays`` of a checkpoint know; None without one (another exploration, no visit).

    Raises UserError where they are damaged or do not fit the run.
    """
    if config.exploration.kind != "planned" or f"{_PART}visited" not in arrays:
        return None
    atoms = start_structure(directory)
    _check_ids(config, atoms)
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
        places, rises = visited[-MOST_VISITS:, :3], visited[-MOST_VISITS:, 3]
        found.fit(places, rises, scale)
        energies = found.lower_bound(0.0)
        return Learned(region, energies, places, len(visited), scale, best, believed)
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
    region = learned.region
    apart = cKDTree(learned.places).query(region.places, distance_upper_bound=KNOWN)[0]
    refinement = [
        Line(one.name, (tagged_centers(one) - region.start) @ region.axes.T, True) for one in refined[:1]
    ]
    return Map(
        energies=learned.energies.reshape(region.shape),
        known=np.isfinite(apart).reshape(region.shape),
        ticks=_ticks(region),
        height=learned.best if 0 < learned.best < np.inf else learned.scale,
        distance=region.distance,
        visits=learned.visits,
        believed=learned.believed,
        lines=[*_trained(directory, region), *refinement],
    )


def _check_ids(config: Config, atoms: Atoms) -> None:
    if max(*config.structure.tagged_atoms, *config.structure.molecule) > len(atoms):
        raise UserError(f"config.yaml: structure.tagged_atoms: the trajectories have {len(atoms)} atoms.")


def _prior(config: Config, region: Region) -> Prior | None:
    """Return the prior of the training where its file is still there and fits."""
    file = config.exploration.prior
    if file is None or not file.is_file():
        return None
    prior = Prior.load(file)
    return prior if prior.suits(region) else None


def _trained(directory: RunDirectory, region: Region) -> list[Line]:
    """Return the best whole paths of the training."""
    paths = WholePaths(directory.trajectory_files())
    lines = []
    for row in best_first(paths.episodes)[:MOST_PATHS]:
        agent, episode = int(row["agent"]), int(row["episode"])
        try:
            places = paths.path(agent, episode).tagged_position
        except UserError:  # an orphan by its energies
            continue
        lines.append(Line(f"agent {agent} episode {episode}", (places - region.start) @ region.axes.T, False))
    return lines
