"""How much of an agent's time is molecular dynamics, and what our ReaxFF settings gain and cost.

    python benchmarks/environment.py [--quick]

Prints, measured in this one run: the MD time of bare LAMMPS over the time of ``Environment.step`` for the same
steps; MD steps/s with our settings over LAMMPS's usual ones (default control file, QEq to 1e-6 in every step,
skin 2.0 Å); and the errors of both along a dragged path against converged settings (three-body cutoff 1e-6,
QEq to 1e-10, no tables). The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from mapmpi.threads import one_thread_per_rank

one_thread_per_rank()

import numpy as np  # noqa: E402  (after the threads are set)

from mapmpi.config import ForceField  # noqa: E402
from mapmpi.env.environment import Environment  # noqa: E402
from mapmpi.md.factory import make_engine  # noqa: E402
from mapmpi.md.forcefield import installed_file  # noqa: E402
from mapmpi.structures.inputs import read_input  # noqa: E402

INPUT = Path(__file__).parent.parent / "inputs" / "silica-small.yaml"
USUAL = ForceField(
    commands=[
        "pair_style reaxff NULL safezone 1.6 mincap 100",
        f'pair_coeff * * "{installed_file("ffield.reax")}" {{elements}}',
        "fix charges all qeq/reaxff 1 0.0 10.0 1e-6 reaxff maxiter 400",
    ],
    skin=2.0,
)
CONVERGED = ForceField(thb_cutoff=1e-6, qeq_tolerance=1e-10, table_points=0)


def with_forces(config, forcefield):
    """Return the configuration with another force field."""
    return config.model_copy(update={"forcefield": forcefield})


def md_fraction(config, atoms, actions: int) -> tuple[float, list[np.ndarray]]:
    """Return bare MD time over ``step`` time, pair by pair on the same agent positions, and the path's frames."""
    environment = Environment(config, lambda: make_engine(config, atoms))
    bare = make_engine(config, atoms)
    bare.restore(bare.snapshot(), seed=1)
    bare.run(40)
    environment.reset(1)
    steps = config.dynamics.steps_per_action
    in_step, in_md, frames = 0.0, 0.0, []
    for _ in range(actions):
        began = time.perf_counter()
        step = environment.step(0)
        in_step += time.perf_counter() - began
        if step.frame is None:
            environment.reset(1)
            continue
        bare.set_tether(step.frame.agent_position)
        began = time.perf_counter()
        bare._lammps.command(f"run {steps} pre no post no")  # LAMMPS itself, nothing of ours around it
        in_md += time.perf_counter() - began
        frames.append(step.frame.positions)
    return in_md / in_step, frames


def speedup(config, atoms, repeats: int) -> tuple[float, float, float]:
    """Return the median ratio ours/usual, and the median steps/s of both, measured in turn."""
    engines = [make_engine(with_forces(config, forces), atoms) for forces in (config.forcefield, USUAL)]
    for engine in engines:
        engine.restore(engine.snapshot(), seed=1)
        engine.run(20)
    rates = np.empty((repeats, 2))
    for row in rates:
        for column, engine in enumerate(engines):
            began = time.perf_counter()
            engine.run(40)
            row[column] = 40 / (time.perf_counter() - began)
    return float(np.median(rates[:, 0] / rates[:, 1])), *(float(value) for value in np.median(rates, axis=0))


def errors(config, atoms, frames) -> dict[str, tuple[float, float]]:
    """Return for ours and usual: largest error of an energy difference in eV, RMS error of a force in eV/Å."""
    engines = {"ours": config.forcefield, "usual": USUAL, "converged": CONVERGED}
    found = {}
    for name, forces in engines.items():
        engine = make_engine(with_forces(config, forces), atoms)
        answers = [engine.evaluate(frame) for frame in frames]
        found[name] = np.array([a[0] for a in answers]), np.array([a[1] for a in answers])
    energies, exact = found.pop("converged")
    result = {}
    for name, (values, forces) in found.items():
        apart = (values - values[0]) - (energies - energies[0])
        result[name] = float(np.abs(apart).max()), float(np.sqrt(((forces - exact) ** 2).mean()))
    return result


def main() -> None:
    """Measure, print a table, and last the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repeats, a minute or less")
    quick = parser.parse_args().quick
    config, atoms = read_input(INPUT, [])
    fraction, frames = md_fraction(config, atoms, 20)
    ratio, ours, usual = speedup(config, atoms, 6 if quick else 25)
    error = errors(config, atoms, frames)
    print(f"MD of bare LAMMPS / step(): {fraction:.3f}")
    print(f"MD steps/s: ours {ours:.1f}, usual {usual:.1f}; ratio of pairs, median {ratio:.3f}")
    for name, (energy, force) in error.items():
        print(
            f"{name}: energy differences within {1000 * energy:.2f} meV, forces {force:.5f} eV/Å RMS of converged"
        )
    figures = {
        "md_fraction": fraction,
        "settings_speedup": ratio,
        "energy_error_ev": error["ours"][0],
        "force_error_ev_per_angstrom": error["ours"][1],
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
