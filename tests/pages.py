"""README and the pages of the documentation as tests read them: blocks of code, commands, settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@dataclass(frozen=True)
class Block:
    """A block of code: its page, its language (of an indented block ``""``), and its text."""

    page: Path
    language: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of code of a page, fenced and indented ones."""
    text = page.read_text()
    for match in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield Block(page, match[1] or "text", match[2])
    rest = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for match in re.finditer(r"(?:^|\n\n)((?: {4}.*\n)+)", rest):
        yield Block(page, "", "\n".join(line[4:] for line in match[1].splitlines()) + "\n")


def snippets(language: str) -> list[Block]:
    """Return all blocks of a language, those of README first."""
    return [block for page in PAGES for block in blocks(page) if block.language == language]


def inline(page: Path) -> list[str]:
    """Return what stands between backticks in the text of a page, each on one line."""
    prose = re.sub(r"^```.*?^```|^ {4}[^\n]*$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return [" ".join(words.split()) for words in re.findall(r"`([^`]+)`", prose)]


def commands(page: Path) -> list[str]:
    """Return the commands of a page: lines of indented blocks and of consoles, and those in the text."""
    first = re.compile(r"(make|mapmpi|mpiexec|srun|python|pip|cmake|bash|sbatch|MPICC=\S+) ")
    indented = [re.sub(r"\\\n *", "", block.text) for block in blocks(page) if block.language == ""]
    found = [line for text in indented for line in text.splitlines()]
    found += [line[2:] for block in blocks(page) for line in block.text.splitlines() if line.startswith("$ ")]
    return [line for line in [*found, *inline(page)] if first.match(line)]


def sessions(page: Path) -> list[tuple[str, str]]:
    """Return the commands of a page's consoles, each with what stands below it."""
    found = []
    for block in blocks(page):
        if block.language == "console":
            for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
                command, _, answer = part.partition("\n")
                found.append((command, answer.strip()))
    return found
