"""What a silica glass looks like: coordination, defects, density, distances and angles.

An Si and an O are neighbours up to 2.0 Å, the first minimum of their radial distribution function (Si–O bonds are
1.6 Å long, and hardly a pair lies between 1.9 and 2.5 Å); an O and an H up to 1.25 Å.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from ase.units import _amu
from scipy.spatial.distance import pdist

from mapmpi.errors import UserError

SI_O_CUTOFF = 2.0
"""Å; below it an Si and an O are neighbours."""

O_H_CUTOFF = 1.25
"""Å; below it an O and an H are neighbours."""

G_PER_CM3 = _amu * 1e3 / 1e-24
"""One amu/Å³ in g/cm³."""

BIN_DEGREES = 10


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of ``count`` values (both nan when there are none)."""

    mean: float
    sd: float
    count: int

    @classmethod
    def of(cls, values: np.ndarray) -> Spread:
        if len(values) == 0:
            return cls(float("nan"), float("nan"), 0)
        return cls(float(np.mean(values)), float(np.std(values)), len(values))


@dataclass(frozen=True)
class GlassReport:
    """The figures of a glass.

    Coordination: number of neighbours → number of atoms; an O counts its Si and H. The network is every Si, and
    every O but those that are bound to H alone (water). A defect is a network Si without four O, or a network O
    without two neighbours; ``defect_fraction`` is their share of the network's atoms. Distances in Å, angles in
    degrees, density in g/cm³ of everything in the cell.
    """

    formula: str
    atoms: int
    cell: tuple[float, ...]
    density: float
    si_coordination: dict[int, int]
    o_coordination: dict[int, int]
    si_defects: int
    o_defects: int
    defect_fraction: float
    si_o: Spread
    si_o_si: Spread
    o_si_o: Spread
    si_o_si_histogram: dict[int, int]

    def table(self) -> str:
        """Return the report as lines of text."""
        rows = [
            ("atoms", f"{self.atoms}  {self.formula}"),
            ("cell (Å, degrees)", "  ".join(f"{value:.3f}" for value in self.cell)),
            ("density", f"{self.density:.3f} g/cm³"),
            ("Si coordination", f"{_counts(self.si_coordination)}  (O within {SI_O_CUTOFF} Å)"),
            ("O coordination", f"{_counts(self.o_coordination)}  (Si within {SI_O_CUTOFF}, H {O_H_CUTOFF} Å)"),
            ("defects", f"{self.si_defects} Si + {self.o_defects} O = {self.defect_fraction:.2%} of the network"),
            ("Si–O distance", f"{self.si_o.mean:.3f} ± {self.si_o.sd:.3f} Å"),
            ("O–Si–O angle", f"{self.o_si_o.mean:.1f} ± {self.o_si_o.sd:.1f}°"),
            ("Si–O–Si angle", f"{self.si_o_si.mean:.1f} ± {self.si_o_si.sd:.1f}°"),
        ]
        rows += [
            (f"  {low}–{low + BIN_DEGREES}°", f"{number:4d}  {number / self.si_o_si.count:.0%}")
            for low, number in self.si_o_si_histogram.items()
        ]
        return "\n".join(f"{name:<18} {value}" for name, value in rows)


def _counts(coordination: dict[int, int]) -> str:
    return ", ".join(f"{number} × {neighbours}" for neighbours, number in coordination.items())


def _histogram(numbers: np.ndarray) -> dict[int, int]:
    return {int(value): int(count) for value, count in zip(*np.unique(numbers, return_counts=True), strict=True)}


def _angles(centers: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the angles in degrees between every two of the vectors (m, 3) that have the same center (m,)."""
    found = [np.empty(0)]
    for center in np.unique(centers):
        cosines = 1.0 - pdist(vectors[centers == center], "cosine")
        found.append(np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0))))
    return np.concatenate(found)


def density(atoms: Atoms) -> float:
    """Return the density of everything in the cell in g/cm³."""
    return float(atoms.get_masses().sum() / atoms.get_volume() * G_PER_CM3)


def analyse(atoms: Atoms) -> GlassReport:
    """Return the report of a silica glass, with or without water. UserError when it holds no Si or no O."""
    symbols = np.array(atoms.get_chemical_symbols())
    missing = [name for name in ("Si", "O") if name not in symbols]
    if missing:
        raise UserError(
            f"a structure of {atoms.get_chemical_formula()} has no {missing[0]}; the report describes silica."
        )
    cutoffs = {("Si", "O"): SI_O_CUTOFF, ("O", "H"): O_H_CUTOFF}
    first, second, distances, vectors = neighbor_list("ijdD", atoms, cutoffs)
    is_si, is_o, is_h = symbols == "Si", symbols == "O", symbols == "H"
    neighbours = np.bincount(first, minlength=len(atoms))
    hydrogens = np.bincount(first[is_h[second]], minlength=len(atoms))
    network_o = is_o & ((neighbours > hydrogens) | (hydrogens == 0))
    si_defects = int((neighbours[is_si] != 4).sum())
    o_defects = int((neighbours[network_o] != 2).sum())
    from_si = is_si[first] & is_o[second]
    from_o = is_o[first] & is_si[second]
    bridges = _angles(first[from_o], vectors[from_o])
    return GlassReport(
        formula=atoms.get_chemical_formula(),
        atoms=len(atoms),
        cell=tuple(float(value) for value in atoms.cell.cellpar()),
        density=density(atoms),
        si_coordination=_histogram(neighbours[is_si]),
        o_coordination=_histogram(neighbours[network_o]),
        si_defects=si_defects,
        o_defects=o_defects,
        defect_fraction=(si_defects + o_defects) / int(is_si.sum() + network_o.sum()),
        si_o=Spread.of(distances[from_si]),
        si_o_si=Spread.of(bridges),
        o_si_o=Spread.of(_angles(first[from_si], vectors[from_si])),
        si_o_si_histogram=_histogram((bridges // BIN_DEGREES * BIN_DEGREES).astype(int)),
    )
