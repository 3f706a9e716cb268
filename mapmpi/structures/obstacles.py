"""Frozen Lennard-Jones obstacles, and the energy of a tracer among them.

LAMMPS computes the same energy by the commands of :func:`commands`. Energies in eV, lengths in
Å; the cell is a periodic cube.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms

from mapmpi.errors import UserError

SIGMA, EPSILON, CUTOFF = 2.4, 0.05, 6.0
"""Lennard-Jones parameters of tracer and obstacle: Å, eV, Å. The energy is shifted to vanish at the cutoff."""
SEPARATION = 1.9
"""Å between obstacles, at least."""
TRIES = 2000
"""Places that are tried for an obstacle."""
TRACER, OBSTACLE = "O", "Si"
CORE = 0.5
"""Å: nearer to an obstacle the energy no longer grows; it is a million times the highest of any way."""
CHUNK = 2**18
"""Pairs that are computed at once."""
FINEST = 0.02
"""Å between the places at which the energy along a path is looked at."""


def commands() -> list[str]:
    """Return the LAMMPS commands for the forces, units metal, elements O (the tracer) and Si."""
    return [
        f"pair_style lj/cut {CUTOFF}",
        "pair_modify shift yes",
        f"pair_coeff * * 0.0 {SIGMA}",
        f"pair_coeff 1 2 {EPSILON} {SIGMA}",
        "neigh_modify exclude type 2 2",
    ]


@dataclass(frozen=True)
class Obstacles:
    """Obstacles at ``places`` (m, 3) Å in a periodic cube of ``length`` Å, at least twice the cutoff."""

    places: np.ndarray
    length: float

    @classmethod
    def draw(cls, random: np.random.Generator, count: int, length: float) -> Obstacles:
        """Return random obstacles, none nearer to another than SEPARATION. Raises UserError if they do not fit."""
        places = np.empty((count, 3))
        for number in range(count):
            for _ in range(TRIES):
                place = np.round(random.uniform(0.0, length, 3), 8)  # what a data file holds
                apart = places[:number] - place
                apart -= length * np.round(apart / length)
                if (apart**2).sum(axis=1).min(initial=np.inf) >= SEPARATION**2:
                    break
            else:
                raise UserError(
                    f"obstacles {count}: no more than {number} found room {SEPARATION} Å apart in a cube of "
                    f"{length:g} Å; ask for fewer."
                )
            places[number] = place
        return cls(places, length)

    def energy(self, points: np.ndarray) -> np.ndarray:
        """Return the tracer's energy (k,) eV at points (k, 3) Å, anywhere."""
        return self.energy_and_gradient(points)[0]

    def energy_and_gradient(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return energies (k,) eV and their gradients (k, 3) eV/Å at points (k, 3) Å."""
        points = np.asarray(points, dtype=float).reshape(-1, 3)
        rows = max(1, CHUNK // len(self.places))
        parts = [self._chunk(points[first : first + rows]) for first in range(0, len(points), rows)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _chunk(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        apart = points[:, None] - self.places
        apart -= self.length * np.round(apart / self.length)
        squares = np.maximum((apart**2).sum(axis=2), CORE**2)
        sixth = (SIGMA**2 / squares) ** 3
        inside = squares < CUTOFF**2
        terms = np.where(inside, 4 * EPSILON * sixth * (sixth - 1) - _SHIFT, 0.0)
        slopes = np.where(inside, -24 * EPSILON * sixth * (2 * sixth - 1) / squares, 0.0)
        return terms.sum(axis=1), np.einsum("km,kmi->ki", slopes, apart)

    def path_energies(self, points: np.ndarray, spacing: float = FINEST) -> np.ndarray:
        """Return the energies (k,) eV along the straight pieces between successive points (p, 3) Å, ends included."""
        points = np.asarray(points, dtype=float).reshape(-1, 3)
        pieces = [points[:1]]
        for start, end in pairwise(points):
            count = max(1, int(np.ceil(np.linalg.norm(end - start) / spacing)))
            pieces.append(start + np.arange(1, count + 1)[:, None] / count * (end - start))
        return self.energy(np.concatenate(pieces))

    def grid(self, count: int) -> np.ndarray:
        """Return the energies (count, count, count) in eV, in single precision, at the nodes of a grid from zero."""
        spacing, length = np.float32(self.length / count), self.length
        energies = np.zeros((count, count, count), dtype=np.float32)
        reach = int(np.ceil(CUTOFF / spacing))
        around = np.arange(-reach, reach + 1)
        for place in self.places:
            middle = np.round(place * count / length).astype(int)
            squares = [((middle[axis] + around) * length / count - place[axis]) ** 2 for axis in range(3)]
            x, y, z = (values.astype(np.float32) for values in squares)
            columns = np.ix_((middle[1] + around) % count, (middle[2] + around) % count)
            for plane, square in zip((middle[0] + around) % count, x, strict=True):  # a plane stays in the cache
                if square >= CUTOFF**2:
                    continue
                sixth = y[:, None] + (z + square)
                np.clip(sixth, CORE**2, CUTOFF**2, out=sixth)  # beyond the cutoff the shifted energy is zero, too
                np.divide(np.float32(SIGMA**2), sixth, out=sixth)
                sixth *= sixth * sixth
                energies[plane][columns] += np.float32(4 * EPSILON) * sixth * (sixth - 1) - np.float32(_SHIFT)
        return energies

    def atoms(self, tracer: np.ndarray) -> Atoms:
        """Return the obstacles, fixed, with the tracer behind them at a place (3,) Å."""
        count = len(self.places)
        atoms = Atoms(
            [OBSTACLE] * count + [TRACER],
            np.vstack([self.places, tracer]),
            cell=[self.length] * 3,
            pbc=True,
        )
        atoms.set_constraint(FixAtoms(range(count)))
        return atoms


_SHIFT = 4 * EPSILON * ((SIGMA / CUTOFF) ** 12 - (SIGMA / CUTOFF) ** 6)
