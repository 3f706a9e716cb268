"""Amorphous polyethylene: straight chains in a wide cell, which is made smaller step by step while they fold.

Each step brings the chains' centers nearer, relaxes, and runs a little hot dynamics, all by the force field that the
material will have.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
from ase import Atoms
from ase.geometry import find_mic
from ase.neighborlist import neighbor_list
from scipy.spatial.transform import Rotation

from mapmpi.config import Dynamics, ForceField
from mapmpi.errors import UserError
from mapmpi.structures.analysis import G_PER_CM3
from mapmpi.structures.insert import neighbourhood

CC, CH, CCC, HCH = 1.53, 1.09, 112.0, 107.0
"""Å and degrees of a paraffin chain before it is relaxed."""

DILUTE = 0.15
"""g/cm³ of the wide cell in which chains are placed."""

APART = 2.2
"""Å between atoms of different chains there."""

TRIES = 20000
"""Random places and orientations of a chain before giving up."""

SHRINK = 0.05
"""Fraction by which the cell's edge becomes shorter in a step, at most."""

KELVIN, TIMESTEP_FS, STEPS = 500.0, 0.25, 200
"""Of the dynamics of each step; reactive hydrogen needs the short step."""

REST_STEPS = 2000
"""MD steps at last, cooled from KELVIN to 300 K."""


def chain(carbons: int) -> Atoms:
    """Return the straight CnH2n+2 of ``carbons`` atoms, its carbons along x, with no cell."""
    angle, half = np.radians(CCC) / 2, np.radians(HCH) / 2
    along, up = CC * np.sin(angle), CC * np.cos(angle)
    atoms = Atoms()
    for number in range(carbons):
        side = 1 if number % 2 else -1
        carbon = np.array([number * along, side * up / 2, 0.0])
        atoms += Atoms("C", [carbon])
        for z in (-1, 1):
            atoms += Atoms("H", [carbon + CH * np.array([0.0, side * np.cos(half), z * np.sin(half)])])
    for end, side_x in ((0, -1), (carbons - 1, 1)):
        side = 1 if end % 2 else -1
        carbon = np.array([end * along, side * up / 2, 0.0])
        atoms += Atoms("H", [carbon + CH * np.array([side_x * np.sin(angle), -side * np.cos(angle), 0.0])])
    return atoms


def dilute(chains: int, carbons: int, seed: int) -> Atoms:
    """Return chains at random places of a wide periodic cube; array ``chain`` has their numbers.

    Raises UserError when they do not fit.
    """
    random, one = np.random.default_rng(seed), chain(carbons)
    arms = one.positions - one.positions.mean(axis=0)
    edge = float((chains * one.get_masses().sum() * G_PER_CM3 / DILUTE) ** (1 / 3))
    if np.ptp(arms[:, 0]) + APART > edge:
        raise UserError(
            f"{chains} chains of {carbons} carbons: a straight one does not fit; choose more or shorter ones."
        )
    atoms = Atoms(cell=[edge] * 3, pbc=True)
    for _ in range(chains):
        for _ in range(TRIES):
            turn = Rotation.random(random_state=int(random.integers(2**31))).as_matrix()
            places = arms @ turn.T + random.uniform(0, edge, 3)
            if not len(atoms) or neighbourhood(atoms).query(places % edge)[0].min() > APART:
                atoms += Atoms(one.symbols, places)
                break
        else:
            raise UserError(f"{chains} chains of {carbons} carbons do not fit; choose fewer or another --seed.")
    atoms.set_array("chain", np.repeat(np.arange(chains), len(one)))
    return atoms


def compress(
    atoms: Atoms,
    density: float,
    forcefield: ForceField,
    seed: int,
    comm: Any,
    progress: Callable[[str, float], None],
) -> Atoms:
    """Return the chains in a cube of ``density`` g/cm³, at a minimum after cooling to 300 K; positions unwrapped.

    Raises EngineError when the dynamics fail, and UserError where chains have reacted.
    """
    from mapmpi.md.lammps_engine import LammpsEngine  # only here: who looks at a structure needs no LAMMPS

    bonds = bond_count(atoms)
    start = float(atoms.cell[0, 0])
    edge = float((atoms.get_masses().sum() * G_PER_CM3 / density) ** (1 / 3))
    edges = np.geomspace(start, edge, max(2, int(np.ceil(np.log(start / edge) / SHRINK)) + 1))
    dynamics = Dynamics(temperature=KELVIN, timestep=TIMESTEP_FS, damping=50.0, max_temperature=10 * KELVIN)
    atoms = atoms.copy()
    for number, now in enumerate(edges[1:], start=1):
        _shrink(atoms, now)
        with closing(LammpsEngine(atoms, forcefield, dynamics, [1], comm=comm, seed=seed + number)) as engine:
            engine.quench(fmax=0.5, max_calls=60)
            engine.restore(engine.snapshot(), seed + number)
            last = number == len(edges) - 1
            engine.anneal(KELVIN, 300.0 if last else KELVIN, REST_STEPS if last else STEPS)
            moved = engine.positions()
        atoms.positions += find_mic(moved - atoms.positions, atoms.cell, atoms.pbc)[0]
        progress("compress", number / (len(edges) - 1))
    if bond_count(atoms) != bonds:
        raise UserError("the chains reacted while they were compressed; try another --seed.")
    return atoms


def _shrink(atoms: Atoms, edge: float) -> None:
    """Scale the cell and the chains' centers; the chains stay as they are."""
    share = edge / float(atoms.cell[0, 0])
    numbers = atoms.get_array("chain")
    for number in np.unique(numbers):
        own = numbers == number
        atoms.positions[own] += (share - 1) * atoms.positions[own].mean(axis=0)
    atoms.set_cell([edge] * 3)


def bond_count(atoms: Atoms) -> tuple[int, int]:
    """Return the numbers of C–C bonds (below 1.9 Å) and of C–H bonds (below 1.4 Å)."""
    cutoffs = {("C", "C"): 1.9, ("C", "H"): 1.4}
    first, second = neighbor_list("ij", atoms, cutoffs)
    kinds = atoms.numbers[first] + atoms.numbers[second]
    return int((kinds == 12).sum()) // 2, int((kinds == 7).sum()) // 2
