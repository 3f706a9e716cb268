"""Forces and learned values of exported frames: real trainings, read back by ASE and computed again by ASE alone."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import ase.io
import h5py
import MDAnalysis
import numpy as np
import pytest
import reported
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.geometry import find_mic
from conftest import ROOT, mpiexec

from mapmpi.config import load
from mapmpi.export.run import main
from mapmpi.md.forcefield import installed_file
from mapmpi.report.energymap import read_map
from mapmpi.rl.network import QNetwork, unpack
from mapmpi.store import checkpoint
from mapmpi.store.rundir import RunDirectory
from mapmpi.structures.inputs import read_input
from mapmpi.units import KCAL_PER_MOL_IN_EV

pytestmark = [pytest.mark.mpi, pytest.mark.lammps]


def emt() -> Calculator:
    """Return ASE's EMT."""
    return EMT()


def eam() -> Calculator:
    """Return ASE's own way to LAMMPS's embedded atoms."""
    from ase.calculators.lammpslib import LAMMPSlib

    folder = os.path.relpath(installed_file("Cu_mishin1.eam.alloy"))
    commands = ["pair_style eam/alloy", f"pair_coeff * * {folder} Cu"]
    return LAMMPSlib(lmpcmds=commands, atom_types={"Cu": 1}, keep_alive=True, log_file=None)


MATERIALS: dict[str, Callable[[], Calculator]] = {"copper-adatom": emt, "copper-slab": eam}


@pytest.fixture(scope="module", params=MATERIALS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, RunDirectory]:
    """Return a material's name, and a short training in it with its best path refined."""
    name, run = request.param, tmp_path_factory.mktemp(request.param) / "run"
    few = ("--set", "train.stop.actions=60", "--set", "learning.start=20")
    for words in (("train", ROOT / "inputs" / f"{name}.yaml", "--run-dir", run, *few), ("pneb", run)):
        done = mpiexec(2, "-m", f"mapmpi.{words[0]}", *words[1:])
        assert done.returncode == 0, done.stdout + done.stderr
    return name, RunDirectory.open(run)


def export(run: RunDirectory, file: Path, *words: str) -> list[Atoms]:
    assert main([str(run.path), "--output", str(file), *words]) == 0
    frames = ase.io.read(file, ":") if file.suffix == ".extxyz" else []
    assert isinstance(frames, list)
    return frames


EPISODE = ("--episode", "1:1")


@pytest.mark.parametrize("words", [EPISODE, ()], ids=["episode", "pathway"])
def test_forces_are_those_of_a_fresh_evaluation(
    made: tuple[str, RunDirectory], tmp_path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    name, run = made
    frames = export(run, tmp_path / "film.extxyz", *words, "--forces")
    assert "Forces: " in capsys.readouterr().out
    stored = export(run, tmp_path / "stored.extxyz", *words)
    config, _ = read_input(run.config, ["structure.file=" + str(ROOT / "inputs" / _structure(name))])
    held = np.array(config.structure.fixed_atoms) - 1
    calculator = MATERIALS[name]()
    assert len(frames) == len(stored) > 4
    for frame, before in zip(frames, stored, strict=True):
        fresh = Atoms(frame.symbols, before.positions, cell=frame.cell, pbc=frame.pbc, calculator=calculator)
        forces = fresh.get_forces()
        assert np.abs(forces[held]).max() > 0.01
        forces[held] = 0.0
        np.testing.assert_allclose(
            frame.get_forces(), forces, atol=2e-5
        )  # eight digits of positions are in the file
        assert frame.get_potential_energy() == pytest.approx(fresh.get_potential_energy(), abs=1e-5)
        assert frame.info["stored_energy_ev"] == pytest.approx(before.get_potential_energy(), abs=1e-7)
        assert frame.get_potential_energy() == pytest.approx(before.get_potential_energy(), abs=1e-4)
        assert "forces" not in before.calc.results
    assert max(np.abs(frame.get_forces()).max() for frame in frames) > 0.05


def _structure(name: str) -> str:
    return next(file.name for file in (ROOT / "inputs").glob(f"{name}.*") if file.suffix != ".yaml")


def test_dump_and_h5md_hold_the_same_forces(made: tuple[str, RunDirectory], tmp_path: Path) -> None:
    _, run = made
    frames = export(run, tmp_path / "film.extxyz", *EPISODE, "--forces")
    right = np.array([frame.get_forces() for frame in frames])
    export(run, tmp_path / "film.lammpstrj", *EPISODE, "--forces")
    dumped = ase.io.read(tmp_path / "film.lammpstrj", ":", format="lammps-dump-text")
    np.testing.assert_allclose([frame.get_forces() for frame in dumped], right, atol=1e-7)
    export(run, tmp_path / "film.h5md", *EPISODE, "--forces", "--values")
    universe = MDAnalysis.Universe.empty(len(frames[0]), trajectory=True, forces=True)
    universe.load_new(str(tmp_path / "film.h5md"))
    found = np.array([frame.forces.copy() for frame in universe.trajectory])
    np.testing.assert_allclose(found * KCAL_PER_MOL_IN_EV / 4.184, right, atol=1e-6)  # kJ/(mol Å) in float32
    with h5py.File(tmp_path / "film.h5md") as handle:
        assert handle["observables/atoms/map_ev/value"].attrs["unit"] == "eV"
        assert len(handle["observables/atoms/q/value"]) == len(frames)


def test_values_are_those_of_map_and_network(made: tuple[str, RunDirectory], tmp_path: Path) -> None:
    _, run = made
    frames = export(run, tmp_path / "film.extxyz", *EPISODE, "--values")
    config = load(run.config, structure_needed=False)
    tagged = config.structure.tagged_atoms[0] - 1
    found = read_map(run, config, [])
    assert found is not None
    start = frames[0].positions[tagged]
    for frame in frames:
        place = frame.positions[tagged] - start  # the goal's direction is x
        near = [
            np.flatnonzero(np.abs(ticks - value) < 0.4 + 1e-6)
            for ticks, value in zip(found.ticks, place, strict=True)
        ]
        around = found.energies[np.ix_(*near)]
        assert around.min() - 1e-6 <= frame.info["map_ev"] <= around.max() + 1e-6
    assert abs(frames[0].info["map_ev"]) < 0.1  # eV above the start, at the start
    climbs = [frame.get_potential_energy() - frames[0].get_potential_energy() for frame in frames]
    inside = [frame.info["map_ev"] for frame in frames]
    assert np.corrcoef(climbs, inside)[0, 1] > 0.8  # the episode is one of the visits that it learned from
    arrays, _ = checkpoint.load(sorted(run.checkpoints.glob("*.npz"))[-1])
    network = QNetwork((1, *[config.state.points] * 3), 26, config.network)
    unpack(network, arrays["learner.behaviour"])
    for frame in (frames[0], frames[-1]):
        grid = torch.tensor(density(frame, config.state)[None, None])
        with torch.no_grad():
            q = network(grid).numpy()[0]
        assert frame.info["q"] == pytest.approx(float(q.max()), abs=1e-4)
        assert frame.info["q_action"] == q.argmax()


def density(frame: Atoms, state: object) -> np.ndarray:
    """Return the state (points, points, points) uint8 around the agent, atom by atom and point by point."""
    points, spacing, width = (getattr(state, name) for name in ("points", "spacing", "width"))
    axis = (np.arange(points) - (points - 1) / 2) * spacing
    mesh = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    total = np.zeros(mesh.shape[:3])
    for atom in frame.repeat([3 if axis else 1 for axis in frame.pbc]).positions:
        shift = np.array(frame.pbc) @ frame.cell.array
        apart = atom - shift - frame.info["agent_position"]
        if np.abs(apart).max() < axis[-1] + 8.0 * width:
            total += np.exp(-0.5 * ((mesh - apart) ** 2).sum(axis=-1) / width**2)
    return np.minimum(np.rint(total * 255.0 / state.saturation), 255).astype(np.uint8)  # type: ignore[attr-defined]


def test_values_of_a_pathway_stand_in_the_table_of_a_dump(made: tuple[str, RunDirectory], tmp_path: Path) -> None:
    _, run = made
    frames = export(run, tmp_path / "film.extxyz", "--values")
    export(run, tmp_path / "film.dump", "--values")
    with open(tmp_path / "film.dump.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [float(row["map_ev"]) for row in rows] == pytest.approx(
        [one.info["map_ev"] for one in frames], abs=1e-6
    )
    assert [float(row["q"]) for row in rows] == pytest.approx([one.info["q"] for one in frames], abs=1e-6)
    moved = find_mic(frames[-1].positions - frames[0].positions, frames[0].cell, frames[0].pbc)[1].max()
    assert moved > 1.0


@pytest.mark.parametrize(
    ("words", "sections", "told"),
    [
        (("--values",), {}, "holds no checkpoint"),
        (("--forces",), {"forcefield": {"simulated": {"seconds": 0.1}}}, "simulated engine"),
        (("--forces",), {"forcefield": {"commands": ["shell ls"]}}, "forcefield.commands"),
        (("--forces",), {"forcefield": {"commands": ["pair_style nonsense"]}}, "nonsense"),
        (("--forces", "--frame", "0", "--output", "one.cif"), {}, "a .cif file has no place"),
    ],
)
def test_mistakes_are_told(
    tmp_path: Path,
    words: tuple[str, ...],
    sections: dict[str, object],
    told: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    run = reported.make_run(tmp_path / "run", **sections)
    reported.train(run)
    assert main([str(run.path), "--output", str(tmp_path / "film.xyz"), *EPISODE, *words]) == 2
    error = capfd.readouterr().err
    assert told in error
    assert error.startswith("mapmpi: ")
    assert len(error.splitlines()) == 1


def test_a_network_that_has_not_learned_has_no_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = reported.make_run(tmp_path / "run")
    reported.train(run)
    arrays = {"learner.behaviour": np.zeros(3, "f4"), "learner.updates": np.array(0)}
    checkpoint.save(run.checkpoints / "checkpoint-000001.npz", arrays, {"facts": {}, "rings": {}})
    words = [str(run.path), "--output", str(tmp_path / "film.xyz"), *EPISODE, "--values"]
    assert main(words) == 2
    assert "has not learned yet" in capsys.readouterr().err
    arrays["learner.updates"] = np.array(1)
    checkpoint.save(run.checkpoints / "checkpoint-000002.npz", arrays, {"facts": {}, "rings": {}})
    assert main(words) == 2
    assert "does not fit config.yaml" in capsys.readouterr().err
