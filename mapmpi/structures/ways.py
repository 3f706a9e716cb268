"""A rough way through a labyrinth, relaxed; and the highest point of a way, climbed to its saddle.

The string is that of W. E, W. Ren and E. Vanden-Eijnden, J. Chem. Phys. 126, 164103 (2007). Lengths in Å, energies in
eV.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapmpi.structures.obstacles import Obstacles

POINT_SPACING = 0.1
"""Å between the points of a string."""
STEP, LONGEST = 0.02, 0.05
"""Å²/eV of a step down the gradient, and its longest in Å; the stiffest curvatures of a way are 50 eV/Å²."""
KEPT = 0.9
"""Share of a step that the next one goes on with: without it soft directions would take thousands of steps."""
ROUND, ROUNDS = 25, 80
"""Steps until the string is looked at, and how often it is at most."""
AT_REST = 1e-4
"""eV: a string is relaxed when the saddle of its highest pass is its highest point but for this."""
NEWTON, TRUST = 60, 0.05
"""Steps of a search, and the longest of them in Å."""
PROBE = 1e-4
"""Å of the finite differences of gradients."""
LOCAL = 0.03
"""eV: tops of a way lower than its highest by less are climbed, too."""
STRAY = 0.6
"""Å: a saddle farther from the top from which it was climbed belongs to another pass."""


@dataclass(frozen=True)
class Top:
    """A way (k, 3) Å with its highest point (3,) Å as one of its points, and the energy there in eV."""

    way: np.ndarray
    place: np.ndarray
    energy: float


def lengths(points: np.ndarray) -> np.ndarray:
    """Return the length (k,) Å of a way (k, 3) from its first point to each."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])


def spread(points: np.ndarray, count: int, values: np.ndarray | None = None) -> np.ndarray:
    """Return so many points at equal distances along a way (k, 3) Å; or ``values`` (k, m) of its points there."""
    along, values = lengths(points), points if values is None else values
    places = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(places, along, column) for column in values.T], axis=1)


def across(way: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return vectors (k, 3) at the points of a way (k, 3) Å without their parts along it; at its ends as they are."""
    tangents = way[2:] - way[:-2]
    tangents /= np.maximum(np.linalg.norm(tangents, axis=1), 1e-12)[:, None]
    result = vectors.copy()
    result[1:-1] -= (vectors[1:-1] * tangents).sum(axis=1)[:, None] * tangents
    return result


def until(way: np.ndarray, plane: float) -> np.ndarray:
    """Return a way (k, 3) Å up to where it first comes to x = ``plane`` Å."""
    last = int(np.argmax(way[:, 0] > plane - 1e-9))
    share = (plane - way[last - 1, 0]) / (way[last, 0] - way[last - 1, 0])
    return np.vstack([way[:last], way[last - 1] + share * (way[last] - way[last - 1])])


def relaxed(obstacles: Obstacles, way: np.ndarray) -> Top:
    """Return a way (k, 3) Å relaxed across itself, with its saddle. Its start stays, its end moves across x."""
    way = spread(way, points_for(way))
    speeds = np.zeros_like(way)
    for _ in range(ROUNDS):
        for _ in range(ROUND):
            forces = -obstacles.energy_and_gradient(way)[1]
            speeds = across(way, KEPT * speeds + STEP * forces)
            speeds[0], speeds[-1, 0] = 0.0, 0.0
            speeds *= np.minimum(1.0, LONGEST / np.maximum(np.linalg.norm(speeds, axis=1), 1e-12))[:, None]
            way = way + speeds
            way, speeds = np.split(spread(way, points_for(way), np.hstack([way, speeds])), 2, axis=1)
        top = highest(obstacles, way)
        if obstacles.path_energies(top.way).max() < top.energy + AT_REST:
            break
    return top


def points_for(way: np.ndarray) -> int:
    """Return how many points a string as long as ``way`` (k, 3) Å has."""
    return max(3, int(np.ceil(lengths(way)[-1] / POINT_SPACING)) + 1)


def newton(
    obstacles: Obstacles, place: np.ndarray, negative: int, free: tuple[int, ...] = (0, 1, 2)
) -> np.ndarray:
    """Return the stationary point near a place (3,) Å with so many negative curvatures, moving along axes ``free``.

    Up along the lowest modes and down along the others, by Newton's steps; where it arrives nowhere, its last place.
    """
    here, axes = np.array(place, dtype=float), list(free)
    for _ in range(NEWTON):
        probes = np.concatenate(
            [[here], *([here + sign * PROBE * np.eye(3)[axes]] for sign in (1, -1))], axis=None
        )
        gradients = obstacles.energy_and_gradient(probes.reshape(-1, 3))[1][:, axes]
        hessian = (gradients[1 : 1 + len(axes)] - gradients[1 + len(axes) :]) / (2 * PROBE)
        values, modes = np.linalg.eigh(0.5 * (hessian + hessian.T))
        wanted = np.where(np.arange(len(axes)) < negative, -1.0, 1.0)
        step = -modes @ (modes.T @ gradients[0] / (wanted * np.maximum(abs(values), 0.1)))
        here[axes] += step * min(1.0, TRUST / max(float(np.linalg.norm(step)), 1e-12))
        if np.linalg.norm(step) < 1e-9:
            break
    return here


def highest(obstacles: Obstacles, way: np.ndarray) -> Top:
    """Return a way with its highest pass climbed to the saddle, which becomes one of its points.

    At its end, which may move in the plane across x only, the highest point is the lowest of that plane nearby. A
    climb that strays, or ends above the way, leaves the way's own point.
    """
    energies, ceiling = obstacles.energy(way), obstacles.path_energies(way).max() + AT_REST
    padded = np.concatenate([[-np.inf], energies, [-np.inf]])
    peaks = (padded[1:-1] >= padded[:-2]) & (padded[1:-1] > padded[2:]) & (energies > energies.max() - LOCAL)
    found = []
    for index in np.flatnonzero(peaks):
        last = index == len(way) - 1
        place = newton(obstacles, way[index], *((0, (1, 2)) if last else (1,)))
        energy = float(obstacles.energy(place)[0])
        if index == 0 or np.linalg.norm(place - way[index]) > STRAY or energy > ceiling:
            place, energy = way[index], float(energies[index])
        found.append((energy, int(index), place))
    energy, summit, place = max(found, key=lambda one: one[0])
    changed = way.copy()
    changed[summit] = place
    return Top(changed, place, energy)
