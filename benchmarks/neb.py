"""Force calls to a barrier: ours against ASE's NEB with its optimizers, from the same first bands.

    python benchmarks/neb.py [--quick] [--make-segments]

The bands: consecutive basins of water dragged through silica glass (``data/silica_segments.npz``, made from
``inputs/silica-small.data`` by ``--make-segments``: tether, 40 MD steps an action, a quench of each frame; four
pulls) and vacancy hops in Cu, Al and Ni. First band: IDPP, as many images as :func:`mapmpi.path.band.images_for`
says. Both sides are stopped by the same measure: the largest true force on an atom of the climbing image below
0.05 eV/Å, the others' at the first iteration at which it holds. Theirs: improved tangent, climbing image, k = 0.1
eV/Å² (BFGS is not among them: it diagonalizes a matrix of all coordinates of the band in every step).
The two ends are given and not counted. Our count is all calls of the search: band, modes, saddle, and quenches
of inner images. Quenches from both sides of our saddle, which only we make, are printed as ``sides``.

A method that does not come that far within the cap counts with the calls it has spent, so those ratios are
upper bounds; such bands are listed. Barriers are compared where both have one. Bands for which we report no
saddle (``split`` at an inner image, ``collapsed`` …) are listed too and enter no ratio. The last line is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mapmpi.threads import one_thread_per_rank

one_thread_per_rank()

import numpy as np  # noqa: E402  (after the threads are set)
from ase import Atoms  # noqa: E402
from ase.build import bulk  # noqa: E402
from ase.calculators.calculator import Calculator, all_changes  # noqa: E402
from ase.mep.neb import NEB, NEBOptimizer  # noqa: E402
from ase.optimize import FIRE, LBFGS, MDMin  # noqa: E402

from mapmpi.config import Dynamics, ForceField  # noqa: E402
from mapmpi.md.forcefield import installed_file  # noqa: E402
from mapmpi.md.lammps_engine import LammpsEngine  # noqa: E402
from mapmpi.path.band import images_for, interpolate, path_lengths  # noqa: E402
from mapmpi.path.basins import Matcher, StationaryPoint  # noqa: E402
from mapmpi.path.calculation import solve  # noqa: E402
from mapmpi.path.barrier import find_barrier  # noqa: E402
from mapmpi.path.preconditioner import Metric  # noqa: E402
from mapmpi.path.quench import quench  # noqa: E402
from mapmpi.structures.files import read_structure  # noqa: E402

SEGMENTS = Path(__file__).parent / "data" / "silica_segments.npz"
SILICA = Path(__file__).parent.parent / "inputs" / "silica-small.data"
RESIDUAL = 0.05
PULLS = ((1, 0, 0), (0, 0, 1), (-1, 0, 0), (0, -1, 0))
METALS = {
    "Cu": ("Cu_mishin1.eam.alloy", 3.615),
    "Al": ("Al_zhou.eam.alloy", 4.05),
    "Ni": ("NiAlH_jea.eam.alloy", 3.52),
}


@dataclass
class Case:
    """A segment to be solved: its engine, its ends (n, 3) Å."""

    name: str
    engine: LammpsEngine
    start: np.ndarray
    end: np.ndarray


def silica_engine(tagged: int = 193) -> LammpsEngine:
    """Return an engine for the small silica glass with its water molecule."""
    return LammpsEngine(read_structure(SILICA), ForceField(), Dynamics(), [tagged], spring_constant=100.0)


def quenched(engine: LammpsEngine, positions: np.ndarray, fmax: float = 0.02) -> np.ndarray:
    """Return the minimum (n, 3) Å below some positions."""
    return solve(
        quench(positions, Metric.of_solid(engine.atoms, [positions]), fmax, 400), engine.evaluate
    ).positions


def make_segments(actions: int = 24) -> None:
    """Pull the water through the glass in a few directions and save the pairs of consecutive basins."""
    engine, pairs = silica_engine(), []
    first = quenched(engine, engine.positions())
    for seed, pull in enumerate(PULLS, start=1):
        engine.evaluate(first)
        engine.restore(engine.snapshot(), seed=seed)
        state, agent, last = engine.snapshot(), engine.tagged_position(), first
        for action in range(actions):
            engine.restore(state)
            here = engine.tagged_position()
            ahead = agent + 0.3 * np.array(pull, dtype=float) - here
            agent = here + ahead * min(1.0, 1.5 / np.linalg.norm(ahead))
            engine.set_tether(agent)
            engine.run(40)
            state = engine.snapshot()
            basin = quenched(engine, state.positions)
            moved = np.linalg.norm(basin - last, axis=1).max()
            print(f"pull {pull} action {action}: moved {moved:.2f} Å", flush=True)
            if moved > 0.7:
                pairs.append((last, basin))
            if moved > 0.3:
                last = basin
    starts, ends = (np.array(side, dtype=np.float32) for side in zip(*pairs, strict=True))
    np.savez_compressed(SEGMENTS, starts=starts, ends=ends)
    print(f"{len(pairs)} segments in {SEGMENTS}")


def silica_cases(longest: float) -> list[Case]:
    """Return the stored silica segments whose ends are no farther apart than ``longest`` Å (3n coordinates)."""
    engine, stored = silica_engine(), np.load(SEGMENTS)
    cases = []
    for number, (start, end) in enumerate(zip(stored["starts"], stored["ends"], strict=True)):
        if path_lengths(without_drift([start, end], engine.atoms))[-1] <= longest:
            cases.append(Case(f"silica {number}", engine, start.astype(float), end.astype(float)))
    return cases


def vacancy(element: str) -> Case:
    """Return the hop of a neighbour into a vacancy, 107 atoms."""
    file, lattice = METALS[element]
    solid = bulk(element, "fcc", lattice, cubic=True) * 3
    hopper = int(np.argsort(solid.get_distances(0, range(len(solid)), mic=True))[1])
    way = solid.get_distance(0, hopper, mic=True, vector=True)
    del solid[0]
    engine = metal_engine(solid, file)
    moved = solid.positions.copy()
    moved[hopper - 1] -= way
    return Case(
        f"{element} vacancy", engine, quenched(engine, solid.positions, 0.01), quenched(engine, moved, 0.01)
    )


def metal_engine(solid: Atoms, file: str) -> LammpsEngine:
    """Return an engine for a metal with an installed EAM potential."""
    commands = ["pair_style eam/alloy", f'pair_coeff * * "{installed_file(file)}" {{elements}}']
    return LammpsEngine(solid, ForceField(commands=commands, units="metal", skin=1.0), Dynamics(), [1])


class EngineCalculator(Calculator):
    """An engine as an ASE calculator."""

    implemented_properties = ("energy", "forces")

    def __init__(self, engine: LammpsEngine) -> None:
        super().__init__()
        self.engine = engine

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        energy, forces = self.engine.evaluate(self.atoms.positions)
        self.results = {"energy": energy, "forces": forces}


class Done(Exception):
    """The climbing image is converged, or the cap is reached."""


class CountingNEB(NEB):
    """ASE's NEB that counts force calls and stops by our measure."""

    cap, calls, residual, top = 0, 0, np.inf, np.nan

    def get_forces(self):
        forces = super().get_forces()
        self.calls += self.nimages - 2
        self.residual = float(np.linalg.norm(self.real_forces[self.imax], axis=1).max())
        self.top = float(self.energies[self.imax])
        if self.residual < RESIDUAL or self.calls >= self.cap:
            raise Done
        return forces


OPTIMIZERS = {
    "FIRE": lambda neb: FIRE(neb, logfile=None).run(0.001, steps=10_000),
    "LBFGS": lambda neb: LBFGS(neb, logfile=None).run(0.001, steps=10_000),
    "ODE": lambda neb: NEBOptimizer(neb, logfile=None).run(0.001, steps=10_000),
    "MDMin": lambda neb: MDMin(neb, logfile=None).run(0.001, steps=10_000),
}


def theirs(case: Case, band: np.ndarray, name: str, cap: int) -> tuple[int, float, float, str]:
    """Return force calls, residual, energy of the climbing image and, if it failed, why."""
    images = [Atoms(case.engine.atoms.numbers, p, cell=case.engine.atoms.cell, pbc=True) for p in band]
    for image in images:
        image.calc = EngineCalculator(case.engine)
    images[0].get_forces(), images[-1].get_forces()
    neb = CountingNEB(images, k=0.1, climb=True, method="improvedtangent", allow_shared_calculator=True)
    neb.cap = cap
    why = ""
    try:
        OPTIMIZERS[name](neb)
    except Done:
        pass
    except Exception as error:
        why = " ".join(str(error).split())[:60]
    return neb.calls, neb.residual, neb.top, why


def compare(case: Case, cap: int) -> dict:
    """Solve a case by every method and return what each took."""
    engine = case.engine
    length = path_lengths(without_drift([case.start, case.end], engine.atoms))[-1]
    band = interpolate(case.start, case.end, images_for(length), engine.atoms)
    ends = [StationaryPoint(p, engine.evaluate(p)[0]) for p in band[[0, -1]]]
    matcher = Matcher(engine.atoms.numbers, engine.atoms.cell.array, np.ones(3, dtype=bool), 0.3, 0.02)
    metric = Metric.of_solid(engine.atoms, list(band))
    found = solve(find_barrier(*ends, band, metric, matcher), engine.evaluate)
    calls = found.calls - found.way_down_calls
    solved = found.saddle is not None and found.saddle.residual <= RESIDUAL
    barrier = found.saddle.energy - ends[0].energy if solved else np.nan
    print(
        f"{case.name}: {length:.1f} Å, {len(band)} images; ours {calls} calls, {found.status}, "
        f"barrier {barrier:.3f} eV, sides {found.way_down_calls} calls {found.reason}",
        flush=True,
    )
    row = {"name": case.name, "calls": calls, "barrier": barrier, "solved": solved, "theirs": {}}
    for name in OPTIMIZERS:
        with contextlib.chdir(tempfile.gettempdir()) if hasattr(contextlib, "chdir") else contextlib.nullcontext():
            spent, residual, top, why = theirs(case, band, name, cap)
        done = residual < RESIDUAL
        row["theirs"][name] = (spent, done, top - ends[0].energy)
        print(
            f"    {name:8s} {spent:5d} calls, residual {residual:.3f}, barrier {top - ends[0].energy:.3f} eV"
            f"{'' if done else '  NOT CONVERGED'} {why}",
            flush=True,
        )
    return row


def summary(rows: list[dict]) -> dict:
    """Return the medians of the ratios and of the difference between the barriers."""
    solved = [row for row in rows if row["solved"]]
    fire, best, apart = [], [], []
    for row in solved:
        fire.append(row["calls"] / row["theirs"]["FIRE"][0])
        done = [way for way in row["theirs"].values() if way[1]]
        pool = done or list(row["theirs"].values())
        best.append(row["calls"] / min(way[0] for way in pool))
        if done:
            nearest = min(done, key=lambda way: way[0])
            apart.append((abs(row["barrier"] - nearest[2]), row["name"]))
    for row in rows:
        lost = [name for name, way in row["theirs"].items() if not way[1]]
        if lost:
            print(f"not converged within the cap: {row['name']}: {', '.join(lost)}")
        if not row["solved"]:
            print(f"no saddle by us: {row['name']}")
    for difference, name in sorted(apart):
        if difference > 0.01:
            print(f"another saddle: {name}: barriers differ by {difference:.3f} eV")
    same = sum(difference <= 0.01 for difference, _ in apart)
    print(f"{len(solved)} bands compared; same barrier within 0.01 eV: {same} of {len(apart)}")
    return {
        "calls_vs_fire": round(float(np.median(fire)), 3),
        "calls_vs_best": round(float(np.median(best)), 3),
        "barrier_difference_ev": round(float(np.median([d for d, _ in apart])), 4) if apart else None,
    }


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three short bands, few calls: a minute")
    parser.add_argument("--make-segments", action="store_true", help="make the silica segments anew and stop")
    parser.add_argument("--cap", type=int, default=1500, help="force calls after which the others are stopped")
    arguments = parser.parse_args()
    if arguments.make_segments:
        make_segments()
        return
    if arguments.quick:
        cases, cap = [vacancy("Cu"), *silica_cases(2.0)[:2]], 250
    else:
        cases, cap = [*map(vacancy, METALS), *silica_cases(4.0)], arguments.cap
    print(json.dumps(summary([compare(case, cap) for case in cases])))


if __name__ == "__main__":
    main()
