"""Force calls to a barrier: ours against ASE's NEB with its optimizers, from the same first bands.

    python benchmarks/neb.py [--quick] [--make-segments RUN_DIR]

The bands: segments of pathways of water through silica glass (``data/silica_segments.npz``, made by
``--make-segments`` from a training with ``inputs/silica-small.yaml``), and vacancy hops in Cu, Al and Ni (IDPP). Those
of silica are of two kinds: ``path``, as phase 2 begins with it (the way up to the last frame of a basin and down from
the next frame), and ``hop``, IDPP between two minima that one saddle joins. All are stopped by the same measure: the
largest true force on an atom of the climbing image, or of our saddle, below 0.05 eV/Å, the others' at the first
iteration at which it holds. Theirs: improved tangent, climbing image, k = 0.1 eV/Å² (BFGS is not among them: it
diagonalizes a matrix of all coordinates of the band in every step). The two ends are given and not counted. Our count
is all calls of the search for the saddle; those after it, which only we make (curvatures, quenches from both sides),
are printed as ``checks``.

A method that does not come that far within the cap counts with the calls it has spent, so those ratios are upper
bounds for ours; such bands are listed. Barriers are compared with that of the cheapest other that converged; to see if
both are one saddle's, each is also refined further. A band on which we find no verified saddle is listed and counts as
infinitely many calls of ours. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from mapmpi.threads import one_thread_per_rank

one_thread_per_rank()

import numpy as np  # noqa: E402  (after the threads are set)
from ase import Atoms  # noqa: E402
from ase.build import bulk  # noqa: E402
from ase.mep.neb import NEB, NEBOptimizer  # noqa: E402
from ase.optimize import FIRE, LBFGS  # noqa: E402
from engine_calculator import EngineCalculator  # noqa: E402

from mapmpi.calculation import solve  # noqa: E402
from mapmpi.config import Dynamics, ForceField, Pneb, QuenchSettings, SaddleSettings  # noqa: E402
from mapmpi.md.factory import make_engine  # noqa: E402
from mapmpi.md.forcefield import installed_file  # noqa: E402
from mapmpi.md.lammps_engine import LammpsEngine  # noqa: E402
from mapmpi.path.band import images_for, interpolate, path_lengths, resample, without_drift  # noqa: E402
from mapmpi.path.barrier import BarrierSearch  # noqa: E402
from mapmpi.path.basins import group_basins  # noqa: E402
from mapmpi.path.matching import Matcher, StationaryPoint  # noqa: E402
from mapmpi.path.preconditioner import Metric  # noqa: E402
from mapmpi.path.quench import Minimum, quench  # noqa: E402
from mapmpi.path.saddle import find_saddle  # noqa: E402
from mapmpi.pneb.choose import choose_episodes  # noqa: E402
from mapmpi.pneb.record import load  # noqa: E402
from mapmpi.store.rundir import RunDirectory  # noqa: E402
from mapmpi.structures.inputs import read_input  # noqa: E402

SEGMENTS = Path(__file__).parent / "data" / "silica_segments.npz"
SILICA = Path(__file__).parent.parent / "inputs" / "silica-small.yaml"
HOPS, PATHS = (1.0, 7.0), (1.0, 8.0)
"""Å, over all coordinates: lengths of the hops and paths that become bands; the others get nowhere on longer ones."""
RESIDUAL, FINE = 0.05, 0.02
"""eV/Å: at which all methods are stopped, and to which two saddles are refined to see if they are one."""
SAME_EV = 0.01
SETTINGS = Pneb(saddle=SaddleSettings(force=RESIDUAL, calls=150), quench=QuenchSettings(calls=300))
METALS = {
    "Cu": ("Cu_mishin1.eam.alloy", 3.615),
    "Al": ("Al_zhou.eam.alloy", 4.05),
    "Ni": ("NiAlH_jea.eam.alloy", 3.52),
}


@dataclass
class Case:
    """A segment to be solved: its engine, its first band (m, n, 3) Å."""

    name: str
    engine: LammpsEngine
    band: np.ndarray


def quenched(engine: LammpsEngine, positions: np.ndarray, fmax: float = 0.01) -> Minimum:
    """Return the minimum below some positions."""
    return solve(quench(positions, Metric(engine.atoms, positions), QuenchSettings(force=fmax)), engine.evaluate)


def make_segments(run_dir: Path, episodes: int = 3) -> None:
    """Save the first bands of the best episodes of a training, and of the hops of its refined pathways."""
    config, atoms = read_input(run_dir / "config.yaml", [])
    engine, bands = make_engine(config, atoms), {}
    tagged = [number - 1 for number in config.structure.tagged_atoms]
    matcher = Matcher(atoms.numbers, atoms.cell.array, atoms.pbc, 0.3, 0.02, tagged)
    paths, _ = choose_episodes(RunDirectory.open(run_dir), [], episodes)
    for path in paths:
        minima = [quenched(engine, positions) for positions in path.positions]
        chain = group_basins(dict(enumerate(minima)), matcher)
        for number, (start, end) in enumerate(pairwise(chain.basins)):
            up, down = minima[start.frames[-1]], minima[end.frames[0]]
            labels = chain.labels[start.frames[-1]], chain.labels[end.frames[0]]
            way = [labels[0].apply(one) for one in up.trail[::-1]] + [labels[1].apply(one) for one in down.trail]
            way = without_drift([start.positions, *way, end.positions], atoms)
            band = resample(way, images_for(path_lengths(way)[-1], SETTINGS.band), atoms)
            if PATHS[0] < path_lengths(band)[-1] < PATHS[1]:
                bands[f"path {path.name} {number}"] = band
    for file in sorted((run_dir / "pathways").glob("agent-*.h5")):
        pathway = load(file)
        for number, (start, end) in enumerate(pairwise(pathway.basins)):
            ends = without_drift([start.positions, end.positions], atoms)
            if pathway.hops[number].verified and HOPS[0] < path_lengths(ends)[-1] < HOPS[1]:
                count = images_for(path_lengths(ends)[-1], SETTINGS.band)
                bands[f"hop {pathway.name} {number}"] = interpolate(ends[0], ends[1], count, atoms)
    np.savez_compressed(SEGMENTS, **{name: band.astype(np.float32) for name, band in bands.items()})
    print(f"{len(bands)} segments in {SEGMENTS}: {', '.join(bands)}")


def silica_cases() -> list[Case]:
    """Return the stored segments of silica."""
    config, atoms = read_input(SILICA, [])
    engine = make_engine(config, atoms)
    with np.load(SEGMENTS) as stored:
        return [Case(f"silica {name}", engine, stored[name].astype(float)) for name in stored.files]


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
    ends = without_drift([quenched(engine, place).positions for place in (solid.positions, moved)], solid)
    images = images_for(path_lengths(ends)[-1], SETTINGS.band)
    return Case(f"{element} vacancy", engine, interpolate(ends[0], ends[1], images, solid))


def metal_engine(solid: Atoms, file: str) -> LammpsEngine:
    """Return an engine for a metal with an installed EAM potential."""
    commands = ["pair_style eam/alloy", f'pair_coeff * * "{installed_file(file)}" {{elements}}']
    return LammpsEngine(solid, ForceField(commands=commands, units="metal", skin=1.0), Dynamics(), [1])


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
}


def theirs(case: Case, band: np.ndarray, name: str, cap: int) -> tuple[int, float, StationaryPoint, str]:
    """Return force calls, residual, the climbing image and, if it failed, why."""
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
    return neb.calls, neb.residual, StationaryPoint(images[neb.imax].positions.copy(), neb.top), why


def refined(engine: LammpsEngine, place: StationaryPoint, tangent: np.ndarray) -> float:
    """Return the energy in eV of the saddle near a place, to FINE eV/Å or at a step; NaN where none is found."""
    metric = Metric(engine.atoms, place.positions)
    energy, forces = engine.evaluate(place.positions)
    found = solve(
        find_saddle(place.positions, -forces, energy, tangent, metric, SaddleSettings(force=FINE, calls=400)),
        engine.evaluate,
    )
    return found.energy if found.residual <= FINE or found.on_step else float("nan")


def compare(case: Case, cap: int) -> dict:
    """Solve a case by every method and return what each took."""
    engine, band = case.engine, case.band
    ends = [StationaryPoint(place, engine.evaluate(place)[0]) for place in band[[0, -1]]]
    matcher = Matcher(engine.atoms.numbers, engine.atoms.cell.array, np.ones(3, dtype=bool), 0.3, 0.02)
    found = solve(BarrierSearch(*ends, band, engine.atoms, matcher, SETTINGS).run(), engine.evaluate)
    calls = found.calls - found.check_calls
    solved = found.verification is not None and found.verification.verified
    barrier = found.saddle.energy - ends[0].energy if solved else np.nan
    length = path_lengths(band)[-1]
    print(
        f"{case.name}: {length:.1f} Å, {len(band)} images; ours {calls} calls, {found.status}, "
        f"barrier {barrier:.3f} eV, checks {found.check_calls} calls {found.reason}",
        flush=True,
    )
    row = {"name": case.name, "calls": calls, "solved": solved, "theirs": {}}
    for name in OPTIMIZERS:
        spent, residual, top, why = theirs(case, band, name, cap)
        done = residual < RESIDUAL
        row["theirs"][name] = (spent, done, top)
        print(
            f"    {name:8s} {spent:5d} calls, residual {residual:.3f}, barrier {top.energy - ends[0].energy:.3f} eV"
            f"{'' if done else '  NOT CONVERGED'} {why}",
            flush=True,
        )
    done = [way for way in row["theirs"].values() if way[1]]
    if done and solved:
        cheapest = min(done, key=lambda way: way[0])[2]
        row["apart"] = abs(found.saddle.energy - cheapest.energy)
        pair = [refined(engine, place, found.saddle.mode) - ends[0].energy for place in (found.saddle, cheapest)]
        row["refined_apart"] = abs(pair[0] - pair[1])
        print(f"    refined further: ours {pair[0]:.3f} eV, the cheapest of these {pair[1]:.3f} eV", flush=True)
    return row


def summary(rows: list[dict]) -> dict:
    """Return the medians of the ratios and of the difference between the barriers."""
    fire, best = [], []
    for row in rows:
        ours = row["calls"] if row["solved"] else np.inf
        fire.append(ours / row["theirs"]["FIRE"][0])
        done = [way for way in row["theirs"].values() if way[1]]
        best.append(ours / min(way[0] for way in done or row["theirs"].values()))
        lost = [name for name, way in row["theirs"].items() if not way[1]]
        if lost:
            print(f"not converged within the cap: {row['name']}: {', '.join(lost)}")
        if not row["solved"]:
            print(f"no saddle by us: {row['name']}")
    compared = [row for row in rows if "apart" in row]
    apart = [row["apart"] for row in compared]
    for row in compared:
        if row["apart"] > SAME_EV:
            refined_ev = f"refined further {row['refined_apart']:.3f} eV (nan: one of them leads to no saddle)"
            print(f"other barrier: {row['name']}: {row['apart']:.3f} eV apart, {refined_ev}")
    same = sum(difference <= SAME_EV for difference in apart)
    print(
        f"{len(rows)} bands compared; same barrier within {SAME_EV} eV: {same} of {len(apart)} that another converged"
    )
    return {
        "calls_vs_fire": round(float(np.median(fire)), 3),
        "calls_vs_best": round(float(np.median(best)), 3),
        "barrier_difference_ev": round(float(np.median(apart)), 4) if apart else None,
        "largest_difference_ev": round(max(apart), 4) if apart else None,
        "same_barrier": f"{same} of {len(apart)}",
        "same_saddle": f"{sum(row['refined_apart'] <= SAME_EV for row in compared)} of {len(apart)}",
    }


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="without the paths, and fewer calls for the others: some minutes"
    )
    parser.add_argument(
        "--make-segments", type=Path, metavar="RUN_DIR", help="make the silica segments anew and stop"
    )
    parser.add_argument("--cap", type=int, default=2000, help="force calls after which the others are stopped")
    parser.add_argument("--only", default="", help="bands whose name contains this")
    arguments = parser.parse_args()
    if arguments.make_segments:
        make_segments(arguments.make_segments)
        return
    cap = min(arguments.cap, 600) if arguments.quick else arguments.cap
    cases = [case for case in [*map(vacancy, METALS), *silica_cases()] if arguments.only in case.name]
    if arguments.quick:
        cases = [case for case in cases if " path " not in case.name]
    print(json.dumps(summary([compare(case, cap) for case in cases])))


if __name__ == "__main__":
    main()
