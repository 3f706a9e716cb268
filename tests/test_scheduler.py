"""How long a batch job may still run, as Slurm and PBS say; their commands are stood in for by scripts."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from mapmpi.errors import UserError
from mapmpi.parallel.scheduler import seconds_left, seconds_to_work

JOB = {"Resource_List": {"walltime": "02:00:00"}, "resources_used": {"walltime": "00:30:10"}}


@pytest.fixture(autouse=True)
def no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what a surrounding batch job says."""
    for name in list(os.environ):
        if name.startswith(("SLURM_", "PBS_")):
            monkeypatch.delenv(name)


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, answer: str, code: int = 0) -> None:
    """Put a command into the path that prints an answer, whatever it is asked."""
    (folder / "answer").write_text(answer)
    script = folder / command
    script.write_text(f"#!/bin/sh\ncat {folder}/answer\nexit {code}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_outside_a_batch_job() -> None:
    with pytest.raises(UserError, match=r"wall_time: job .* this is none; give a time"):
        seconds_left()


def test_slurm_says_it_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 300))
    assert seconds_left() == pytest.approx(300, abs=2)
    assert seconds_to_work(120.0) == pytest.approx(180, abs=2)
    with pytest.raises(UserError, match=r"job_margin: 400 s, but the batch job has (300|299|298) s left"):
        seconds_to_work(400.0)
    monkeypatch.setenv("SLURM_JOB_END_TIME", "soon")
    with pytest.raises(UserError, match="SLURM_JOB_END_TIME is 'soon'"):
        seconds_left()


@pytest.mark.parametrize(
    ("answer", "expected"), [("1-02:03:04", 93784.0), ("2:03:04", 7384.0), ("59:30", 3570.0), ("0:05", 5.0)]
)
def test_an_older_slurm_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, expected: float
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    stand_in(tmp_path, monkeypatch, "squeue", answer + "\n")
    assert seconds_left() == expected


@pytest.mark.parametrize("answer", ["UNLIMITED", "", "NOT_SET", "1-1-1:00"])
def test_slurm_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    stand_in(tmp_path, monkeypatch, "squeue", answer)
    with pytest.raises(UserError, match=r"squeue says that job 17 has .* left; give"):
        seconds_left()


def test_pbs_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PBS_JOBID", "42.head")
    stand_in(tmp_path, monkeypatch, "qstat", json.dumps({"Jobs": {"42.head": JOB}}))
    assert seconds_left() == 7200 - 1810
    stand_in(tmp_path, monkeypatch, "qstat", json.dumps({"Jobs": {"42.head": {**JOB, "resources_used": {}}}}))
    assert seconds_left() == 7200


@pytest.mark.parametrize(
    ("answer", "code"),
    [("no json", 0), ('{"Jobs": {}}', 0), ('{"Jobs": {"a": {"Resource_List": {}}}}', 0), ("", 1)],
)
def test_pbs_does_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    monkeypatch.setenv("PBS_JOBID", "42.head")
    stand_in(tmp_path, monkeypatch, "qstat", answer, code)
    with pytest.raises(UserError, match="qstat does not"):
        seconds_left()


def test_a_scheduler_without_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PBS_JOBID", "42.head")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="qstat does not answer"):
        seconds_left()
