"""The whole program under mpiexec: real LAMMPS on real glass, many agents, bad input, interruption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import MPIEXEC, ROOT, Done, mpiexec
from running import write_analytic_input

from mapmpi.config import load
from mapmpi.errors import UserError
from mapmpi.parallel.layout import divide, learner_threads
from mapmpi.store.metrics import read_learner, read_metrics
from mapmpi.store.trajectory import TrajectoryReader
from mapmpi.train.roll import Roll

pytestmark = pytest.mark.mpi
SMALL = ROOT / "inputs" / "silica-small.yaml"
QUICK = (
    "dynamics.steps_per_action=10",
    "dynamics.equilibration_steps=10",
    "episode.max_actions=4",
    "learning.start=6",
    "train.weights_interval=1",
    "train.stop.wall_time=90s",
)


def train(ranks: int, source: Path, run: Path, *settings: str, script: Path | None = None, last: str = "") -> Done:
    words = [word for setting in settings for word in ("--set", setting)]
    program = [script] if script else ["-m", "mapmpi.train"]
    return mpiexec(ranks, *program, source, "--run-dir", run, *words, *([last] if last else []))


def check_books(run: Path) -> np.ndarray:
    """Compare every trajectory with metrics.csv; return the episodes."""
    rows = read_metrics(run / "metrics.csv")
    found = 0
    for path in sorted((run / "trajectories").glob("*.h5")):
        with TrajectoryReader(path) as reader:
            mine = rows[rows["agent"] == reader.agent]
            assert len(mine) == len(reader.episodes)
            for number, row in enumerate(mine):
                episode = reader.episode(number)
                assert row["frames"] == len(episode.positions) == row["actions"] + (row["outcome"] != b"failed")
                assert row["total_reward"] == pytest.approx(episode.reward_terms.sum(), abs=1e-6)
                assert np.isfinite(episode.potential_energy).all()
                found += 1
    assert found == len(rows)
    return rows


@pytest.mark.lammps
def test_water_in_silica_with_two_agents(tmp_path: Path) -> None:
    MDAnalysis = pytest.importorskip("MDAnalysis")
    run = tmp_path / "run"
    done = train(3, SMALL, run, *QUICK, "train.stop.actions=24")
    assert done.returncode == 0, done.stderr
    rows = check_books(run)
    assert rows["actions"].sum() >= 24
    assert set(rows["agent"]) == {1, 2}
    assert set(rows["outcome"]) <= {b"step_limit", b"stopped"}
    assert "Best episodes" in done.stdout
    learner = read_learner(run / "learner.csv")
    assert learner["updates"][-1] > 0
    assert np.isfinite(learner["loss"][learner["updates"] > 0]).any()
    assert load(run / "config.yaml").goal.distance == 10.0
    assert (run / "checkpoints" / "checkpoint-000001.npz").is_file()
    path = str(run / "trajectories" / "agent-00001.h5")
    universe = MDAnalysis.Universe.empty(195, trajectory=True)
    universe.load_new(path, format="H5MD")
    assert universe.trajectory.n_frames == rows["frames"][rows["agent"] == 1].sum()
    np.testing.assert_allclose(universe.dimensions[:3], 14.264, atol=1e-3)
    check_books(run)  # also while another reader of this process has the file open


@pytest.mark.lammps
def test_two_ranks_an_agent_and_one_idle(tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = train(4, SMALL, run, *QUICK, "train.ranks_per_agent=2", "train.stop.actions=6")
    assert done.returncode == 0, done.stderr
    assert "Idle: ranks 3 " in done.stdout
    assert set(check_books(run)["agent"]) == {1}


def test_many_agents_on_the_analytic_landscape(tmp_path: Path, analytic_input: Path) -> None:
    run = tmp_path / "run"
    began = time.monotonic()
    done = train(9, analytic_input, run, "train.stop.wall_time=8s", script=ROOT / "tests" / "analytic_train.py")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 60
    rows = check_books(run)
    assert set(rows["agent"]) == set(range(1, 9))
    assert (rows["outcome"] == b"stopped").sum() <= 8
    learner = read_learner(run / "learner.csv")
    assert learner["actions"][-1] == rows["actions"].sum()  # nothing that was sent is lost
    assert learner["transitions"][-1] == rows["actions"].sum()


def test_groups_of_two_on_the_analytic_landscape(tmp_path: Path, analytic_input: Path) -> None:
    run = tmp_path / "run"
    settings = ("train.stop.episodes=6", "train.ranks_per_agent=2", "episode.max_actions=8")
    done = train(5, analytic_input, run, *settings, script=ROOT / "tests" / "analytic_train.py")
    assert done.returncode == 0, done.stderr
    assert len(check_books(run)) >= 6


def test_a_group_that_dies_is_retired_and_nothing_hangs(tmp_path: Path, analytic_input: Path) -> None:
    run = tmp_path / "run"
    settings = ("train.stop.wall_time=8s", "train.ranks_per_agent=2", "episode.max_actions=8")
    done = train(5, analytic_input, run, *settings, script=ROOT / "tests" / "analytic_train.py", last="lost")
    assert "agent 2 is lost: one rank died" in done.stderr
    assert "Lost on the way: agent 2" in done.stdout
    assert (read_metrics(run / "metrics.csv")["agent"] == 1).sum() > 5  # the other went on
    assert (run / "checkpoints" / "checkpoint-000001.npz").is_file()


def test_sigterm_ends_the_run_in_order(tmp_path: Path, analytic_input: Path) -> None:
    run = tmp_path / "run"
    command = [str(MPIEXEC), "-n", "3", sys.executable, str(ROOT / "tests" / "analytic_train.py")]
    command += [str(analytic_input), "--run-dir", str(run), "--set", "train.stop.wall_time=100s"]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ})
    while not (run / "metrics.csv").exists() or len(read_metrics(run / "metrics.csv")) < 2:
        time.sleep(0.2)
        assert job.poll() is None
    learner = subprocess.run(
        ["pgrep", "-f", f"analytic_train.py .*{run}"], capture_output=True, text=True, check=True
    )
    for pid in learner.stdout.split():
        if int(pid) != job.pid:  # every rank, as a batch system does
            os.kill(int(pid), signal.SIGTERM)
    output, _ = job.communicate(timeout=60)
    assert "Best episodes" in output
    assert (check_books(run)["outcome"] == b"stopped").any()


@pytest.fixture
def analytic_input(tmp_path: Path) -> Path:
    """Return an input file for the analytic landscape."""
    return write_analytic_input(tmp_path)


@pytest.mark.lammps
@pytest.mark.parametrize(
    ("ranks", "settings", "parts"),
    [
        (2, ["learning.stepps=3"], ["learning.stepps", "unknown key"]),
        (2, ["structure.file=nothing.data"], ["structure.file", "nothing.data"]),
        (2, ["structure.tagged_atoms=[999]"], ["structure.tagged_atoms", "no atom 999", "195"]),
        (2, ["structure.molecule_atoms=[194]"], ["structure.molecule_atoms", "tagged atom 193"]),
        (2, ["structure.elements=[H,O,Xe]"], ["Xe", "no ReaxFF parameters", "forcefield.reaxff_file"]),
        (2, ["forcefield.commands=[pair_style nonsense]"], ["forcefield.commands", "pair_style nonsense"]),
        (2, ["goal.distance=100"], ["goal.distance", "outside the cell", "14.26"]),
        (2, ["train.ranks_per_agent=4"], ["train.ranks_per_agent", "2 ranks", "at least 5"]),
        (1, [], ["1 rank cannot hold", "at least 2"]),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    tmp_path: Path, ranks: int, settings: list[str], parts: list[str]
) -> None:
    run = tmp_path / "run"
    done = train(ranks, SMALL, run, *settings)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("mapmpi: ") == 1, done.stderr
    for part in parts:
        assert part in done.stderr
    assert not run.exists()


def test_an_existing_run_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("data")
    done = train(2, SMALL, tmp_path)
    assert done.returncode == 2
    assert "never overwritten" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


class Node:
    """A node's communicator whose ranks may use these cores; this rank's come first."""

    def __init__(self, *cores: set[int]) -> None:
        self.cores = cores

    def Split_type(self, kind: int) -> Node:
        return self

    def allgather(self, mine: set[int]) -> list[set[int]]:
        assert mine == self.cores[0]
        return list(self.cores)

    def Free(self) -> None:
        pass


@pytest.mark.parametrize(
    ("cores", "threads"),
    [([{0, 1, 2, 3}] * 3, 2), ([{0}, {1}, {2}], 1), ([{0, 1, 2}, {3}, {4}], 3), ([{0, 1}] * 5, 1)],
)
def test_the_learner_takes_the_cores_that_nobody_needs(tmp_path: Path, monkeypatch, cores, threads) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores[0], raising=False)
    path = write_analytic_input(tmp_path)
    node = Node(*cores)
    assert learner_threads(node, load(path)) == 1
    assert learner_threads(node, load(path, ["train.learner_threads=7"])) == 7
    assert learner_threads(node, load(path, ["train.learner_threads=auto"])) == threads
    assert learner_threads(node, load(path, ["train.learner_threads=auto", "deterministic=true"])) == 1


@pytest.mark.parametrize(
    ("size", "each", "agents", "idle"),
    [(3, 1, 2, 0), (1024, 1, 1023, 0), (1024, 4, 255, 3), (4, 2, 1, 1), (1025, 16, 64, 0)],
)
def test_ranks_are_divided(size: int, each: int, agents: int, idle: int) -> None:
    groups, left = divide([0] * size, each)
    assert len(groups) == agents
    assert len(left) == idle
    assert groups == [tuple(range(1 + each * number, 1 + each * (number + 1))) for number in range(agents)]
    with pytest.raises(UserError, match="cannot hold"):
        divide([0] * each, each)


def test_a_learner_that_was_held_up_itself_gives_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    roll = Roll({1: [1], 2: [2]}, limit_s=30.0)
    now[0] += 3600.0  # in which a file system hung
    roll.call()
    assert roll.lost == set()
    for _ in range(29):
        now[0] += 1.0
        roll.heard(2)
        roll.call()
    assert roll.lost == set()
    now[0] += 2.0
    roll.call()
    assert roll.lost == {1}


def test_no_agent_lies_on_two_nodes() -> None:
    filled = [rank // 4 for rank in range(12)]  # one node after the other
    assert divide(filled, 2) == ([(1, 2), (4, 5), (6, 7), (8, 9), (10, 11)], [3])
    in_turn = [rank % 3 for rank in range(12)]
    assert divide(in_turn, 3) == ([(1, 4, 7), (2, 5, 8), (3, 6, 9)], [10, 11])
    with pytest.raises(UserError, match=r"no node has 5 ranks besides the learner's; set train.across_nodes"):
        divide(filled, 5)
