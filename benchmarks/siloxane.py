"""The water of inputs/siloxane-water.yaml opens the ring: ASE's NEB with mapmpi's LAMMPS, beside mapmpi's own path.

    python benchmarks/siloxane.py inputs/siloxane-water.yaml

The water's oxygen is pulled to the silicon, then its hydrogen to the oxygen between the two silicons, by springs, with
everything else relaxed; what is left when the springs are off is the opened ring. The frames of this way are the first
band of ASE's NEB (improved tangent, FIRE); a second band between the neighbours of its highest image climbs.
Nothing of mapmpi's path/ takes part.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import mpi4py.MPI  # noqa: F401  (before LAMMPS, which needs it)
import numpy as np
from ase import Atoms
from ase.mep import NEB
from ase.optimize import BFGS, FIRE
from engine_calculator import EngineCalculator
from scipy.optimize import minimize

from mapmpi.md.engine import Engine
from mapmpi.md.factory import make_engine
from mapmpi.structures.inputs import read_input

IMAGES = 11
"""With both ends."""
SPRING = 30.0
"""eV/Å² of the springs that pull."""
BOUND, TRANSFERRED, STEP = 1.65, 0.97, 0.1
"""Å: lengths at which the springs end, and by which they become shorter."""
ROUGH, FINE, ROUGH_STEPS, FINE_STEPS = 0.15, 0.05, 80, 250
"""eV/Å, and steps of FIRE, of the whole band, and of that between the neighbours of its highest image, which climbs:
the pass is narrow, and ReaxFF not smooth enough for less."""

Spring = tuple[int, int, float]
"""Two atoms (from 0) and a length in Å."""


def pulled(engine: Engine, positions: np.ndarray, springs: list[Spring]) -> np.ndarray:
    """Return positions (n, 3) Å at which the energy with that of the springs is least."""

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        places = flat.reshape(-1, 3)
        energy, forces = engine.evaluate(places)
        slope = -np.array(forces)
        for one, other, length in springs:
            apart = places[one] - places[other]
            distance = float(np.linalg.norm(apart))
            energy += 0.5 * SPRING * (distance - length) ** 2
            push = SPRING * (distance - length) * apart / distance
            slope[one] += push
            slope[other] -= push
        held = engine.atoms.constraints[0].get_indices()
        slope[held] = 0.0
        return energy, slope.ravel()

    options = {"maxfun": 300, "maxiter": 300}
    return minimize(value, positions.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(-1, 3)


def opening(engine: Engine, atoms: Atoms, water: int, silicon: int) -> list[np.ndarray]:
    """Return the way (frames of (n, 3) Å) on which the water opens the ring; indices from 0."""
    places, frames = atoms.positions.copy(), [atoms.positions.copy()]

    def distance(one: int, other: int) -> float:
        return float(np.linalg.norm(places[one] - places[other]))

    for length in np.arange(distance(water, silicon), BOUND, -STEP):
        places = pulled(engine, places, [(water, silicon, float(length))])
        frames.append(places)
    bridges = [number for number in (1, 3) if atoms.symbols[number] == "O"]
    hydrogen, bridge = min(
        ((one, other) for one in (water + 1, water + 2) for other in bridges), key=lambda pair: distance(*pair)
    )
    for length in np.arange(distance(hydrogen, bridge), TRANSFERRED, -STEP):
        places = pulled(engine, places, [(water, silicon, BOUND), (hydrogen, bridge, float(length))])
        frames.append(places)
    return [*frames, pulled(engine, places, [])]


def band(atoms: Atoms, way: list[np.ndarray], calculator: EngineCalculator) -> list[Atoms]:
    """Return IMAGES images at equal distances along a way (frames of (n, 3) Å), all with one calculator."""
    flat = np.array(way).reshape(len(way), -1)
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(flat, axis=0), axis=1))])
    images = []
    for share in np.linspace(0.0, lengths[-1], IMAGES):
        image = atoms.copy()
        places = np.array([np.interp(share, lengths, column) for column in flat.T]).reshape(-1, 3)
        image.set_positions(places, apply_constraint=False)
        image.calc = calculator
        images.append(image)
    return images


def relax(images: list[Atoms], fmax: float, steps: int, climb: bool) -> float:
    """Relax a band between its ends by FIRE; return the largest force that is left on an image, in eV/Å."""
    neb = NEB(images, method="improvedtangent", climb=climb, allow_shared_calculator=True)
    FIRE(neb, logfile=None).run(fmax=fmax, steps=steps)
    return float(np.linalg.norm(neb.get_forces().reshape(-1, 3), axis=1).max())


def main() -> None:
    """Print the barrier there and back."""
    parser = argparse.ArgumentParser(description="An independent NEB of the ring's opening by ASE.")
    parser.add_argument("input", type=Path)
    parser.add_argument("--output", type=Path, help="extxyz file for the relaxed band")
    given = parser.parse_args()
    config, atoms = read_input(given.input, [])
    started = time.perf_counter()
    engine = make_engine(config, atoms)
    calculator = EngineCalculator(engine)
    way = opening(engine, atoms, config.structure.tagged_atoms[0] - 1, 0)
    energies = [engine.evaluate(places).energy for places in way]
    print("pulled:", " ".join(f"{energy - energies[0]:.2f}" for energy in energies), flush=True)
    images = band(atoms, way, calculator)
    for end in (images[0], images[-1]):
        BFGS(end, logfile=None).run(fmax=0.01, steps=300)
    relax(images, ROUGH, ROUGH_STEPS, climb=False)
    profile = np.array([image.get_potential_energy() for image in images])
    print("band:", " ".join(f"{energy - profile[0]:.3f}" for energy in profile), flush=True)
    top = int(profile[1:-1].argmax()) + 1
    beside = band(atoms, [images[number].positions for number in (top - 1, top, top + 1)], calculator)
    residual = relax(beside, FINE, FINE_STEPS, climb=True)
    narrow = np.array([image.get_potential_energy() for image in beside])
    print("its top:", " ".join(f"{energy - profile[0]:.3f}" for energy in narrow))
    print(
        f"{given.input.name}: barrier {narrow.max() - profile[0]:.3f} eV, back {narrow.max() - profile[-1]:.3f} eV; "
        f"largest force {residual:.3f} eV/Å, {calculator.calls} force calls, {time.perf_counter() - started:.0f} s"
    )
    if given.output is not None:
        from ase.io import write

        write(given.output, [*images[:top], *beside[1:-1], *images[top + 1 :]], format="extxyz")


if __name__ == "__main__":
    main()
