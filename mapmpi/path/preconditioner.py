"""A model of the stiffness of a solid: the metric in which quench, band and saddle search take their steps.

Bonds are stiff and everything else is soft; in Cartesian coordinates an optimizer spends its force calls on
learning that. In the metric of a stiffness matrix P made from the distances alone (Packwood et al., J. Chem.
Phys. 144, 164109 (2016); for bands Makri, Ortner and Kermode, ibid. 150, 094109 (2019)) a solid looks nearly
isotropic, and one measured number, the scale, is left to be found by the optimizer itself.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from scipy.sparse import coo_matrix, csc_matrix, diags, identity
from scipy.sparse.linalg import SuperLU, splu

from mapmpi.md.fixed import is_fixed

DECAY = 3.0
"""Stiffness of a pair at distance d: exp(-DECAY·(d/d₀ - 1)), d₀ the sum of the covalent radii."""
REACH = 1.8
"""Pairs farther apart than REACH·d₀ do not count."""
BENDING = 0.1
"""Stiffness across a bond in units of that along it."""
ANCHOR = 0.05
"""Stiffness of every atom against a fixed background: it makes P positive definite."""
UNIT = 30.0
"""eV/Å² of a bond at d₀; of no importance after the first step."""


class Metric:
    """P (3n, 3n) in eV/Å²; displacements have lengths √(sᵀPs), forces √(fᵀP⁻¹f).

    It is the stiffness of ``atoms`` (elements, cell, periodicity, which are fixed) at ``positions`` (n, 3) Å.
    ``mobile`` (n,) bool tells which atoms move. Nothing couples to the others: without a force they stay exactly.
    Pickled it is what it was made from, not the matrix.
    """

    def __init__(self, atoms: Atoms, positions: np.ndarray) -> None:
        self._atoms = Atoms(atoms.numbers, positions, cell=atoms.cell, pbc=atoms.pbc)
        self.mobile = ~is_fixed(atoms)

    def __getstate__(self) -> dict[str, object]:
        return {"_atoms": self._atoms, "mobile": self.mobile}

    @cached_property
    def _matrix(self) -> csc_matrix:
        """P, made when it is first needed: a metric that is only sent to another rank needs none here."""
        matrix = _bonds(self._atoms) + ANCHOR * identity(3 * len(self._atoms))
        if not self.mobile.all():
            free = np.repeat(self.mobile, 3).astype(float)
            matrix = diags(free) @ matrix @ diags(free) + diags(1.0 - free)
        return (UNIT * matrix).tocsc()

    @cached_property
    def _factors(self) -> SuperLU:
        return splu(self._matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})

    def times(self, displacement: np.ndarray) -> np.ndarray:
        """Return P·s (…, n, 3) eV/Å of displacements (…, n, 3) Å, also flat ones (3n,)."""
        columns = displacement.reshape(-1, self._matrix.shape[0]).T
        return (self._matrix @ columns).T.reshape(displacement.shape)

    def solve(self, forces: np.ndarray) -> np.ndarray:
        """Return P⁻¹·f (…, n, 3) Å of forces (…, n, 3) eV/Å, also flat ones (3n,)."""
        columns = np.ascontiguousarray(forces.reshape(-1, self._matrix.shape[0]).T)
        return self._factors.solve(columns).T.reshape(forces.shape)

    def length(self, displacement: np.ndarray) -> float:
        """Return √(sᵀPs) of a displacement (…, n, 3) Å."""
        return float(np.sqrt((displacement * self.times(displacement)).sum()))

    def force_length(self, forces: np.ndarray) -> float:
        """Return √(fᵀP⁻¹f) of forces (…, n, 3) eV/Å."""
        return float(np.sqrt((forces * self.solve(forces)).sum()))


def _bonds(atoms: Atoms) -> csc_matrix:
    """Return the stiffness of all pairs, Σ k(d)·(r̂r̂ᵀ + BENDING·(1 - r̂r̂ᵀ)), without its unit."""
    radii = covalent_radii[atoms.numbers]
    first, second, vectors, distances = neighbor_list("ijDd", atoms, REACH * radii)
    stiffness = np.exp(-DECAY * (distances / (radii[first] + radii[second]) - 1))
    along = vectors / distances[:, None]
    blocks = (1 - BENDING) * along[:, :, None] * along[:, None, :] + BENDING * np.eye(3)
    blocks *= stiffness[:, None, None]
    rows = np.broadcast_to(3 * first[:, None, None] + np.arange(3)[:, None], blocks.shape)
    own = np.broadcast_to(3 * first[:, None, None] + np.arange(3), blocks.shape)
    other = np.broadcast_to(3 * second[:, None, None] + np.arange(3), blocks.shape)
    size = 3 * len(atoms)
    diagonal = coo_matrix((blocks.ravel(), (rows.ravel(), own.ravel())), shape=(size, size))
    cross = coo_matrix((blocks.ravel(), (rows.ravel(), other.ravel())), shape=(size, size))
    return (diagonal - cross).tocsc()
