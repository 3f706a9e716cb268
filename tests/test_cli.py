"""The command line: what a newcomer sees first fits a small terminal, and slips are answered."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT

from mapmpi import __version__, cli
from mapmpi.prepare import arguments

TASKS = ["prepare", "check", "train", "pneb", "report"]
WORDS = [*TASKS, "watch", "combine", "export", "jobs", "keys"]


def test_alone_it_says_what_one_can_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    text = capsys.readouterr().out
    _, tasks, more, _ = text.split("\n\n")
    assert [line.split()[0] for line in tasks.splitlines()] == TASKS
    assert [line.split()[0] for line in more.splitlines()[1:]] == WORDS[len(TASKS) :]
    assert "mpiexec -n 3 mapmpi train inputs/silica-small.yaml" in text
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) < 24
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


def code_of(words: str) -> int:
    """Return the exit code of a command line, which argparse raises where no MPI takes part."""
    try:
        return cli.main(words.split())
    except SystemExit as end:
        return int(end.code or 0)


STRUCTURES = next(action for action in arguments.parser()._actions if action.dest == "command").choices
HELPS = [*WORDS, *(f"prepare {word}" for word in STRUCTURES or ())]


@pytest.mark.parametrize("words", HELPS)
def test_every_help_fits_a_small_terminal_and_has_an_example(
    words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert code_of(f"{words} --help") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 24  # the next prompt has a line, too
    assert any("example" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("prepare vacancie", "did you mean vacancy?"),
        ("prepare slab Cu x --eam f --facett 111", "did you mean --facet?"),
        ("watch x --intervall 5s", "did you mean --interval?"),
        ("report x --zzz", "unrecognized arguments: --zzz"),
    ],
)
def test_a_slip_in_the_words_behind_is_answered(words: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(words) == 2
    assert capsys.readouterr().err.strip().endswith(told)


def test_as_a_package_it_is_the_same() -> None:
    done = subprocess.run([sys.executable, "-m", "mapmpi", "--version"], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, f"mapmpi {__version__}\n")


def test_all_keys_fit_a_small_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["keys"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert cli.main(["keys", "spring_constant"]) == 0
    assert capsys.readouterr().out == "  tether.spring_constant = 100.0  # kcal/mol/Å²\n"


@pytest.mark.parametrize("words", ["report nowhere", "watch nowhere", "export nowhere --output x.xyz"])
def test_as_a_module_it_is_the_same(words: str) -> None:
    word, *rest = words.split()
    command = [sys.executable, "-m", f"mapmpi.{word}", *rest]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.startswith("mapmpi: nowhere is not a run directory")
