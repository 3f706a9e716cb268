"""What an agent sees: the density of the atoms around it on a cubic grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from mapmpi.config import Config, StateGrid
from mapmpi.env.actions import action_vectors
from mapmpi.md.engine import LocalAtoms, element_order

TAIL = 4.0
"""Standard deviations after which an atom's Gaussian (3e-4 of its peak) is left out."""


class Surroundings:
    """Finds the atoms near a point, through periodic boundaries, whatever the shape of the cell.

    cell (3, 3) Å, rows are the cell vectors; pbc: which of them are periodic.
    """

    def __init__(self, cell: np.ndarray, pbc: np.ndarray, reach: float) -> None:
        self.cell, self.inverse = cell, np.linalg.inv(cell)
        self.pbc, self.reach = np.asarray(pbc, dtype=bool), reach
        # an atom brought to within half a cell can be met again this many cells further on
        heights = 1.0 / np.linalg.norm(self.inverse, axis=0)
        # the corner of the cube is √3 further away than its face
        images = np.where(self.pbc, np.ceil(np.sqrt(3.0) * reach / heights - 0.5), 0).astype(int)
        ranges = [np.arange(-count, count + 1) for count in images]
        self.shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3) @ cell

    def near(self, atoms: LocalAtoms, center: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return displacements (m, 3) Å from ``center`` and rows (m,) of ``atoms`` in the cube ±reach."""
        fractional = (atoms.positions - center) @ self.inverse
        fractional -= np.where(self.pbc, np.round(fractional), 0.0)
        apart, shifts = fractional @ self.cell, self.shifts
        images, rows = np.nonzero(np.abs(apart[:, 0] + shifts[:, :1]) <= self.reach)
        for axis in (1, 2):  # one after the other: most images are out by the first
            inside = np.abs(apart[rows, axis] + shifts[images, axis]) <= self.reach
            images, rows = images[inside], rows[inside]
        return apart[rows] + shifts[images], rows

    def distances(self, atoms: LocalAtoms, center: np.ndarray, molecule: list[int], comm: Any) -> np.ndarray:
        """Return distances (m,) Å from ``center`` to near atoms outside a molecule (ids), of the whole group."""
        apart, rows = self.near(atoms, center)
        distances = np.linalg.norm(apart[~np.isin(atoms.ids[rows], molecule)], axis=1)
        return np.concatenate(comm.allgather(distances)) if comm is not None and comm.size > 1 else distances


def grid_shape(config: Config, atoms: Atoms) -> tuple[int, ...]:
    """Return the shape of the states of a training, for ranks without an engine."""
    elements = element_order(atoms, config.structure.elements)
    return DensityGrid(config.state, elements, atoms.cell.array, atoms.pbc).shape


def shape_and_actions(config: Config, atoms: Atoms) -> tuple[tuple[int, ...], int]:
    """Return the shape of a training's states, and the number of its actions."""
    return grid_shape(config, atoms), len(action_vectors(config.actions, config.goal))


class DensityGrid:
    """The state: for each channel Σ exp(-|r - r_atom|²/2w²) on a cubic grid centered at the agent.

    Each rank of a group adds the atoms that it owns and their periodic images; the sum over the group is the
    grid, so no atom is gathered and no ghost atom is needed. ``shape`` is (channels, points, points, points).
    """

    def __init__(
        self, state: StateGrid, elements: list[str], cell: np.ndarray, pbc: np.ndarray, comm: Any = None
    ) -> None:
        self.state, self.comm = state, comm
        self.channels = len(elements) if state.channels == "elements" else 1
        self.shape = (self.channels, state.points, state.points, state.points)
        self.axis = (np.arange(state.points) - (state.points - 1) / 2) * state.spacing
        self.surroundings = Surroundings(cell, pbc, float(self.axis[-1]) + TAIL * state.width)

    def density(self, atoms: LocalAtoms, center: np.ndarray) -> np.ndarray:
        """Return the grid as float64, the same on every rank of the group."""
        apart, rows = self.surroundings.near(atoms, center)
        channel = atoms.elements[rows] if self.channels > 1 else np.zeros(len(rows), dtype=int)
        # the Gaussian of three dimensions is the product of three of one
        profiles = np.exp(-0.5 * ((self.axis - apart[:, :, None]) / self.state.width) ** 2)
        grid = np.zeros(self.shape)
        for number in range(self.channels):
            x, y, z = profiles[channel == number].transpose(1, 0, 2)
            across = (y[:, :, None] * z[:, None, :]).reshape(len(y), self.state.points**2)
            grid[number] = (x.T @ across).reshape(self.shape[1:])
        if self.comm is not None and self.comm.size > 1:
            total = np.empty_like(grid)
            self.comm.Allreduce(grid, total)
            return total
        return grid

    def __call__(self, atoms: LocalAtoms, center: np.ndarray) -> np.ndarray:
        """Return the grid in 8 bits: 255 is ``saturation``. This is what is stored, sent and learned from."""
        scaled = self.density(atoms, center) * (255.0 / self.state.saturation)
        return np.minimum(np.rint(scaled), 255.0).astype(np.uint8)
