"""Phase 2 under mpiexec, from a training to a barrier: a vacancy in copper, with real LAMMPS."""

from __future__ import annotations

import contextlib
import csv
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from conftest import MPIEXEC, ROOT, Done, mpiexec

from mapmpi.pneb.record import load
from mapmpi.store.trajectory import TrajectoryReader

pytestmark = [pytest.mark.mpi, pytest.mark.lammps]
LATTICE = 3.615  # Å
MIGRATION_EV = 0.689
"""Of a vacancy in copper: Y. Mishin et al., Phys. Rev. B 63, 224106 (2001)."""
TIGHT = ("--set", "pneb.saddle.force=0.02")  # the default leaves the barrier up to 0.01 eV too high or low


def copper_with_a_vacancy() -> tuple[Atoms, int]:
    """Return 255 atoms, the vacancy in the cell's corner, and the id of its neighbour at [1, 1, 0]/2."""
    atoms = bulk("Cu", "fcc", a=LATTICE, cubic=True) * (4, 4, 4)
    del atoms[0]
    apart = np.linalg.norm(atoms.positions - [LATTICE / 2, LATTICE / 2, 0], axis=1)
    return atoms, int(apart.argmin()) + 1


def write_input(folder: Path) -> None:
    """Write an input that drags the neighbour straight into the vacancy, and its structure."""
    atoms, neighbour = copper_with_a_vacancy()
    ase.io.write(folder / "copper.extxyz", atoms)
    (folder / "input.yaml").write_text(
        f"structure: {{file: copper.extxyz, tagged_atoms: [{neighbour}]}}\n"
        "forcefield:\n"
        '  commands: [pair_style eam/alloy, "pair_coeff * * Cu_mishin1.eam.alloy {elements}"]\n'
        "  units: metal\n"
        "goal: {direction: [-1, -1, 0], distance: 2.2}\n"
        "actions: {directions: [[-1, -1, 0]], forbid_reversal: false}\n"
        "dynamics: {relaxation: md}\n"
        "exploration: {kind: random}\n"
        "state: {points: 4}\n"
        "network: {channels: [4], hidden: 8}\n"
        "episode: {max_actions: 20}\n"
        "train: {stop: {episodes: 2}}\n"
    )


def train(folder: Path, *settings: str) -> Path:
    """Train by the folder's input; return the run directory."""
    words = [word for setting in settings for word in ("--set", setting)]
    done = mpiexec(2, "-m", "mapmpi.train", folder / "input.yaml", "--run-dir", folder / "run", *words)
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def copper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an input, and a training in ``run`` with two episodes or more that reached the goal."""
    folder = tmp_path_factory.mktemp("copper")
    write_input(folder)
    train(folder)
    return folder


@pytest.fixture
def run(copper: Path, tmp_path: Path) -> Path:
    """Return a run directory of its own that holds the training."""
    return Path(shutil.copytree(copper / "run", tmp_path / "run"))


@pytest.fixture(scope="module")
def undisturbed(copper: Path) -> tuple[bytes, int]:
    """Return pathways.csv of both episodes from two ranks, and the force calls that it took."""
    folder = Path(shutil.copytree(copper / "run", copper / "undisturbed"))
    done = refine(2, folder, "--top", 2)
    assert done.returncode == 0, done.stderr
    return (folder / "pathways" / "pathways.csv").read_bytes(), force_calls(done.stdout)


def refine(ranks: int, run: Path, *words: object) -> Done:
    """Run phase 2 on a run directory."""
    return mpiexec(ranks, "-m", "mapmpi.pneb", run, *words, timeout=60)


def force_calls(output: str) -> int:
    """Return the force calls that a finished run told."""
    found = re.search(r"(\d+) force calls", output)
    assert found, output
    return int(found[1])


def table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def pathway_row(run: Path, name: str | None = None) -> dict[str, str]:
    """Return a pathway's row of pathways.csv; without a name the only one beside the network's."""
    rows = table(run / "pathways" / "pathways.csv")
    (row,) = (row for row in rows if (row["name"] == name if name else row["name"] != "network"))
    return row


def only_hop(run: Path) -> dict[str, str]:
    """Return the row of the one hop of the only pathway; its saddle is verified."""
    (hop,) = table(run / "pathways" / f"{pathway_row(run)['name']}-hops.csv")
    assert hop["status"] == "verified", hop
    return hop


def barriers(hop: dict[str, str]) -> tuple[float, float]:
    """Return the barriers forward and backward in eV."""
    return float(hop["barrier_forward_ev"]), float(hop["barrier_backward_ev"])


def test_vacancy_in_copper(run: Path) -> None:
    done = refine(2, run, *TIGHT)
    assert done.returncode == 0, done.stderr
    assert re.search("The best 1 of [23] episodes that reached the goal", done.stdout)
    row, hop = pathway_row(run), only_hop(run)
    assert (row["status"], row["hops"], row["verified"]) == ("complete", "1", "1")
    forward, backward = barriers(hop)
    assert forward == pytest.approx(MIGRATION_EV, abs=0.005)
    assert backward == pytest.approx(MIGRATION_EV, abs=0.005)
    assert float(hop["residual_ev_A"]) <= 0.02
    kT = 8.617333262e-5 * 623.15
    assert float(row["time_s_623.15K"]) == pytest.approx(6.582119569e-16 / kT * np.exp(forward / kT), rel=1e-6)

    folder, name = run / "pathways", row["name"]
    pathway = load(folder / f"{name}.h5")
    assert pathway.barriers_ev() == pytest.approx([forward], abs=1e-9)
    band = ase.io.read(folder / f"{name}.xyz", index=":")
    energies = np.array([frame.get_potential_energy() for frame in band])
    assert np.isfinite(energies).all()
    assert energies.max() - energies[0] == pytest.approx(forward, abs=1e-6)
    saddle = ase.io.read(folder / f"{name}-ts-01.xyz")
    assert saddle.get_potential_energy() == pytest.approx(energies.max(), abs=1e-6)
    # halfway between the two sites, from [1, 1, 0]/2 to the corner: a relaxed saddle keeps that symmetry
    tagged = saddle.positions[pathway.tagged[0]] - band[0].positions[pathway.tagged[0]]
    whole = band[-1].positions[pathway.tagged[0]] - band[0].positions[pathway.tagged[0]]
    assert tagged == pytest.approx(whole / 2, abs=0.05)
    assert whole[0] == pytest.approx(-LATTICE / 2, abs=0.15)
    assert (run / "figures" / f"{name}-profile.png").read_bytes().startswith(b"\x89PNG")

    again = refine(2, run, *TIGHT, "--set", "pneb.prefactor=vineyard")
    assert again.returncode == 0, again.stderr
    hop = only_hop(run)
    assert barriers(hop) == (forward, backward)
    attempts = float(hop["prefactor_forward_hz"]), float(hop["prefactor_backward_hz"])
    assert 1e12 < attempts[0] < 1e14
    assert attempts[1] == pytest.approx(attempts[0], rel=0.2)
    time_s = np.exp(forward / kT) / attempts[0]
    assert float(pathway_row(run)["time_s_623.15K"]) == pytest.approx(time_s, rel=1e-6)


def wrapped_frames(copper: Path) -> list[Atoms]:
    """Return the first episode as structures inside the cell, without energies."""
    with TrajectoryReader(copper / "run" / "trajectories" / "agent-00001.h5") as reader:
        template, positions = reader.atoms_template(), reader.episode(0).positions
    frames = [Atoms(template.numbers, place, cell=template.cell, pbc=True) for place in positions]
    for frame in frames:
        frame.wrap()
    unwrapped = np.array([frame.positions for frame in frames])
    assert np.abs(np.diff(unwrapped, axis=0)).max() > 3 * LATTICE  # some atoms come in on the other side
    return frames


def write_dump(path: Path, frames: list[Atoms]) -> None:
    """Write an orthogonal LAMMPS dump of one atom type, its atoms in no order."""
    lines = []
    for step, frame in enumerate(frames):
        lines += ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", str(len(frame))]
        lines += ["ITEM: BOX BOUNDS pp pp pp", *(f"0.0 {side!r}" for side in map(float, frame.cell.lengths()))]
        lines += ["ITEM: ATOMS id type x y z"]
        atoms = [f"{number} 1 {x:.8f} {y:.8f} {z:.8f}" for number, (x, y, z) in enumerate(frame.positions, 1)]
        random.Random(step).shuffle(atoms)
        lines += atoms
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("kind", ["extxyz", "dump"])
def test_a_path_from_outside(copper: Path, tmp_path: Path, kind: str) -> None:
    path, run = tmp_path / f"hop.{kind}", tmp_path / "new"
    if kind == "dump":
        write_dump(path, wrapped_frames(copper))
    else:
        ase.io.write(path, wrapped_frames(copper), format="extxyz")
    done = refine(2, run, "--input", copper / "input.yaml", "--trajectory", path, *TIGHT)
    assert done.returncode == 0, done.stderr
    assert barriers(only_hop(run)) == pytest.approx((MIGRATION_EV, MIGRATION_EV), abs=0.002)
    assert pathway_row(run)["name"] == "hop"


def test_segments_by_the_profile_give_the_same_barrier(run: Path) -> None:
    done = refine(2, run, *TIGHT, "--set", "pneb.segmentation=profile")
    assert done.returncode == 0, done.stderr
    assert barriers(only_hop(run)) == pytest.approx((MIGRATION_EV, MIGRATION_EV), abs=0.002)


def start_slowly(run: Path, pause_s: float) -> subprocess.Popen[str]:
    """Start the refinement of both episodes on two ranks with a pause in each force call."""
    command = [str(MPIEXEC), "-n", "2", sys.executable, str(ROOT / "tests" / "slow_pneb.py"), str(pause_s)]
    return subprocess.Popen(
        [*command, str(run), "--top", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def wait_for_new_results(job: subprocess.Popen[str], run: Path, before: int) -> None:
    """Wait until the journal holds more bytes than before."""
    deadline = time.monotonic() + 60
    while journal_size(run) <= before:
        assert job.poll() is None, job.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def journal_size(run: Path) -> int:
    journal = run / "pathways" / "journal"
    return journal.stat().st_size if journal.exists() else 0


def send_to_ranks(run: Path, number: int) -> None:
    """Send a signal to both ranks that work on a run directory, as a batch system does."""
    found = subprocess.run(["pgrep", "-f", f"slow_pneb.py .*{run} "], capture_output=True, text=True, check=True)
    ranks = [pid for pid in map(int, found.stdout.split()) if b"mpiexec" not in program(pid)]
    assert len(ranks) == 2
    for pid in ranks:
        with contextlib.suppress(ProcessLookupError):  # when one is dead MPI may end the other
            os.kill(pid, number)


def program(pid: int) -> bytes:
    """Return the first word of a process's command line; nothing when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return b""


def test_killed_three_times_it_ends_with_the_same_bytes(run: Path, undisturbed: tuple[bytes, int]) -> None:
    moments = random.Random(7)
    for latest_s in (0.3, 0.3, 3.0):  # the third time perhaps not while frames are quenched, but in a search
        before = journal_size(run)
        job = start_slowly(run, 0.06)
        wait_for_new_results(job, run, before)
        time.sleep(moments.uniform(0.0, latest_s))
        assert job.poll() is None, job.communicate()
        send_to_ranks(run, signal.SIGKILL)
        os.killpg(job.pid, signal.SIGKILL)
        job.communicate(timeout=20)
        assert not (run / "pathways" / "pathways.csv").exists()
    done = refine(2, run, "--top", 2)
    assert done.returncode == 0, done.stderr
    assert (run / "pathways" / "pathways.csv").read_bytes() == undisturbed[0]
    assert 0 < force_calls(done.stdout) < undisturbed[1]
    assert not (run / "pathways" / "parts").exists()


def test_sigterm_ends_it_in_order_and_the_same_command_goes_on(run: Path, undisturbed: tuple[bytes, int]) -> None:
    job = start_slowly(run, 0.05)
    wait_for_new_results(job, run, 0)
    send_to_ranks(run, signal.SIGTERM)
    output, _ = job.communicate(timeout=30)
    assert job.returncode == 75, output
    assert "the same command goes on from there" in output
    assert "Traceback" not in output
    done = refine(2, run, "--top", 2)
    assert done.returncode == 0, done.stderr
    assert (run / "pathways" / "pathways.csv").read_bytes() == undisturbed[0]
    assert force_calls(done.stdout) < undisturbed[1]


@pytest.mark.parametrize("kilobytes", [100, 400])
def test_a_full_disk_costs_nothing_that_was_done(
    run: Path, undisturbed: tuple[bytes, int], kilobytes: int
) -> None:
    code = (
        "import resource, sys; from mapmpi.pneb.run import main; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, 2 * ({1000 * kilobytes},)); sys.exit(main(sys.argv[1:]))"
    )
    full = mpiexec(2, "-c", code, run, "--top", 2, timeout=60)
    assert full.returncode == 1, full
    assert "Traceback" not in full.stderr
    assert f"{run / 'pathways'}: File too large; see to that" in full.stderr
    done = refine(2, run, "--top", 2)
    assert done.returncode == 0, done.stderr
    assert (run / "pathways" / "pathways.csv").read_bytes() == undisturbed[0]
    assert 0 < force_calls(done.stdout) < undisturbed[1]


@pytest.mark.parametrize("ranks", [1, 3])
def test_the_number_of_ranks_does_not_matter(run: Path, undisturbed: tuple[bytes, int], ranks: int) -> None:
    done = refine(ranks, run, "--top", 2)
    assert done.returncode == 0, done.stderr
    assert (run / "pathways" / "pathways.csv").read_bytes() == undisturbed[0]
    assert force_calls(done.stdout) == undisturbed[1]


def test_two_ranks_an_image(run: Path, undisturbed: tuple[bytes, int]) -> None:
    done = refine(4, run, "--top", 2, "--set", "pneb.ranks_per_image=2")
    assert done.returncode == 0, done.stderr
    assert "2 groups of 2 ranks" in done.stdout
    rows = list(csv.DictReader(undisturbed[0].decode().splitlines()))
    assert len(rows) == 3  # the two episodes and the network
    for row in rows:
        found = pathway_row(run, row["name"])
        for field in ("highest_barrier_ev", "length_A", "time_s_623.15K"):
            assert float(found[field]) == pytest.approx(float(row[field]), rel=1e-4)


def test_no_episode_reached_the_goal(tmp_path: Path) -> None:
    write_input(tmp_path)
    run = train(tmp_path, "episode.max_actions=3", "train.stop.episodes=1")
    done = refine(2, run)
    assert done.returncode == 0, done.stderr
    assert "No episode reached the goal; refining the longest path instead" in done.stdout
    longest = max(table(run / "metrics.csv"), key=lambda episode: float(episode["progress"]))
    assert f" {float(longest['progress']):.2f} Å." in done.stdout
    row = pathway_row(run)
    assert row["source"] == f"agent-00001.h5, episode {longest['episode']} ({longest['outcome']})"
    assert (row["status"], row["hops"]) == ("complete", "0")  # the atom falls back to where it began


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--episode", "1:99"], ["episode 1:99", "no such episode", "1:1"]),
        (["--top", "0"], ["--top 0"]),
        (["--set", "pneb.saddle.force=-1"], ["pneb.saddle.force", "greater than 0", "-1"]),
        (["--set", "pneb.unknown=1"], ["pneb.unknown", "unknown key"]),
        (["--set", "pneb.ranks_per_image=3"], ["pneb.ranks_per_image", "2 ranks", "at least 3"]),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(run: Path, words: list[str], parts: list[str]) -> None:
    check_refusal(refine(2, run, *words), parts)
    assert not (run / "pathways" / "pathways.csv").exists()


def check_refusal(done: Done, parts: list[str]) -> None:
    """Check that a run ended with one sentence that says all the parts."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("mapmpi: ") == 1, done.stderr
    for part in parts:
        assert part in done.stderr


def test_no_run_directory(tmp_path: Path) -> None:
    check_refusal(refine(2, tmp_path / "nothing"), ["nothing", "not a run directory"])
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("mistake", ["number", "elements"])
def test_a_path_of_another_system(copper: Path, tmp_path: Path, mistake: str) -> None:
    frames = wrapped_frames(copper)
    if mistake == "number":
        del frames[2][-1]
        parts = ["frame 3 has 254 atoms, the run 255"]
    else:
        frames[0].symbols[6] = "Ni"
        parts = ["atom 7 of frame 1 is Ni, in the run Cu"]
    path, run = tmp_path / "path.extxyz", tmp_path / "new"
    ase.io.write(path, frames)
    check_refusal(refine(2, run, "--input", copper / "input.yaml", "--trajectory", path), parts)
    assert not run.exists()
