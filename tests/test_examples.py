"""The examples run, say what they are to say, and stay short; and so do the snippets of README and documentation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pages
import pytest
from conftest import ROOT, mpiexec

EXAMPLES = ROOT / "examples"
LONGEST = 60
"""Lines of an example."""
ALL_S = 120.0
"""Seconds of this machine's time that all examples take together."""
took_s: dict[str, float] = {}


def run(name: str, *words: object) -> str:
    """Run an example in a Python of its own; return what it printed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(EXAMPLES / name), *map(str, words)]
    before = os.times()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=250)
    after = os.times()
    took_s[name] = after.children_user - before.children_user
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_examples_are_short_and_numbered() -> None:
    files = sorted(EXAMPLES.glob("*.py"))
    assert [file.name[:2] for file in files] == [f"{number}_" for number in range(1, len(files) + 1)]
    assert len(files) == 6
    for file in files:
        assert len(file.read_text().splitlines()) < LONGEST


def test_environment_in_a_loop() -> None:
    printed = run("1_environment.py")
    assert "sees (1, 12, 12, 12) of uint8, has 26 actions" in printed
    assert "ended: goal" in printed


def test_dqn() -> None:
    assert re.search(r"episodes, best return -?\d+\.\d\d; the policy alone", run("2_dqn.py", 45))


def test_barrier(tmp_path: Path) -> None:
    printed = run("3_barrier.py", tmp_path / "profile.png")
    assert "barrier 0.416 eV, back 0.416 eV" in printed
    assert (tmp_path / "profile.png").stat().st_size > 10_000


def test_path_of_ones_own(tmp_path: Path) -> None:
    printed = run("4_path.py", tmp_path / "path.extxyz")
    assert "hop 1: 1.03" in printed  # eV: the exchange
    assert (tmp_path / "path.extxyz").read_text().startswith("28\n")


@pytest.mark.lammps
def test_second_opinion() -> None:
    printed = run("6_second_opinion.py")
    assert "EMT: 0.416 eV" in printed
    assert re.search(r"EAM: 0\.[45]\d\d eV", printed)


@pytest.fixture(scope="module")
def copper_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small training of the adatom, refined."""
    folder = tmp_path_factory.mktemp("copper") / "run"
    began = time.monotonic()
    settings = ("--set", "train.stop.actions=60", "--set", "learning.start=1000")
    trained = mpiexec(
        2,
        "-m",
        "mapmpi.train",
        ROOT / "inputs" / "copper-adatom.yaml",
        "--run-dir",
        folder,
        *settings,
        timeout=250,
    )
    assert trained.returncode == 0, trained.stderr
    refined = mpiexec(2, "-m", "mapmpi.pneb", folder, timeout=250 - (time.monotonic() - began))
    assert refined.returncode == 0, refined.stderr
    return folder


@pytest.mark.mpi
def test_reading_a_run(copper_run: Path, tmp_path: Path) -> None:
    printed = run("5_run.py", copper_run, tmp_path / "picture.png")
    assert re.search(r"\d+ episodes, \d+ at the goal", printed)
    assert "<RefinedPath: " in printed
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def snippet(code: str, folder: Path) -> str:
    """Run a snippet in a folder, by a Python of its own; return what it printed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=folder, check=True, timeout=200
    ).stdout


SNIPPETS = {block.text: block for block in reversed(pages.snippets("python"))}
"""Each once, on the first of its pages; that of README, whose answer is looked at, is below."""


@pytest.mark.mpi
@pytest.mark.parametrize(
    "block",
    [block for block in SNIPPETS.values() if block.page.name != "README.md"],
    ids=lambda block: f"{block.page.name}:{len(block.text)}",
)
def test_snippets_run(block: pages.Block, copper_run: Path, tmp_path: Path) -> None:
    """In place of the reader's run directory stands that of the adatom, with its atoms and its first episode."""
    code = block.text.replace("RUN_DIR", str(copper_run)).replace("agent=2, episode=9", "agent=1, episode=1")
    snippet(code.replace("empty(195", "empty(28"), tmp_path)


def test_the_snippet_of_the_readme(tmp_path: Path) -> None:
    (code,) = [block.text for block in pages.snippets("python") if block.page.name == "README.md"]
    barrier, verified = snippet(code, tmp_path).split()
    assert (round(float(barrier), 3), verified) == (0.416, "True")
    assert (tmp_path / "saddle.xyz").exists()
    assert (tmp_path / "profile.png").exists()


def test_all_together_take_less_than_two_minutes() -> None:
    assert sum(took_s.values()) < ALL_S, took_s
