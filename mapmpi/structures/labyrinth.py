"""A labyrinth: frozen obstacles, a tracer's start and goal, and the exact truth about the best way between them.

The tracer's energy is a function of three coordinates, so that the lowest pass can be found without a search that
might miss it (:mod:`mapmpi.structures.minimax`). Searches that know less are measured by it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mapmpi.errors import UserError, why
from mapmpi.structures.minimax import Minimax, minimax
from mapmpi.structures.obstacles import CUTOFF, EPSILON, SIGMA, Obstacles
from mapmpi.structures.ways import newton

OBSTACLES, LENGTH, DISTANCE = 160, 20.0, 15.0
"""Defaults: how many, in a cube of how many Å, and Å from start to goal."""
SHORTEST, LONGEST = 2 * CUTOFF + 1.0, 40.0
"""Å: cubes that the grids cover, with one nearest image of each obstacle, and that fit the memory."""
HEIGHTS = (0.05, 1.0)
"""eV: the pass lies between these above the start."""
STRAIGHT = 1.0
"""eV: on the straight way from start to plane the energy rises by more."""
STARTS, DRAWS = 5, 10
"""Starts that are tried, the deepest first, and obstacles that are drawn before giving up."""
NODE_SPACING = 0.2
"""Å between the nodes of the grid on which starts are looked for."""


@dataclass(frozen=True)
class Labyrinth:
    """Obstacles, the tracer's ``start`` (3,) Å, a minimum, and the plane ``distance`` Å from it in +x.

    ``best`` is the exact answer; energies are eV and absolute, but for heights, which count from the start.
    """

    seed: int
    obstacles: Obstacles
    start: np.ndarray
    distance: float
    best: Minimax

    @property
    def start_energy(self) -> float:
        """The tracer's energy at the start in eV."""
        return float(self.obstacles.energy(self.start)[0])

    @property
    def height(self) -> float:
        """The lowest highest energy of a way to the plane, above the start's, in eV."""
        return self.best.energy - self.start_energy

    def path_height(self, points: np.ndarray) -> float:
        """Return the highest energy above the start's, in eV, along the straight pieces between points (k, 3) Å.

        Looked at every 0.02 Å; points are unwrapped.
        """
        return float(self.obstacles.path_energies(points).max()) - self.start_energy


def make_labyrinth(
    seed: int, count: int = OBSTACLES, length: float = LENGTH, distance: float = DISTANCE
) -> Labyrinth:
    """Return the labyrinth of a seed: ``count`` obstacles in a cube of ``length`` Å, the plane at ``distance`` Å.

    The start is the deepest minimum (by a grid) from which the straight way is closed and the best way's height is in
    HEIGHTS; if there is none, obstacles are drawn anew from the same random numbers. Raises UserError for sizes that
    make none.
    """
    if not SHORTEST <= length <= LONGEST:
        raise UserError(f"length {length:g}: expected {SHORTEST:g} to {LONGEST:g} Å; choose a length between.")
    if not 0 < distance <= length:
        raise UserError(
            f"distance {distance:g}: expected more than 0 Å, and no more than the cube's {length:g} Å; choose so."
        )
    random = np.random.default_rng(seed)
    for _ in range(DRAWS):
        obstacles = Obstacles.draw(random, count, length)
        for start in _starts(obstacles):
            ahead = np.array([start, start + [distance, 0.0, 0.0]])
            energy = float(obstacles.energy(start)[0])
            if obstacles.path_energies(ahead).max() < energy + STRAIGHT:
                continue
            best = minimax(obstacles, start, distance)
            if best is not None and HEIGHTS[0] <= best.energy - energy <= HEIGHTS[1]:
                return Labyrinth(seed, obstacles, start, distance, best)
    raise UserError(
        f"obstacles {count}: {DRAWS} random cubes of {length:g} Å have no way of {HEIGHTS[0]:g} to {HEIGHTS[1]:g} "
        f"eV over {distance:g} Å; {LENGTH:g} Å take {OBSTACLES}, choose more or fewer."
    )


def _starts(obstacles: Obstacles) -> list[np.ndarray]:
    """Return the deepest minima (3,) Å of the tracer's energy, the lowest first as a grid shows them."""
    nodes = round(obstacles.length / NODE_SPACING)
    grid = obstacles.grid(nodes)
    lowest = np.ones(grid.shape, dtype=bool)
    for axis in range(3):
        for step in (-1, 1):
            lowest &= grid <= np.roll(grid, step, axis)
    deepest = np.argwhere(lowest)[np.argsort(grid[lowest], kind="stable")][:STARTS]
    places = deepest * obstacles.length / nodes
    minima = [newton(obstacles, place, negative=0) % obstacles.length for place in places]
    return [np.round(place, 8) for place in minima]  # what a data file holds


def write_truth(file: Path, labyrinth: Labyrinth, command: str) -> None:
    """Write all that is known of a labyrinth as JSON; ``command`` is the one that made it."""
    best = labyrinth.best
    content = {
        "command": command,
        "seed": labyrinth.seed,
        "length_A": labyrinth.obstacles.length,
        "lennard_jones": {"sigma_A": SIGMA, "epsilon_eV": EPSILON, "cutoff_A": CUTOFF, "shifted": True},
        "start_A": labyrinth.start.tolist(),
        "start_energy_eV": labyrinth.start_energy,
        "goal_direction": [1.0, 0.0, 0.0],
        "goal_distance_A": labyrinth.distance,
        "height_eV": labyrinth.height,
        "pass_A": best.top.tolist(),
        "pass_energy_eV": best.energy,
        "upper_bound_eV": labyrinth.path_height(best.way),
        "grid_spacings_A": list(best.spacings),
        "grid_heights_eV": [energy - labyrinth.start_energy for energy in best.on_grids],
        "way_A": best.way.tolist(),
        "way_energies_eV": labyrinth.obstacles.energy(best.way).tolist(),
        "obstacles_A": labyrinth.obstacles.places.tolist(),
    }
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_truth(file: Path) -> Labyrinth:
    """Return the labyrinth of a truth file. Raises UserError when it is none."""
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        model = content["lennard_jones"]
        if (model["sigma_A"], model["epsilon_eV"], model["cutoff_A"]) != (SIGMA, EPSILON, CUTOFF):
            raise ValueError("another Lennard-Jones potential")
        obstacles = Obstacles(_points(content["obstacles_A"]), float(content["length_A"]))
        start, spacings = _points([content["start_A"]])[0], tuple(map(float, content["grid_spacings_A"]))
        base = float(content["start_energy_eV"])
        heights = tuple(base + float(height) for height in content["grid_heights_eV"])
        way, top = _points(content["way_A"]), _points([content["pass_A"]])[0]
        best = Minimax(way, top, float(content["pass_energy_eV"]), spacings, heights)
        return Labyrinth(int(content["seed"]), obstacles, start, float(content["goal_distance_A"]), best)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file} is no truth of a labyrinth ({type(error).__name__}: {why(error)}); make one by "
            "`python -m mapmpi.prepare labyrinth`."
        ) from None


def _points(values: Any) -> np.ndarray:
    points = np.array(values, dtype=float)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise ValueError(f"points of the shape {points.shape}, expected (k, 3)")
    return points
