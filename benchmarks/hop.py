"""A hop of a refined pathway once more, by ASE's NEB with the run's own forces.

    python benchmarks/hop.py RUN_DIR agent-00002-episode-00005 1

The two basins of the hop (from 1) are relaxed by BFGS, a band of nine images straight between them by FIRE (improved
tangent), and then with its highest image climbing. Nothing of mapmpi's path/ takes part, but the basins come from it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import mpi4py.MPI  # noqa: F401  (before LAMMPS, which needs it)
import numpy as np
from ase.mep import NEB
from ase.optimize import BFGS, FIRE
from engine_calculator import EngineCalculator

from mapmpi import load, read_pathway
from mapmpi.md.factory import make_engine

IMAGES = 9
"""With both ends."""
ENDS, ROUGH, FINE, STEPS = 0.01, 0.1, 0.03, 200
"""eV/Å: of the ends, of the band before its highest image climbs, and at last; and steps of each at most."""


def main() -> None:
    """Print the barrier there and back, beside mapmpi's."""
    parser = argparse.ArgumentParser(description="An independent NEB by ASE for a hop of a refined pathway.")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("pathway", help="name of a file in RUN_DIR/pathways")
    parser.add_argument("hop", type=int, help="from 1")
    given = parser.parse_args()
    pathway = read_pathway(given.run_dir, given.pathway).pathway
    config = load(given.run_dir / "config.yaml")
    images = [pathway.atoms.copy() for _ in range(IMAGES)]
    calculator = EngineCalculator(make_engine(config, pathway.atoms))
    started = time.perf_counter()
    for image, basin in ((images[0], given.hop - 1), (images[-1], given.hop)):
        image.positions = pathway.basins[basin].positions
        image.calc = calculator
        BFGS(image, logfile=None).run(fmax=ENDS, steps=STEPS)
    for share, image in zip(np.linspace(0.0, 1.0, IMAGES)[1:-1], images[1:-1], strict=True):
        image.positions = (1.0 - share) * images[0].positions + share * images[-1].positions
        image.calc = calculator
    band = NEB(images, method="improvedtangent", allow_shared_calculator=True)
    FIRE(band, logfile=None).run(fmax=ROUGH, steps=STEPS)
    band.climb = True
    FIRE(band, logfile=None).run(fmax=FINE, steps=STEPS)
    energies = np.array([image.get_potential_energy() for image in images])
    residual = np.linalg.norm(band.get_forces().reshape(-1, 3), axis=1).max()
    own = [pathway.barriers_ev(backward)[given.hop - 1] for backward in (False, True)]
    print(
        f"{given.pathway}, hop {given.hop}: barrier {energies.max() - energies[0]:.3f} eV, back "
        f"{energies.max() - energies[-1]:.3f} eV (mapmpi: {own[0]:.3f}, {own[1]:.3f}); largest force {residual:.3f} "
        f"eV/Å, {calculator.calls} force calls, {time.perf_counter() - started:.0f} s"
    )


if __name__ == "__main__":
    main()
