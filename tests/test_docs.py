"""The documentation holds: its site builds, and its commands, settings, inputs and mistakes are what they are."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pages
import pytest
import yaml
from conftest import ROOT

from mapmpi import cli
from mapmpi.config import merged, parse
from mapmpi.config.schema import input_schema, reference

SMALL = {"structure": {"file": "x.data", "tagged_atoms": [1]}, "goal": {"distance": 5}}
MISTAKES = ROOT / "docs" / "mistakes.md"
"""Its commands are wrong, and are run."""
PARSERS = {word: module for word, (module, _) in cli._WORDS.items()}
PARSERS |= {
    "prepare": "mapmpi.prepare.arguments",
    "check": "mapmpi.check.run",
    "train.prior": "mapmpi.train.prior",
}
"""Where the parser of a word is, if not beside its program."""


def names(page: Path) -> str:
    """Return a page's name for a test's."""
    return page.name


def parser_of(word: str) -> argparse.ArgumentParser:
    """Return the parser by which a word of the command line reads what follows."""
    module = import_module(PARSERS[word])
    make: Callable[[], argparse.ArgumentParser] = module.parser if word == "prepare" else module.make_parser
    return make()


def check_command(line: str) -> None:
    """Fail where a command could not be given so; of other programs only what is known here is looked at."""
    words = [word for word in shlex.split(line, comments=True) if word != "…"]
    if words[0] in ("mpiexec", "srun"):
        while words and words[0] not in ("python", "mapmpi", "-m"):
            words.pop(0)
        if not words:  # how many ranks, in a sentence
            return
        words = ["python", *words] if words[0] == "-m" else words  # an image's own Python
    if words[0] == "mapmpi" or words[:2] == ["python", "-m"]:
        module = words[1:] if words[0] == "mapmpi" else [words[2].removeprefix("mapmpi."), *words[3:]]
        assert module, line
        args = parser_of(module[0]).parse_args(module[1:])
        for setting in getattr(args, "set", []):
            parse(SMALL, [setting])
    elif words[0] in ("python", "bash"):
        text = (ROOT / words[1]).read_text()
        assert all(f'"{word}"' in text for word in words[2:] if word.startswith("--")), line
    elif words[0] == "make":
        targets = [word for word in words[1:] if "=" not in word]
        assert all(f"\n{target}:" in (ROOT / "Makefile").read_text() for target in targets), line
    elif words[:2] == ["cmake", "--preset"]:
        assert f'"name": "{words[2]}"' in (ROOT / "CMakePresets.json").read_text()
    elif words[0] == "pip":
        extras = re.findall(r"\[(\w+)\]", line)
        assert all(f'"{extra}": ' in (ROOT / "setup.py").read_text() for extra in extras), line


def run(folder: Path, words: list[str]) -> str:
    """Run a command as a user would, in a folder; return what it printed."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "TTY_COMPATIBLE": "0",
    }
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=folder, env=environment, timeout=300, check=False
    )
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def silver(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The page on your own material: its structure, input and commands in their order; and all that they print."""
    folder, page = tmp_path_factory.mktemp("material"), ROOT / "docs" / "material.md"
    found = list(pages.blocks(page))
    code, text = (next(block.text for block in found if block.language == kind) for kind in ("python", "yaml"))
    (folder / "silver.yaml").write_text(text)
    printed = run(folder, [sys.executable, "-c", code])
    commands = [
        line for line in pages.commands(page) if re.search(r" silver( |$|\.yaml)", line) and "--with" not in line
    ]
    assert [line.split("mapmpi ")[1].split()[0] for line in commands] == ["check", "train", "pneb", "report"]
    return folder, printed + "".join(run(folder, shlex.split(line)) for line in commands)


def test_your_own_material_comes_out_as_the_page_says(silver: tuple[Path, str]) -> None:
    _, printed = silver
    assert "the adatom has the id 28" in printed
    blocks = [block.text for block in pages.blocks(ROOT / "docs" / "material.md") if block.language == "text"]
    shown = blocks[1].splitlines()
    for line in shown[:2]:
        hop, moves, barrier, back = line.split()[:4]
        assert re.search(rf"{hop} +{moves} +{barrier} +{back} .* verified", printed), hop
    assert shown[2].split(" and ")[0].split(", over")[1] in printed  # the time varies with the hops that are found


MEANT = {
    "input.yaml": "silver.yaml",
    "RUN_DIR": "silver",
    "NEW_DIR": "new",
    "runs/glass-a-001 runs/glass-b-001 runs/glass-c-001": "silver",
    "path.extxyz": "best.extxyz",
    "-n 256": "-n 2",
    "saddle:3": "saddle:1",
}
"""What pages write that mean any run, and what it is called here."""


@pytest.mark.parametrize("name", ["report.md", "refinement.md", "rates.md", "README.md"])
def test_commands_on_a_run_do_what_the_pages_say(silver: tuple[Path, str], name: str) -> None:
    """Those of the indented blocks, on the run of the page on your own material; it is not trained again."""
    folder, printed = silver
    goal = re.search(r"goal .* agent (\d+) episode (\d+)", printed)
    assert goal is not None
    page = next(page for page in pages.PAGES if page.name == name)
    lines = [line for block in pages.blocks(page) if block.language == "" for line in block.text.splitlines()]
    ran = 0
    for line in lines:
        for there, here in {**MEANT, "2:9": f"{goal[1]}:{goal[2]}"}.items():
            line = line.replace(there, here)
        words = shlex.split(line, comments=True)
        if not words or words[0] not in ("mpiexec", "mapmpi") or "mapmpi.train" in words:
            continue
        if "watch" in words:
            words.append("--once")
        assert run(folder, words)
        files = [folder / words[place + 1] for place, word in enumerate(words) if word == "--output"]
        assert all(file.stat().st_size > 100 for file in files), line
        ran += 1
    assert ran >= 2


@pytest.mark.parametrize("page", [page for page in pages.PAGES if page != MISTAKES], ids=names)
def test_commands_are_real(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong, named = [], pages.inline(page)  # a sentence may name a command without all that it needs
    for line in pages.commands(page):
        try:
            check_command(line)
        except SystemExit:
            error = capsys.readouterr().err
            if line not in named or "the following arguments are required" not in error:
                wrong.append(f"{line}: {error}")
    assert wrong == []


def test_commands_are_found_at_all() -> None:
    found = [line for page in pages.PAGES for line in pages.commands(page)]
    assert len(found) > 80
    assert "mpiexec -n 2 mapmpi pneb first" in found
    with pytest.raises(SystemExit):
        check_command("mapmpi pneb first --topp 2")


@pytest.mark.parametrize("page", pages.PAGES, ids=names)
def test_settings_and_keys_are_real(page: Path) -> None:
    known: set[str] = set()
    spread(input_schema(), "", known)
    for text in pages.inline(page):
        if (setting := re.match(r"--set (\S+)", text)) is not None:
            parse(SMALL, [setting[1]])
        key = text.partition(":")[0].partition("=")[0]
        if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", key) and key.split(".")[0] in known:
            assert key in known, f"{page.name}: {text}"


def spread(model: dict[str, Any], path: str, known: set[str]) -> None:
    """Collect the paths of all keys and sections below a model of the schema."""
    definitions = input_schema()["$defs"]
    for name, entry in model["properties"].items():
        known.add(f"{path}{name}")
        for choice in [entry, *entry.get("anyOf", [])]:
            if "$ref" in choice:
                spread(definitions[choice["$ref"].rpartition("/")[2]], f"{path}{name}.", known)


@pytest.mark.parametrize("block", pages.snippets("yaml"), ids=lambda block: block.page.name)
def test_inputs_are_read(block: pages.Block) -> None:
    assert parse(merged(SMALL, yaml.safe_load(block.text))).structure


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site, built as `make docs` does; any warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_the_site_has_every_page_and_asks_nothing_of_the_network(site: Path) -> None:
    built = {page.stem for page in site.glob("*.html")}
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} | {"index", "ARCHITECTURE", "404"} <= built
    for page in site.glob("*.html"):
        assert not re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(?:https?:)?//[^"]*"', page.read_text()), (
            page
        )
    assert (site / "benchmarks" / "results" / "scaling.png").is_file()
    assert (site / "report-view.png").is_file()


def test_the_reference_on_the_site_is_that_of_the_models(site: Path) -> None:
    text = (site / "reference.html").read_text()
    told = Counter(re.findall(r"^\| `(\w+)` ", reference(), re.MULTILINE))
    assert told.total() > 100
    assert told == Counter(re.findall(r"<tr>\s*<td><code>(\w+)</code></td>", text)) & told


def test_links_work_in_the_repository() -> None:
    for page in [*pages.PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md"]:
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            assert "://" in link or (page.parent / link).is_file(), f"{page.name}: {link}"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the page's mistakes are made, one after the other."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "inputs").symlink_to(ROOT / "inputs")
    return folder


def test_there_are_ten_mistakes() -> None:
    numbers = re.findall(r"^## (\d+)\. ", MISTAKES.read_text(), re.MULTILINE)
    assert numbers == [str(number) for number in range(1, 11)]
    assert len(pages.sessions(MISTAKES)) >= len(numbers)


@pytest.mark.mpi
@pytest.mark.parametrize(("command", "answer"), pages.sessions(MISTAKES), ids=lambda text: text[:60])
def test_the_mistakes_are_answered_as_the_page_says(command: str, answer: str, desk: Path) -> None:
    """Run a command of the page in the folder in which those before it have run; … in an answer is anything."""
    scripts = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    environment |= {"OMP_NUM_THREADS": "1", "TTY_COMPATIBLE": "0"}
    done = subprocess.run(
        shlex.split(command), capture_output=True, text=True, cwd=desk, env=environment, check=False, timeout=120
    )
    wanted = ".*".join(re.escape(part.strip()) for part in answer.split("…"))
    assert re.search(wanted, done.stdout + done.stderr, re.DOTALL), done.stdout + done.stderr
    assert done.returncode == (2 if answer.startswith("mapmpi: ") else 0)
    if answer.startswith("mapmpi: "):
        assert (done.stdout, done.stderr.strip()) == ("", answer)
