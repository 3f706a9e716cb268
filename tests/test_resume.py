"""Trainings that end before they are finished and go on: checkpoints, --resume, limits of batch jobs, equal seeds."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import ROOT, Done, mpiexec
from running import Job, committed, rows_twice, same_but_for_times, write_analytic_input

from mapmpi.config import load
from mapmpi.errors import FAILED, FINISHED, REFUSED, UNFINISHED
from mapmpi.store import layout
from mapmpi.store.metrics import read_learner, read_metrics

ANALYTIC = ROOT / "tests" / "analytic_train.py"
FAULTY = ROOT / "tests" / "faulty_train.py"
SILICA = ROOT / "inputs" / "silica-small.yaml"

pytestmark = pytest.mark.mpi


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return an input for the analytic landscape."""
    return write_analytic_input(tmp_path)


def settings(*values: str) -> list[str]:
    return [word for value in values for word in ("--set", value)]


def train(ranks: int, *words: object, program: tuple[object, ...] = (ANALYTIC,)) -> Done:
    return mpiexec(ranks, *program, *words, timeout=100)


def wait_for(job: Job, condition: object, timeout_s: float = 60.0) -> None:
    """Wait until a condition holds while a job runs."""
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert job.process.poll() is None, job.text
        assert time.monotonic() < deadline, job.text
        time.sleep(0.02)


def episodes(run: Path) -> int:
    path = run / "metrics.csv"
    return len(read_metrics(path)) if path.exists() else 0


def frames(run: Path) -> dict[str, np.ndarray]:
    """Return all that is stored of the frames of the first agent."""
    with h5py.File(run / "trajectories" / "agent-00001.h5", "r") as file:
        return {name: file[name][:] for name in layout.PER_FRAME}


def check_equal(one: Path, other: Path) -> None:
    """Check that two runs have the same episodes and frames, to the last bit."""
    assert same_but_for_times(read_metrics(one / "metrics.csv"), read_metrics(other / "metrics.csv"))
    theirs = frames(other)
    for name, values in frames(one).items():
        np.testing.assert_array_equal(values, theirs[name], err_msg=name)


@pytest.mark.parametrize(
    ("kind", "actions", "episode", "death"),
    [
        ("analytic", 400, 30, signal.SIGTERM),
        ("analytic", 400, 30, signal.SIGKILL),
        pytest.param("silica", 24, 7, signal.SIGUSR1, marks=pytest.mark.lammps),
    ],
)
def test_a_deterministic_training_is_repeated_and_gone_on_with(
    tmp_path: Path, source: Path, kind: str, actions: int, episode: int, death: int
) -> None:
    program, file = ((ANALYTIC,), source) if kind == "analytic" else (("-m", "mapmpi.train"), SILICA)
    words = settings("deterministic=true", f"train.stop.actions={actions}", "train.stop.wall_time=1h")
    words += settings(f"episode.max_actions={episode}", "learning.start=10", "learning.batch=8")
    whole, again = tmp_path / "whole", tmp_path / "again"
    done = train(2, file, "--run-dir", whole, *words, program=program)
    assert done.returncode == FINISHED, done.stderr
    assert read_learner(whole / "learner.csv")["updates"][-1] > 0

    job = Job(2, [*program, file, "--run-dir", again, *words], tmp_path / "again.txt")
    wait_for(job, lambda: episodes(again) >= 2)
    job.signal(death)
    code = job.wait(60)
    if death != signal.SIGKILL and code != FINISHED:
        assert code == UNFINISHED, job.text
    assert episodes(again) < episodes(whole) or code == FINISHED
    done = train(2, "--resume", again, program=program)
    assert done.returncode == FINISHED, done.stderr
    check_equal(whole, again)


def test_a_deterministic_training_killed_before_its_first_checkpoint(tmp_path: Path, source: Path) -> None:
    words = settings("deterministic=true", "train.stop.actions=150", "learning.start=10", "learning.batch=8")
    whole, again = tmp_path / "whole", tmp_path / "again"
    for run in (whole, again):
        assert train(2, source, "--run-dir", run, *words).returncode == FINISHED
    for file in (again / "checkpoints").glob("*.npz"):
        file.unlink()
    rows = (again / "metrics.csv").read_text().splitlines(keepends=True)
    (again / "metrics.csv").write_text("".join(rows[:2]))
    done = train(2, "--resume", again)
    assert done.returncode == FINISHED, done.stderr
    assert "there is no checkpoint yet" in done.stderr
    check_equal(whole, again)


def test_a_deterministic_training_takes_one_agent(tmp_path: Path, source: Path) -> None:
    done = train(3, source, "--run-dir", tmp_path / "run", *settings("deterministic=true"))
    assert done.returncode == REFUSED
    assert "deterministic: it takes one agent on one rank; start mpiexec -n 2, not 3 ranks." in done.stderr


def test_learning_goes_on_with_other_agents(tmp_path: Path, source: Path) -> None:
    run = tmp_path / "run"
    done = train(4, source, "--run-dir", run, *settings("train.stop.actions=600", "learning.start=20"))
    assert done.returncode == FINISHED, done.stderr
    before, learner = committed(run)[0], read_learner(run / "learner.csv")[-1]
    for ranks, more in ((3, 900), (6, 1400)):
        done = train(ranks, "--resume", run, *settings(f"train.stop.actions={more}"))
        assert done.returncode == FINISHED, done.stderr
        assert "Going on from checkpoint-" in done.stdout
        after, unreadable, twice = committed(run)
        assert (unreadable, twice, rows_twice(run)) == (0, 0, 0)
        assert all(after[key] == record for key, record in before.items())
        assert len(after) == episodes(run) > len(before)
        last = read_learner(run / "learner.csv")[-1]
        for name in ("actions", "updates", "buffer", "elapsed_s", "transitions"):
            assert last[name] > learner[name]
        before, learner = after, last
    assert {agent for agent, _ in before} == {1, 2, 3, 4, 5}
    assert load(run / "config.yaml").train.stop.actions == 1400
    assert (run / "logs" / "rank-00005.log").read_text().count("as agent 5") == 1
    assert (run / "logs" / "rank-00000.log").read_text().count("as learner") == 3


def test_a_changed_input_is_refused_with_the_keys(tmp_path: Path, source: Path) -> None:
    run = tmp_path / "run"
    assert train(2, source, "--run-dir", run, *settings("train.stop.episodes=1")).returncode == FINISHED
    before = (run / "config.yaml").read_bytes()
    old = "learning: {batch: 32, replay_ratio: 2}"
    source.write_text(source.read_text().replace(old, "learning: {discount: 0.9}\nseed: 5"))
    done = train(2, source, "--resume", run)
    assert done.returncode == REFUSED
    for key in ("seed", "learning.discount", "learning.batch", "train.stop.episodes"):
        assert key in done.stderr
    assert "goal" not in done.stderr.split(" differ")[0]
    assert (run / "config.yaml").read_bytes() == before
    given = settings("seed=5", "learning.discount=0.9", "learning.batch=64", "learning.replay_ratio=16")
    done = train(2, source, "--resume", run, *given, *settings("train.stop.episodes=3"))
    assert done.returncode == FINISHED, done.stderr
    assert load(run / "config.yaml").learning.discount == 0.9


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["network.hidden=33"], ["network", "parameters"]),
        (["replay.capacity=5000"], ["replay.capacity", "checkpoint"]),
        (["structure.file=other.xyz"], ["structure.file", "began with"]),
    ],
)
def test_what_does_not_fit_the_checkpoint_is_one_sentence(
    tmp_path: Path, source: Path, words: list[str], parts: list[str]
) -> None:
    run = tmp_path / "run"
    assert train(2, source, "--run-dir", run, *settings("train.stop.episodes=1")).returncode == FINISHED
    done = train(2, "--resume", run, *settings(*words))
    assert done.returncode == REFUSED, done.stdout + done.stderr
    assert done.stderr.count("mapmpi: ") == 1
    assert all(part in done.stderr for part in parts), done.stderr


def test_the_checkpoint_before_a_damaged_one_is_taken(tmp_path: Path, source: Path) -> None:
    run = tmp_path / "run"
    for words in ([source, "--run-dir", run, *settings("train.stop.episodes=2")], ["--resume", run]):
        more = settings("train.stop.episodes=4") if "--resume" in words else []
        assert train(2, *words, *more).returncode == FINISHED
    first, second = sorted((run / "checkpoints").glob("*.npz"))
    second.write_bytes(second.read_bytes()[:-500])
    done = train(2, "--resume", run, *settings("train.stop.episodes=6"))
    assert done.returncode == FINISHED, done.stderr
    assert f"{second.name} is not a checkpoint" in done.stderr
    assert f"The one before it is taken: {first.name}" in done.stderr
    kept = sorted((run / "checkpoints").glob("checkpoint-*.npz"))
    assert len(kept) == 2
    assert (run / "checkpoints" / f"damaged-{second.name}").exists()
    for path in kept:
        path.write_bytes(b"nothing")
    done = train(2, "--resume", run, *settings("train.stop.episodes=8"))
    assert (done.returncode, done.stderr.count("mapmpi: ")) == (REFUSED, 1)


def test_two_jobs_in_one_folder(tmp_path: Path, source: Path) -> None:
    run = tmp_path / "run"
    job = Job(2, [ANALYTIC, source, "--run-dir", run], tmp_path / "first.txt")
    wait_for(job, lambda: episodes(run) > 0)
    done = train(2, "--resume", run)
    assert done.returncode == REFUSED
    assert "another job is training there" in done.stderr
    job.signal(signal.SIGTERM)
    assert job.wait(30) == UNFINISHED


def test_a_batch_job_ends_before_its_time(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    words = settings("train.stop.wall_time=job", "train.stop.job_margin=12s")
    done = train(2, source, "--run-dir", run, *words)
    assert done.returncode == REFUSED
    assert "wall_time: job is the time that Slurm or PBS gives" in done.stderr
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(time.time() + 30))
    began = time.monotonic()
    done = train(2, source, "--run-dir", run, *words)
    assert done.returncode == UNFINISHED, done.stderr
    assert 14 < time.monotonic() - began < 30
    assert f"--resume {run}" in done.stdout
    done = train(2, "--resume", run, *settings("train.stop.episodes=1", "train.stop.wall_time=1h"))
    assert done.returncode == FINISHED


def test_agents_do_not_wait_for_a_dead_learner(tmp_path: Path, source: Path) -> None:
    run = tmp_path / "run"
    words = [ANALYTIC, source, "--run-dir", run]
    job = Job(3, words, tmp_path / "output.txt")
    wait_for(job, lambda: episodes(run) > 1)
    job.signal(signal.SIGSTOP, [0])  # as dead for the agents as if it were, and mpiexec does not see it
    began = time.monotonic()
    while job.process.poll() is None:
        assert time.monotonic() - began < 42, job.text
        time.sleep(0.2)
    job.wait(10)
    assert "nothing has come from the learner (rank 0) for 20 s; the learner is dead, ending the job." in job.text
    assert f"--resume {run}" in job.text


def test_a_damaged_engine_costs_its_episodes(tmp_path: Path, source: Path) -> None:
    run = tmp_path / "run"
    words = [source, "--run-dir", run, *settings("train.stop.actions=1200", "learning.start=20")]
    done = train(3, "analytic", "every=50,nan=77,hang=200:3", *words, program=(FAULTY,))
    assert done.returncode == FINISHED, done.stderr
    rows = read_metrics(run / "metrics.csv")
    failed = rows[rows["outcome"] == b"failed"]
    assert set(failed["failure"]) == {b"engine", b"not_a_number"}
    assert len(failed) <= rows["actions"].sum() * (1 / 50 + 1 / 77) + 4
    assert (rows["failure"] == b"").sum() == len(rows) - len(failed) > 5
    assert f"{len(failed)} ended by a failed simulation (engine" in done.stdout
    learner = read_learner(run / "learner.csv")[-1]
    lost = (failed["failure"] == b"engine").sum()  # what was not the material's doing is not learned from
    assert learner["transitions"] <= rows["actions"].sum() - lost


def test_a_silent_agent_is_given_up_and_taken_back(tmp_path: Path, source: Path) -> None:
    run = tmp_path / "run"
    words = [source, "--run-dir", run, *settings("train.stop.wall_time=14s", "train.silence_limit=2s")]
    done = train(3, "analytic", "hang=100:6@2", *words, program=(FAULTY,))
    assert "nothing has come from agent 2 (rank 2) for 2 s (train.silence_limit)" in done.stderr
    assert "agent 2 (rank 2) is back." in done.stderr
    assert "agent 1" not in done.stderr
    assert done.returncode == FINISHED, done.stderr
    assert "Lost on the way" not in done.stdout


def test_when_all_agents_are_silent_it_ends(tmp_path: Path, source: Path) -> None:
    words = [source, "--run-dir", tmp_path / "run", *settings("train.silence_limit=2s")]
    done = train(3, "analytic", "hang=100:6", *words, program=(FAULTY,))
    assert done.stderr.count("(train.silence_limit); going on without it.") == 2
    assert done.returncode == FAILED


def test_a_group_that_always_fails_is_retired(tmp_path: Path, source: Path) -> None:
    done = train(2, "analytic", "every=1", source, "--run-dir", tmp_path / "run", program=(FAULTY,))
    assert done.returncode == FAILED
    assert "agent 1 is lost: RuntimeError: a fault that was put in" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kilobytes", [40, 150])
def test_a_full_disk_ends_a_training_in_order(tmp_path: Path, source: Path, kilobytes: int) -> None:
    run = tmp_path / "run"
    code = (
        f"import resource, runpy, sys; from mpi4py import MPI; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, 2 * ({1000 * kilobytes},)); "
        f"sys.path.insert(0, {str(ROOT / 'tests')!r}); sys.argv = sys.argv[1:]; "
        f"runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    full = mpiexec(3, "-c", code, ANALYTIC, source, "--run-dir", run, timeout=100)
    assert full.returncode == FAILED, full
    assert "Traceback" not in full.stderr
    assert "File too large" in full.stderr
    before = committed(run)[0]
    done = train(3, "--resume", run, *settings("train.stop.episodes=200", "train.stop.wall_time=6s"))
    assert done.returncode == FINISHED, done.stderr
    after, unreadable, twice = committed(run)
    assert (unreadable, twice) == (0, 0)
    assert all(after[key] == record for key, record in before.items())
    assert len(after) > len(before)


def test_a_folder_that_cannot_be_written(tmp_path: Path, source: Path) -> None:
    run = tmp_path / "run"
    assert train(2, source, "--run-dir", run, *settings("train.stop.episodes=1")).returncode == FINISHED
    (run / "logs" / "rank-00001.log").unlink()
    (run / "logs" / "rank-00001.log").mkdir()  # root may write everywhere, but not into a folder
    done = train(2, "--resume", run, *settings("train.stop.episodes=2"))
    assert done.returncode == FAILED
    assert "Traceback" not in done.stderr
    assert "rank-00001.log" in done.stderr
    assert os.access(run / "config.yaml", os.R_OK)
