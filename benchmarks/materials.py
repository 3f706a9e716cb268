"""An independent barrier beside mapmpi's: ASE's own NEB, with LAMMPS or EMT through ASE's own calculators.

    python benchmarks/materials.py inputs/copper-vacancy.yaml
    python benchmarks/materials.py inputs/nickel-hydrogen.yaml --to 0.88 0.88 0.88

The tagged atom of the input is moved by ``--to`` (Å; by default the hop that ``prepare`` means), both ends are relaxed
by BFGS, and a band of nine images with the climbing image (improved tangent) is relaxed by FIRE. Nothing of mapmpi's
path/ takes part.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import mpi4py.MPI  # noqa: F401  (before LAMMPS, which needs it)
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lammpslib import LAMMPSlib
from ase.mep import NEB
from ase.optimize import BFGS, FIRE

from mapmpi.config import ForceField, unit
from mapmpi.md.forcefield import installed_file
from mapmpi.structures.crystals import SHARE
from mapmpi.structures.inputs import read_input

IMAGES = 7
"""Between the two ends."""
ENDS, ROUGH, FINE = 0.005, 0.1, 0.01
"""eV/Å: of the relaxed ends, of the band before its highest image climbs, and at last."""


def calculator(forcefield: ForceField, atoms: Atoms) -> Calculator:
    """Return ASE's calculator for a force field: EMT, or LAMMPS with commands in metal units."""
    if forcefield.ase == "emt":
        return EMT()
    if forcefield.commands is None or forcefield.units != "metal":
        raise SystemExit("expected EMT, or commands in metal units")
    os.environ.setdefault("LAMMPS_POTENTIALS", str(installed_file("Cu_u3.eam").parent))
    elements = sorted(set(atoms.get_chemical_symbols()))
    commands = [command.replace("{elements}", " ".join(elements)) for command in forcefield.commands]
    types = {element: number for number, element in enumerate(elements, start=1)}
    return LAMMPSlib(lmpcmds=commands, atom_types=types, keep_alive=True, log_file=None)


def neb(initial: Atoms, final: Atoms, forces: Callable[[], Calculator]) -> tuple[np.ndarray, float]:
    """Return the energies (images,) of a relaxed band in eV above its first image, and the largest force in eV/Å."""
    for end in (initial, final):
        end.calc = forces()
        BFGS(end, logfile=None).run(fmax=ENDS, steps=300)
    images = [initial, *(initial.copy() for _ in range(IMAGES)), final]
    for image in images[1:-1]:
        image.calc = forces()
    band = NEB(images, method="improvedtangent")
    band.interpolate(mic=True)
    FIRE(band, logfile=None).run(fmax=ROUGH, steps=300)
    band.climb = True
    FIRE(band, logfile=None).run(fmax=FINE, steps=600)
    energies = np.array([image.get_potential_energy() for image in images])
    residual = float(np.linalg.norm(band.get_forces().reshape(-1, 3), axis=1).max())
    return energies - energies[0], residual


def main() -> None:
    """Print the barrier there and back."""
    parser = argparse.ArgumentParser(description="An independent NEB by ASE for an input.")
    parser.add_argument("input", type=Path)
    parser.add_argument("--to", type=float, nargs=3, metavar=("X", "Y", "Z"), help="Å by which the atom is moved")
    given = parser.parse_args()
    config, atoms = read_input(given.input, [])
    way = np.array(given.to) if given.to else unit(config.goal.direction) * config.goal.distance / SHARE
    final = atoms.copy()
    final.positions[config.structure.tagged_atoms[0] - 1] += way
    started = time.perf_counter()
    energies, residual = neb(atoms, final, lambda: calculator(config.forcefield, atoms))
    top = float(energies.max())
    print(
        f"{given.input.name}, {np.linalg.norm(way):.3f} Å: barrier {top:.4f} eV, back {top - energies[-1]:.4f} eV; "
        f"largest force {residual:.3f} eV/Å, {time.perf_counter() - started:.1f} s"
    )


if __name__ == "__main__":
    main()
