"""The pathways as data for the page's 3-D view: what is near the way, packed small."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from scipy.spatial import cKDTree

from mapmpi.path.pathway import Pathway
from mapmpi.pneb.table import hop_status
from mapmpi.report.stored import tagged_centers

REACH = 7.0
"""Å from the way of the molecule within which atoms, and their periodic images, are shown."""
MOST_SHOWN = 2500
"""Atoms that are shown, the nearest; a browser draws so many without haste."""
MOST_BYTES = 5_000_000
"""What the positions of all pathways of a page may take; of longer films every second frame is left out, and so on."""
MOST_FILMS = 8


def films(refined: Sequence[Pathway]) -> list[dict[str, Any]]:
    """Return the data of the best pathways for the page's script."""
    chosen = refined[:MOST_FILMS]
    return [film(one, MOST_BYTES // len(chosen)) for one in chosen]


def film(one: Pathway, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Return a pathway as plain data.

    ``atoms`` holds for each of m shown atoms its id (from 1) and its element's index in ``elements``; ``positions``
    the coordinates of (f, m, 3) as int16 in units of ``resolution`` Å, in base64. Numbers that are not known are None.
    """
    indices, shifts = near_the_way(one)
    points, kinds, *_ = zip(*one.frames(), strict=True)
    frames = _kept(kinds, most_bytes // max(1, 8 * len(indices)))
    positions = np.array([points[frame].positions[indices] for frame in frames]) + shifts
    centers = tagged_centers(one)
    positions = positions - np.round(0.5 * (centers.min(axis=0) + centers.max(axis=0)), 3)
    resolution = max(0.002, float(np.abs(positions).max()) / 32767.0)
    packed = np.rint(positions / resolution).astype("<i2").tobytes()
    numbers = one.atoms.numbers[indices]
    elements = sorted(set(numbers.tolist()))
    progress = one.progress([points[frame].positions for frame in frames])
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
        "energies": [round(float(points[frame].energy - one.basins[0].energy), 4) for frame in frames],
        "way": np.round(progress, 3).tolist(),
        "kinds": [kinds[frame] for frame in frames],
        "hops": _hops(one, [kinds[frame] for frame in frames]),
        "before": _before(one),
    }


def near_the_way(one: Pathway) -> tuple[np.ndarray, np.ndarray]:
    """Return which atoms are shown, (m,) indices, and the whole cells (m, 3) Å by which each is moved for it.

    They are within REACH of the tagged atoms' way in the first frame or the last; the molecule's own come as they are
    and once.
    """
    way, cell, pbc = tagged_centers(one), one.atoms.cell.array, one.atoms.pbc
    inverse = np.linalg.inv(cell)
    low, high = (way @ inverse).min(axis=0), (way @ inverse).max(axis=0)
    margin = REACH * np.linalg.norm(inverse, axis=0)
    molecule = np.zeros(len(one.atoms), dtype=bool)
    molecule[[*one.molecule, *one.tagged]] = True
    tree = cKDTree(way)
    found: dict[tuple[int, ...], float] = {}
    for end in (one.basins[0], one.basins[-1]):
        scaled = end.positions @ inverse
        for shift in _shifts(scaled, low - margin, high + margin, pbc):
            apart = tree.query(end.positions + shift @ cell, distance_upper_bound=REACH)[0]
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


def _kept(kinds: Sequence[str], most: int) -> list[int]:
    """Return the frames that are kept: all, or every second and so on, but always basins and saddles."""
    count, step = len(kinds), 1
    while True:
        kept = [frame for frame in range(count) if frame % step == 0 or kinds[frame] != "image"]
        if len(kept) <= most or step >= count:
            return kept
        step *= 2


def _hops(one: Pathway, kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Return the hops, with the numbers of their basins and saddle among frames of these kinds."""
    basins = [frame for frame, kind in enumerate(kinds) if kind == "basin"]
    hops = zip(one.hops, one.barriers_ev(), one.barriers_ev(backward=True), pairwise(basins), strict=True)
    return [
        {
            "name": hop.name,
            "status": hop_status(hop),
            "forward": _known(forward),
            "backward": _known(backward),
            "first": first,
            "top": next((frame for frame in range(first, last) if kinds[frame] == "saddle"), None),
            "last": last,
        }
        for hop, forward, backward, (first, last) in hops
    ]


def _before(one: Pathway) -> dict[str, list[float]] | None:
    if one.before is None:
        return None
    progress, energies = one.before.progress, one.before.energies - one.basins[0].energy
    if not (np.isfinite(progress).all() and np.isfinite(energies).all()):
        return None
    return {"way": np.round(progress, 3).tolist(), "energies": np.round(energies, 3).tolist()}


def _known(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None
