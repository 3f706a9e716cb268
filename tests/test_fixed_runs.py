"""Fixed atoms from a structure's file through a training, its resumption, and phase 2, with real LAMMPS."""

from __future__ import annotations

import csv
from pathlib import Path

import ase.io
import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.constraints import FixAtoms
from conftest import Done, mpiexec

from mapmpi.store.trajectory import TrajectoryReader
from mapmpi.structures.obstacles import EPSILON, SIGMA, commands

pytestmark = [pytest.mark.mpi, pytest.mark.lammps]
SIDE, COUNT = 3.4, 4
MIDDLE = np.full(3, 0.5 * SIDE)
"""Å: a minimum; the next is SIDE farther on, and the face between them the pass."""


def energy(place: np.ndarray) -> float:
    """Return the Lennard-Jones sum in eV over the infinite lattice at a place (3,) Å."""
    lattice = SIDE * np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3), axis=-1).reshape(-1, 3)
    distances = np.linalg.norm(lattice - place, axis=1)
    sixth, last = (SIGMA / distances[distances < 6.0]) ** 6, 0.4**6
    return float((4 * EPSILON * (sixth**2 - sixth - last**2 + last)).sum())


BARRIER = energy(MIDDLE + [SIDE / 2, 0, 0]) - energy(MIDDLE)


def lattice() -> Atoms:
    """Return a tracer in a cube of a frozen lattice; the frozen atoms come last."""
    corners = SIDE * np.stack(np.meshgrid(*[np.arange(COUNT)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    atoms = Atoms(["O"] + ["Si"] * len(corners), np.vstack([MIDDLE, corners]), cell=[SIDE * COUNT] * 3, pbc=True)
    atoms.set_constraint(FixAtoms(range(1, len(atoms))))
    return atoms


def write_input(folder: Path) -> Path:
    """Write an input that says nothing of fixed atoms: the structure's file does."""
    ase.io.write(folder / "lattice.extxyz", lattice())
    text = {
        "structure": {"file": "lattice.extxyz", "tagged_atoms": [1]},
        "forcefield": {"commands": commands(), "units": "metal"},
        "dynamics": {"max_temperature": 1e5, "timestep": 2.0},
        "actions": {"directions": [[1, 0, 0]], "forbid_reversal": False},
        "goal": {"distance": 3.3},
        "state": {"points": 4},
        "network": {"channels": [4], "hidden": 8},
        "episode": {"max_actions": 20},
        "train": {"stop": {"episodes": 2}},
    }
    (folder / "input.yaml").write_text(yaml.safe_dump(text))
    return folder / "input.yaml"


def only_hop(done: Done, run: Path) -> dict[str, str]:
    """Return the row of the one hop of the only pathway of a run that ended well."""
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = (file for file in (run / "pathways").glob("*-hops.csv") if file.name != "network-hops.csv")
    with open(file, newline="") as handle:
        (hop,) = csv.DictReader(handle)
    assert hop["status"] == "verified", hop
    return hop


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an input and a training in ``run``."""
    folder = tmp_path_factory.mktemp("lattice")
    done = mpiexec(2, "-m", "mapmpi.train", write_input(folder), "--run-dir", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder


def test_a_training_and_what_follows_hold_the_same_atoms(folder: Path) -> None:
    run, atoms = folder / "run", lattice()
    assert yaml.safe_load((run / "config.yaml").read_text())["structure"]["fixed_atoms"] == list(range(2, 66))
    (folder / "lattice.extxyz").unlink()  # the run directory knows all that it needs
    more = ("--set", "train.stop.episodes=4")
    done = mpiexec(2, "-m", "mapmpi.train", "--resume", run, *more)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load((run / "config.yaml").read_text())["structure"]["fixed_atoms"] == list(range(2, 66))
    with TrajectoryReader(run / "trajectories" / "agent-00001.h5") as reader:
        assert len(reader.episodes) >= 4
        assert b"goal" in reader.episodes["outcome"]
        frames = np.concatenate([reader.episode(row).positions for row in range(len(reader.episodes))])
    assert (frames[:, 1:] == atoms.positions[1:].astype("f4")).all()
    assert np.ptp(frames[:, 0, 0]) > 3.0
    refined = mpiexec(2, "-m", "mapmpi.pneb", run, "--set", "pneb.saddle.force=0.005")
    hop = only_hop(refined, run)
    assert float(hop["barrier_forward_ev"]) == pytest.approx(BARRIER, abs=0.001)
    assert float(hop["barrier_backward_ev"]) == pytest.approx(BARRIER, abs=0.001)
    (band,) = (run / "pathways").glob("agent-*-episode-?????.xyz")
    places = np.array([frame.positions for frame in ase.io.read(band, index=":")])
    assert (places[:, 1:] == places[0, 1:]).all()
    assert places[0, 1:] == pytest.approx(atoms.positions[1:], abs=1e-7)


def path_of(shift: float = 0.0, cubes: int = 1) -> list[Atoms]:
    """Return the tracer's way into the next cube; ``shift`` displaces a frozen atom of the last frame, in Å."""
    frames = []
    for x in np.linspace(0.0, cubes * SIDE, 8 * cubes + 1):
        frame = lattice()
        frame.positions[0, 0] += x
        frames.append(frame)
    frames[-1].positions[9, 1] += shift
    return frames


def test_a_path_from_outside_with_vineyards_prefactor(tmp_path: Path) -> None:
    path, run = tmp_path / "hop.extxyz", tmp_path / "new"
    ase.io.write(path, path_of())
    words = ("--input", write_input(tmp_path), "--trajectory", path)
    settings = (
        "--set",
        "pneb.saddle.force=0.001",
        "--set",
        "pneb.quench.force=0.001",
        "--set",
        "pneb.prefactor=vineyard",
    )
    hop = only_hop(mpiexec(2, "-m", "mapmpi.pneb", run, *words, *settings), run)
    assert yaml.safe_load((run / "config.yaml").read_text())["structure"]["fixed_atoms"] == list(range(2, 66))
    assert float(hop["barrier_forward_ev"]) == pytest.approx(BARRIER, abs=1e-4)
    # of three modes of the tracer at the minimum and two at the saddle, from second differences of the sum
    places, step = (MIDDLE, MIDDLE + [SIDE / 2, 0, 0]), 1e-3 * np.eye(3)
    curvatures = [
        [(energy(place + one) + energy(place - one) - 2 * energy(place)) / 1e-6 for one in step]
        for place in places
    ]
    assert curvatures[1][0] < 0
    ratio = np.prod(curvatures[0]) / np.prod(curvatures[1][1:])
    assert float(hop["prefactor_forward_hz"]) == pytest.approx(1.56333e13 * np.sqrt(ratio / 15.999), rel=5e-3)
    again = mpiexec(2, "-m", "mapmpi.pneb", run, *words, *settings)
    assert again.returncode == 0, again.stderr
    assert " 0 force calls" in again.stdout


def test_a_path_through_the_whole_cell_has_a_diffusion_tensor(tmp_path: Path) -> None:
    path, run = tmp_path / "through.extxyz", tmp_path / "new"
    ase.io.write(path, path_of(cubes=COUNT))
    settings = ("pneb.saddle.force=0.001", "pneb.quench.force=0.001", "pneb.prefactor=vineyard")
    words = ("--input", write_input(tmp_path), "--trajectory", path, *(f"--set={one}" for one in settings))
    done = mpiexec(2, "-m", "mapmpi.pneb", run, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"by {48 * COUNT**3} symmetry operations" in " ".join(done.stdout.split())
    with open(run / "pathways" / "diffusion.csv", newline="") as handle:
        cubic = next(csv.DictReader(handle))
    done = mpiexec(2, "-m", "mapmpi.pneb", run, *words, "--set=pneb.symmetry=false")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 force calls" in done.stdout
    assert "do not lead through the cell along y or z, so D there is zero" in done.stdout
    with open(run / "pathways" / "diffusion.csv", newline="") as handle:
        classical, quantum = csv.DictReader(handle)
    with open(run / "pathways" / "through-hops.csv", newline="") as handle:
        hops = list(csv.DictReader(handle))
    assert len(hops) == COUNT
    # equal hops over a lattice of minima: D = k a²
    rate = float(hops[0]["prefactor_forward_hz"]) * np.exp(-BARRIER / (8.617333262e-5 * 623.15))
    assert (classical["through"], classical["nuclei"], quantum["nuclei"]) == ("x", "classical", "quantum")
    assert float(classical["d_xx_cm2_s"]) == pytest.approx(rate * (SIDE * 1e-8) ** 2, rel=0.02, abs=0)
    assert float(classical["d_yy_cm2_s"]) == float(classical["d_zz_cm2_s"]) == 0.0
    # by the symmetry of the lattice that holds it, which is frozen and is met exactly, the same along all axes
    along = [float(cubic[f"d_{axis}_cm2_s"]) for axis in ("xx", "yy", "zz")]
    assert along == pytest.approx([float(classical["d_xx_cm2_s"])] * 3, rel=0.02, abs=0)
    factor = float(hops[0]["quantum_ratio_forward_623.15K"]) * float(hops[0]["wigner_623.15K"])
    assert float(quantum["d_xx_cm2_s"]) == pytest.approx(factor * float(classical["d_xx_cm2_s"]), rel=1e-3)


def test_a_path_in_which_a_fixed_atom_moves_is_refused(tmp_path: Path) -> None:
    path, run = tmp_path / "hop.extxyz", tmp_path / "new"
    ase.io.write(path, path_of(0.4))
    done = mpiexec(2, "-m", "mapmpi.pneb", run, "--input", write_input(tmp_path), "--trajectory", path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "atom 10 is fixed (structure.fixed_atoms) and stands 0.40 Å from its place in frame 9" in done.stderr
    assert done.stderr.count("mapmpi: ") == 1
