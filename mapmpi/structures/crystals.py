"""Atoms that hop in and on crystals: a neighbour of a vacancy, an interstitial, an adatom on a slab.

Each is a :class:`Start`: the structure, the atom that is to be pulled, and where to. ASE builds the crystals.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import ase.build
import numpy as np
from ase import Atom, Atoms
from ase.constraints import FixAtoms
from ase.data import atomic_numbers, chemical_symbols, reference_states
from ase.geometry import find_mic
from scipy.optimize import minimize_scalar

from mapmpi.config import Dynamics, ForceField
from mapmpi.errors import UserError
from mapmpi.md.factory import forces_engine

CUBIC = ("fcc", "bcc", "diamond")
"""Crystals that have a cubic cell with one lattice constant."""

SITES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "fcc": ((0.5, 0.5, 0.5), (1.0, 1.0, 0.5)),
    "bcc": ((0.5, 0.25, 0.0), (0.75, 0.5, 0.0)),
}
"""Where a small interstitial sits, and the next such site, in lattice constants: octahedral, and tetrahedral."""

FACETS = {"fcc100": "hollow", "fcc111": "fcc", "bcc100": "hollow"}
"""Surfaces, and where on them an adatom sits, by the names of ASE's builders."""

SHARE = 0.9
"""The goal's plane lies at this share of the hop: well behind the saddle, and reached although neighbours relax."""

VACUUM = 7.0
"""Å on either side of a slab; potentials of metals reach less than 6 Å."""

STRETCH = 0.08
"""The lattice constant is looked for within this fraction of the measured one."""


@dataclass(frozen=True)
class Start:
    """A structure and a hop in it: atom ``tagged`` (id from 1) goes along ``direction`` (3,) to a plane.

    ``hop`` is the distance in Å between the two sites in the perfect crystal.
    """

    atoms: Atoms
    tagged: int
    direction: tuple[float, float, float]
    hop: float

    @property
    def distance(self) -> float:
        """Å from the start to the goal's plane."""
        return SHARE * self.hop


def crystal_of(element: str) -> str:
    """Return fcc, bcc or diamond. Raises UserError for another crystal, or no element."""
    if element not in chemical_symbols[1:]:
        raise UserError(f"element {element!r} is not a chemical element; write for example Cu.")
    name = (reference_states[atomic_numbers[element]] or {}).get("symmetry", "unknown")
    if name not in CUBIC:
        raise UserError(
            f"element {element}: its crystal is {name}, expected {', '.join(CUBIC)}; "
            "build yours with ASE and write the input by hand."
        )
    return str(name)


def lattice_constant(element: str, forcefield: ForceField, comm: Any = None) -> float:
    """Return the lattice constant in Å at which the cubic crystal has the least energy in a force field.

    All ranks of ``comm`` call it together. Raises UserError when the force field does not know the element.
    """
    crystal_of(element)
    measured = float(ase.build.bulk(element, cubic=True).cell[0, 0])

    def energy(constant: float) -> float:
        atoms = ase.build.bulk(element, a=constant, cubic=True) * 3
        with closing(forces_engine(atoms, forcefield, Dynamics(), [1], comm)) as engine:
            return engine.evaluate(atoms.positions).energy / len(atoms)

    bounds = (measured * (1 - STRETCH), measured * (1 + STRETCH))
    return float(minimize_scalar(energy, bounds=bounds, method="bounded", options={"xatol": 1e-5}).x)


def vacancy(element: str, constant: float, repeat: int) -> Start:
    """Return a crystal of ``repeat``³ cubic cells with a vacancy, into which a nearest neighbour is to hop."""
    crystal_of(element)
    atoms = ase.build.bulk(element, a=constant, cubic=True) * repeat
    middle = _nearest(np.linalg.norm(atoms.positions - atoms.cell.array.sum(axis=0) / 2, axis=1))
    hole = atoms.positions[middle].copy()
    del atoms[middle]
    apart, lengths = find_mic(hole - atoms.positions, atoms.cell, atoms.pbc)
    neighbour = _nearest(lengths)
    return Start(atoms, neighbour + 1, _direction(apart[neighbour]), float(lengths[neighbour]))


def interstitial(host: str, guest: str, constant: float, repeat: int) -> Start:
    """Return a crystal with one ``guest`` atom between its sites, which is to hop to the next place like its own.

    In fcc the guest sits in an octahedral site, in bcc in a tetrahedral one. Raises UserError for other crystals.
    """
    if (crystal := crystal_of(host)) not in SITES:
        raise UserError(f"host {host}: its crystal is {crystal}, expected {' or '.join(SITES)}; choose another.")
    if guest not in chemical_symbols[1:]:
        raise UserError(f"guest {guest!r} is not a chemical element; write for example H.")
    atoms = ase.build.bulk(host, a=constant, cubic=True) * repeat
    first, second = (constant * (np.array(site) + repeat // 2) for site in SITES[crystal])
    atoms.append(Atom(guest, first))
    return Start(atoms, len(atoms), _direction(second - first), float(np.linalg.norm(second - first)))


def slab(element: str, facet: str, constant: float, repeat: int, layers: int, fixed: int) -> Start:
    """Return a slab of ``layers`` layers, the lowest ``fixed`` of them held, with an adatom that hops along x.

    The slab has ``repeat``² atoms in a layer and vacuum above and below. Raises UserError for a facet not in FACETS,
    and where nothing, or everything, is fixed.
    """
    if (name := crystal_of(element) + facet) not in FACETS:
        raise UserError(
            f"facet {facet} of {element} ({name}): expected one of {', '.join(FACETS)}; choose another."
        )
    if not 0 < fixed < layers:
        raise UserError(f"fixed {fixed}: expected 1 to {layers - 1} of {layers} layers; choose so.")
    atoms = getattr(ase.build, name)(element, (repeat, repeat, layers), a=constant, vacuum=VACUUM)
    nearest = float(np.linalg.norm(atoms.cell[0])) / repeat
    height = float(np.ptp(atoms.positions[:, 2])) / (layers - 1) if layers > 1 else nearest
    ase.build.add_adsorbate(atoms, element, height, FACETS[name], offset=(repeat // 2 - 1, repeat // 2 - 1))
    atoms.set_constraint(FixAtoms([atom.index for atom in atoms if atom.tag > layers - fixed]))
    atoms.pbc, atoms.info = True, {}
    atoms.wrap()
    return Start(atoms, len(atoms), (1.0, 0.0, 0.0), nearest)


def _nearest(lengths: np.ndarray) -> int:
    """Return the index of the shortest length, of equal ones the first."""
    return int(np.round(lengths, 6).argmin())


def _direction(vector: np.ndarray) -> tuple[float, float, float]:
    """Return a direction whose largest part is 1 or -1, rounded to what an input can show."""
    scaled = vector / np.abs(vector).max()
    rounded = np.round(scaled, 6) + 0.0
    return float(rounded[0]), float(rounded[1]), float(rounded[2])
