"""The command line: what a newcomer sees first fits a small terminal, and slips are answered."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT

from mapmpi import cli

WORDS = ["prepare", "check", "train", "pneb", "watch", "report", "combine", "export", "jobs", "keys"]


def test_alone_it_says_what_one_can_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    text = capsys.readouterr().out
    listed = text.split("\n\n")[1]
    assert [line.split()[0] for line in listed.splitlines()] == WORDS
    assert "mpiexec -n 3 mapmpi train inputs/silica-small.yaml" in text
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) <= 24
    assert cli.main(["--help"]) == 0
    assert capsys.readouterr().out == text


@pytest.mark.parametrize(
    ("word", "told"), [("trian", "did you mean train?"), ("xyzzy", "choose one of prepare, check")]
)
def test_a_slip_is_answered(word: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([word]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 1


HELPS = [*WORDS, "prepare silica", "prepare insert", "prepare labyrinth", "prepare report"]


@pytest.mark.parametrize("words", HELPS)
def test_every_help_fits_a_small_terminal_and_has_an_example(
    words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code = 0
    try:
        code = cli.main([*words.split(), "--help"])
    except SystemExit as end:  # of argparse, where no MPI takes part
        code = int(end.code or 0)
    assert code == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 24
    assert any("example" in line for line in lines)


@pytest.mark.parametrize("words", ["report nowhere", "watch nowhere", "export nowhere --output x.xyz"])
def test_as_a_module_it_is_the_same(words: str) -> None:
    word, *rest = words.split()
    command = [sys.executable, "-m", f"mapmpi.{word}", *rest]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.startswith("mapmpi: nowhere is not a run directory")
