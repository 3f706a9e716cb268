"""A run followed from its files: what is told of it, and the page that reads itself again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import reported
from conftest import ROOT

from mapmpi.watch import run as watch


def test_a_look_at_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = reported.make_run(tmp_path / "run", train={"stop": {"actions": 240}})
    assert watch.main([str(run.path), "--once"]) == 0
    assert "Nothing yet" in capsys.readouterr().out
    reported.train(run)
    (run.pathways / "parts").mkdir(parents=True)
    (run.pathways / "parts" / "one").touch()
    assert watch.main([str(run.path), "--once"]) == 0
    said = capsys.readouterr().out
    # the last row of learner.csv: 120 actions after 60 s, so as many are left
    for part in (
        "actions 120 (2.00/s)",
        "left 60 s",
        "reached the goal 3 of 5 episodes (1 failed)",
        "under way 1 calculation",
    ):
        assert part in said
    assert "last news" in said
    assert "a climb of 1.10 eV" in said
    assert not run.report.exists()


def test_a_training_at_its_end_has_nothing_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = reported.make_run(tmp_path / "run", train={"stop": {"actions": 120}})
    reported.train(run)
    assert watch.main([str(run.path), "--once"]) == 0
    assert "left nothing: the training is at its end" in capsys.readouterr().out


def test_the_page_reads_itself_again(tmp_path: Path) -> None:
    run = reported.make_run(tmp_path / "run")
    reported.train(run)
    assert watch.main([str(run.path), "--html", "--once", "--interval", "20s"]) == 0
    assert '<meta http-equiv="refresh" content="20">' in run.report.read_text()
    assert not run.figures.exists()
    assert watch.main([str(run.path), "--html", str(tmp_path / "page.html"), "--once"]) == 0
    assert '<meta http-equiv="refresh" content="30">' in (tmp_path / "page.html").read_text()


def test_it_follows_until_it_is_stopped(tmp_path: Path) -> None:
    run = reported.make_run(tmp_path / "run")
    command = [sys.executable, "-m", "mapmpi.watch", str(run.path), "--interval", "1s"]
    heeded = partial(
        signal.signal, signal.SIGINT, signal.SIG_DFL
    )  # a shell's background jobs ignore it, and theirs
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, preexec_fn=heeded
    )
    assert process.stdout is not None
    deadline = time.monotonic() + 60
    while "Nothing yet" not in process.stdout.readline():
        assert time.monotonic() < deadline
    reported.train(run)
    while "Not refined yet" not in process.stdout.readline():
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in error


@pytest.mark.parametrize("words", [["--interval", "0.1s"], ["--interval", "soon"]])
def test_an_interval_that_is_none_is_refused(tmp_path: Path, words: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        watch.main([str(tmp_path), *words])
    assert end.value.code == 2


def test_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert watch.main([str(tmp_path), "--once"]) == 2
    assert "is not a run directory" in capsys.readouterr().err
