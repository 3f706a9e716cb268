"""A strained siloxane and a water molecule: a ring of silicon and oxygen, (SiO(OH)2)n, that water can open.

A ring of two is the edge-sharing pair of tetrahedra of dehydroxylated silica, one of three its next less strained
kind. The silicon farthest from the water is held with its two hydroxyls' oxygens, where the solid would hold it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms

from mapmpi.errors import UserError

SI_O, O_H = 1.65, 0.97
"""Å before the structure is relaxed."""

BRIDGE = {2: 92.0, 3: 131.0}
"""Degrees of Si–O–Si in rings of so many silicon atoms, before they are relaxed."""

SPREAD, BEND = 55.0, 115.0
"""Degrees between a hydroxyl's bond and the ring's plane, and of Si–O–H."""

HYDROGEN_BOND, WATER_BEND = 1.7, 104.5
"""Å from the water's hydrogen to the ring's oxygen, and degrees of H–O–H."""

EDGE = 14.0
"""Å of the cubic cell: wide enough that periodic images do not meet."""

BEFORE = 0.5
"""Å before the silicon's place at which the goal lies: nearer than any bond, as the silicon gives way."""


@dataclass(frozen=True)
class Attack:
    """A ring and water: ``water`` are the ids (from 1) of its O, H and H, ``silicon`` that of the one it goes for.

    ``silicon`` is bound to the ring's oxygen ``bridge``, to which the water's first hydrogen points.
    """

    atoms: Atoms
    water: tuple[int, int, int]
    silicon: int
    bridge: int

    @property
    def way(self) -> np.ndarray:
        """The way (3,) Å of the water's oxygen to the goal."""
        apart = self.atoms.get_distance(self.water[0] - 1, self.silicon - 1, mic=True, vector=True)
        length = float(np.linalg.norm(apart))
        return np.asarray(apart) * (length - BEFORE) / length


def ring(members: int) -> Atoms:
    """Return a planar ring of ``members`` Si with two hydroxyls on each, around the origin in the xy plane, no cell.

    First come Si and bridging O by turns, then O and H of the hydroxyls of each Si in order; the first Si is at -x.
    Raises UserError unless ``members`` is 2 or 3.
    """
    if members not in BRIDGE:
        raise UserError(f"a ring of {members} silicon atoms: expected 2 or 3; larger ones are hardly strained.")
    half = np.radians(BRIDGE[members]) / 2
    radius = SI_O * np.sin(half) / np.sin(np.pi / members)
    bridge = radius * np.cos(np.pi / members) + SI_O * np.cos(half)
    spread, rest = np.radians(SPREAD), np.radians(SPREAD + BEND - 180.0)
    atoms = Atoms()
    outward = [_direction(np.pi + 2 * np.pi * number / members) for number in range(members)]
    for number, out in enumerate(outward):
        between = _direction(np.pi + 2 * np.pi * (number + 0.5) / members)
        atoms += Atoms("SiO", [radius * out, bridge * between])
    for out in outward:
        for side in (1.0, -1.0):
            up = np.array([0.0, 0.0, side])
            oxygen = radius * out + SI_O * (np.cos(spread) * out + np.sin(spread) * up)
            atoms += Atoms("OH", [oxygen, oxygen + O_H * (np.cos(rest) * out + np.sin(rest) * up)])
    return atoms


def _direction(angle: float) -> np.ndarray:
    """Return the unit vector (3,) in the xy plane at an angle in radians from +x."""
    return np.array([np.cos(angle), np.sin(angle), 0.0])


def attack(members: int) -> Attack:
    """Return a ring in a periodic cube, and beside it a water molecule whose hydrogen points to a ring's oxygen.

    The ring is held as said above. Nothing is relaxed yet. Raises UserError as :func:`ring`.
    """
    atoms = ring(members)
    silicon, bridge = atoms.positions[0], atoms.positions[1]
    # away from the ring, between the outward directions of its first silicon and of the oxygen behind that
    away = silicon / np.linalg.norm(silicon) + bridge / np.linalg.norm(bridge)
    away /= np.linalg.norm(away)
    hydrogen = bridge + HYDROGEN_BOND * away
    oxygen = hydrogen + O_H * away
    turn = np.radians(180.0 - WATER_BEND)
    other = oxygen + O_H * (np.cos(turn) * away + np.sin(turn) * np.array([0.0, 0.0, 1.0]))
    count, far = len(atoms), (members + 1) // 2  # the number in the ring, from 0, of the silicon not at the bridge
    atoms += Atoms("OHH", [oxygen, hydrogen, other])
    atoms.set_cell([EDGE] * 3)
    atoms.pbc = True
    atoms.center()
    hydroxyls = 2 * members + 4 * far
    atoms.set_constraint(FixAtoms([2 * far, hydroxyls, hydroxyls + 2]))
    return Attack(atoms, (count + 1, count + 2, count + 3), 1, 2)
