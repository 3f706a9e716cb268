"""The simulated engine: forces against differences, its known barrier, both phases on it, and lean agents."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from conftest import ROOT, mpiexec

from mapmpi.config import Config
from mapmpi.md.simulated import BARRIER_EV, SimulatedEngine
from mapmpi.store.metrics import read_learner
from mapmpi.store.rundir import RunDirectory
from mapmpi.structures.inputs import resized

INPUT = """
structure: {file: %s, tagged_atoms: [193], molecule_atoms: [193, 194, 195]}
forcefield: {simulated: {seconds: 0.002, spread: 0.3, atoms: 390}}
goal: {distance: 5.2}
train: {stop: {actions: 120, wall_time: 90s}, report_interval: 1s}
"""


def engine(tmp_path: Path) -> SimulatedEngine:
    atoms = bulk("Si", cubic=True).repeat(2)
    (tmp_path / "unused.xyz").touch()
    config = Config.model_validate(
        {
            "structure": {"file": tmp_path / "unused.xyz", "tagged_atoms": [1, 2], "molecule_atoms": [1, 2, 3]},
            "goal": {"distance": 5.0},
            "forcefield": {"simulated": {"seconds": 0.0}},
        }
    )
    return SimulatedEngine(config, atoms)


def test_forces_are_the_slope_of_the_energy(tmp_path: Path) -> None:
    simulated = engine(tmp_path)
    positions = simulated.positions() + np.random.default_rng(1).normal(size=(64, 3)) * 0.2
    _, forces = simulated.evaluate(positions)
    for atom, axis in ((0, 0), (0, 1), (1, 1), (2, 2), (40, 0)):
        moved = positions.copy()
        moved[atom, axis] += 1e-4
        higher, _ = simulated.evaluate(moved)
        moved[atom, axis] -= 2e-4
        lower, _ = simulated.evaluate(moved)
        assert forces[atom, axis] == pytest.approx(-(higher - lower) / 2e-4, abs=1e-5)


def test_the_molecule_follows_the_tether_over_the_known_barrier(tmp_path: Path) -> None:
    simulated = engine(tmp_path)
    start, period = simulated.tagged_position(), simulated.periods[0]
    energies = []
    for way in np.arange(0.0, period + 0.01, 0.05):
        simulated.set_tether(start + [way, 0.0, 0.0])
        energies.append(simulated.relax(40).energies[-1])
    assert max(energies) == pytest.approx(BARRIER_EV, abs=0.01)
    np.testing.assert_allclose(simulated.tagged_position() - start, [period, 0.0, 0.0], atol=0.03)
    assert simulated.quench(0.001).energy == pytest.approx(0.0, abs=1e-6)


def test_there_are_lanes_with_half_the_barrier(tmp_path: Path) -> None:
    simulated = engine(tmp_path)
    period, half = simulated.periods[0], 0.5 * simulated.atoms.cell.lengths()[1:]
    energies = [simulated._landscape(np.array([x, *half]))[0] for x in (0.0, 0.5 * period)]
    np.testing.assert_allclose(energies, [0.0, 0.5 * BARRIER_EV], atol=1e-12)


def test_the_energy_is_as_periodic_as_the_cell(tmp_path: Path) -> None:
    simulated = engine(tmp_path)
    place = np.array([0.7, -1.1, 2.3])
    here = simulated._landscape(place)[0]
    for edge in np.diag(simulated.atoms.cell.lengths()):
        assert simulated._landscape(place + edge)[0] == pytest.approx(here, abs=1e-12)


def test_a_rank_beside_the_learner_may_be_idle(tmp_path: Path) -> None:
    """Two nodes of two ranks, and agents of two: rank 1 has nobody to make an agent with."""
    program = tmp_path / "two_nodes.py"
    program.write_text(
        "import sys\nfrom mapmpi.parallel import layout\nfrom mapmpi.train.run import main\n"
        "layout._nodes = lambda world: [0, 0, 1, 1]\nsys.exit(main(sys.argv[1:]))\n"
    )
    path = tmp_path / "input.yaml"
    path.write_text(INPUT % (ROOT / "inputs" / "silica-small.data"))
    settings = [word for one in ("train.ranks_per_agent=2", "train.stop.actions=20") for word in ("--set", one)]
    done = mpiexec(4, program, path, "--run-dir", tmp_path / "run", *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Idle: ranks 1 do not fill a group" in done.stdout


def test_a_structure_is_repeated_or_cut_to_its_size() -> None:
    atoms = bulk("Si", cubic=True)
    assert len(resized(atoms, 5)) == 5
    larger = resized(atoms, 20)
    np.testing.assert_allclose(larger.positions[:8], atoms.positions)
    np.testing.assert_allclose(larger.cell.lengths(), atoms.cell.lengths() * [3, 1, 1])


def test_both_phases_run_on_it(tmp_path: Path) -> None:
    file, run = tmp_path / "input.yaml", tmp_path / "run"
    file.write_text(INPUT % (ROOT / "inputs" / "silica-small.data"))
    done = mpiexec(4, "-m", "mapmpi.train", file, "--run-dir", run)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "simulated" in done.stdout
    rows = read_learner(RunDirectory(run).learner)
    assert rows["actions"][-1] >= 120
    done = mpiexec(2, "-m", "mapmpi.pneb", run)
    assert done.returncode == 0, done.stdout + done.stderr
    with (run / "pathways" / "pathways.csv").open() as table:
        row = next(csv.DictReader(table))
    assert 0.5 * BARRIER_EV - 0.005 < float(row["highest_barrier_ev"]) < BARRIER_EV + 0.005
    assert row["status"] == "complete"


LEAN = "import sys, mapmpi.%s.run; print(*sorted({name.partition('.')[0] for name in sys.modules}))"


@pytest.mark.parametrize("phase", ["train", "pneb"])
def test_a_rank_that_only_computes_loads_no_more_than_it_needs(tmp_path: Path, phase: str) -> None:
    script = tmp_path / "lean.py"
    script.write_text(LEAN % phase)
    loaded = set(mpiexec(1, script).stdout.split())
    assert {"mapmpi", "numpy", "mpi4py"} <= loaded
    assert not loaded & {"scipy", "torch", "matplotlib"}
