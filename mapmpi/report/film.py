"""The pathways as data for the page's 3-D view: what is near the way, packed small."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from scipy.spatial import cKDTree

from mapmpi.report.stored import Hop, Refined

REACH = 7.0
"""Å from the way of the molecule within which atoms, and their periodic images, are shown."""
MOST_SHOWN = 2500
"""Atoms that are shown, the nearest; a browser draws so many without haste."""
MOST_BYTES = 5_000_000
"""What the positions of all pathways of a page may take; of longer films every second frame is left out, and so on."""
MOST_FILMS = 8


def films(refined: Sequence[Refined]) -> list[dict[str, Any]]:
    """Return the data of the best pathways for the page's script."""
    chosen = refined[:MOST_FILMS]
    return [film(one, MOST_BYTES // len(chosen)) for one in chosen]


def film(one: Refined, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Return a pathway as plain data.

    ``atoms`` holds for each of m shown atoms its id (from 1) and its element's index in ``elements``; ``positions``
    the coordinates of (f, m, 3) as int16 in units of ``resolution`` Å, in base64. Numbers that are not known are None.
    """
    indices, shifts = near_the_way(one)
    frames = _kept(one, most_bytes // max(1, 8 * len(indices)))
    positions = one.positions[np.ix_(np.array(frames), indices)] + shifts
    middle = np.round(0.5 * (one.tagged_center().min(axis=0) + one.tagged_center().max(axis=0)), 3)
    positions = positions - middle
    resolution = max(0.002, float(np.abs(positions).max()) / 32767.0)
    packed = np.rint(positions / resolution).astype("<i2").tobytes()
    numbers = one.atoms.numbers[indices]
    elements = sorted(set(numbers.tolist()))
    place = {frame: number for number, frame in enumerate(frames)}
    tagged, molecule = set(one.tagged), set(one.molecule)
    return {
        "name": one.name,
        "elements": [
            {"symbol": chemical_symbols[number], "radius": round(float(covalent_radii[number]), 2)}
            for number in elements
        ],
        "atoms": [
            [int(index) + 1, elements.index(number)]
            for index, number in zip(indices, numbers.tolist(), strict=True)
        ],
        "tagged": [row for row, index in enumerate(indices.tolist()) if index in tagged],
        "molecule": [row for row, index in enumerate(indices.tolist()) if index in molecule],
        "resolution": resolution,
        "positions": base64.b64encode(packed).decode(),
        "energies": [round(float(one.energies[frame]), 4) for frame in frames],
        "way": [round(float(one.way[frame]), 3) for frame in frames],
        "kinds": [one.kinds[frame] for frame in frames],
        "hops": [_hop(hop, place) for hop in one.hops],
        "before": _before(one),
    }


def near_the_way(one: Refined) -> tuple[np.ndarray, np.ndarray]:
    """Return which atoms are shown, (m,) indices, and the whole cells (m, 3) Å by which each is moved for it.

    They are within REACH of the tagged atoms' way in the first frame or the last; the molecule's own come as they are
    and once.
    """
    way, cell, pbc = one.tagged_center(), one.atoms.cell.array, one.atoms.pbc
    inverse = np.linalg.inv(cell)
    low, high = (way @ inverse).min(axis=0), (way @ inverse).max(axis=0)
    margin = REACH * np.linalg.norm(inverse, axis=0)
    molecule = np.zeros(len(one.atoms), dtype=bool)
    molecule[[*one.molecule, *one.tagged]] = True
    ends = np.unique([0, len(one.positions) - 1])
    tree = cKDTree(way)
    found: dict[tuple[int, ...], float] = {}
    for frame in ends:
        scaled = one.positions[frame] @ inverse
        for shift in _shifts(scaled, low - margin, high + margin, pbc):
            apart = tree.query(one.positions[frame] + shift @ cell, distance_upper_bound=REACH)[0]
            for index in np.flatnonzero(np.isfinite(apart) & ~molecule):
                key = (int(index), *map(int, shift))
                found[key] = min(float(apart[index]), found.get(key, math.inf))
    nearest = sorted(found, key=lambda key: (found[key], key))[:MOST_SHOWN]
    own = np.flatnonzero(molecule)
    indices = np.array([*own, *(key[0] for key in nearest)], dtype=int)
    shifts = np.array([*[(0, 0, 0)] * len(own), *(key[1:] for key in nearest)], dtype=float).reshape(-1, 3)
    return indices, shifts @ cell


def _shifts(scaled: np.ndarray, low: np.ndarray, high: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """Return the shifts by whole cells (k, 3) that may bring atoms at scaled positions into a box."""
    first = np.where(pbc, np.floor(low - scaled.max(axis=0)), 0).astype(int)
    last = np.where(pbc, np.ceil(high - scaled.min(axis=0)), 0).astype(int)
    ranges = [np.arange(max(one, -20), min(other, 20) + 1) for one, other in zip(first, last, strict=True)]
    return np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)


def _kept(one: Refined, most: int) -> list[int]:
    """Return the frames that are kept: all, or every second and so on, but always basins and saddles."""
    count, step = len(one.positions), 1
    while True:
        kept = [frame for frame in range(count) if frame % step == 0 or one.kinds[frame] != "image"]
        if len(kept) <= most or step >= count:
            return kept
        step *= 2


def _hop(hop: Hop, place: dict[int, int]) -> dict[str, Any]:
    return {
        "name": hop.name,
        "status": hop.status,
        "forward": _known(hop.forward_ev),
        "backward": _known(hop.backward_ev),
        "first": place[hop.first],
        "top": None if hop.top is None else place[hop.top],
        "last": place[hop.last],
    }


def _before(one: Refined) -> dict[str, list[float]] | None:
    if one.before is None:
        return None
    way, energies = one.before
    if not (np.isfinite(way).all() and np.isfinite(energies).all()):
        return None
    return {"way": np.round(way, 3).tolist(), "energies": np.round(energies, 3).tolist()}


def _known(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
