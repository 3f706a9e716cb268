"""The page that check prints: a line for each thing looked at, with what was found and a verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

from rich.console import Console
from rich.text import Text

from mapmpi.errors import EngineError, UserError, told
from mapmpi.panel import WIDTH

Verdict = Literal["ok", "note", "fails"]

_STYLES = {"ok": "green", "note": "yellow", "fails": "bold red"}
_NAME, _VERDICT = 15, 6


class Page:
    """Prints its lines as they come, so that one sees what is being waited for. Silent on all ranks but one."""

    def __init__(self, silent: bool = False) -> None:
        self._console = Console(highlight=False, quiet=silent)
        width = self._console.width if self._console.is_terminal else WIDTH
        self._width = max(60, min(WIDTH, width))
        self._console.width = self._width
        self.counts: dict[Verdict, int] = {"ok": 0, "note": 0, "fails": 0}

    def heading(self, text: str) -> None:
        """Print a line above a group of lines."""
        self._console.print(Text("\n" + text, "bold"))

    def text(self, text: str) -> None:
        """Print lines as they are."""
        self._console.print(Text(text))

    def line(self, verdict: Verdict, name: str, finding: str) -> None:
        """Print what was found. Each line of the finding is a paragraph of its own."""
        self.counts[verdict] += 1
        margin = 2 + _VERDICT + _NAME
        wrap = partial(textwrap.wrap, width=self._width - margin, break_on_hyphens=False, break_long_words=False)
        paragraphs = [wrap(part) for part in finding.splitlines()]  # names of files in one piece
        body = ("\n" + " " * margin).join(row for paragraph in paragraphs for row in paragraph)
        head = Text(f"  {verdict:{_VERDICT}}", _STYLES[verdict])
        self._console.print(head.append(f"{name:{_NAME}}{body}", "not bold default"), soft_wrap=True)

    def ok(self, name: str, finding: str) -> None:
        """Print a line about something that is well."""
        self.line("ok", name, finding)

    def note(self, name: str, finding: str) -> None:
        """Print a line about something that the user should know or may want to change."""
        self.line("note", name, finding)

    def fails(self, name: str, finding: str) -> None:
        """Print a line about something that will fail, with what to do."""
        self.line("fails", name, finding)

    @contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """Make a refusal or a failed simulation inside the block a line that fails, and go on behind it."""
        try:
            yield
        except UserError as error:
            self.fails(name, told(error))
        except EngineError as error:
            self.fails(name, f"the simulation failed: {error}; mend the structure or the force field.")

    def end(self) -> int:
        """Print the sum of all verdicts; return the exit code."""
        failed, notes = self.counts["fails"], self.counts["note"]
        verdict = (
            f"{failed} line{'s' * (failed != 1)} above will fail; mend them first." if failed else "Nothing fails."
        )
        if notes:
            verdict += f" {notes} note{'s' * (notes > 1)} to read."
        self._console.print(Text("\n" + verdict, _STYLES["fails" if failed else "ok"]))
        return 2 if failed else 0


def size_text(size: float) -> str:
    """Return a number of bytes in the unit that a reader would choose (powers of 1000)."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if abs(size) < 999.5 or unit == "TB":
            break
        size /= 1000.0
    return f"{size:.0f} {unit}" if size >= 100 or unit == "bytes" else f"{size:.2g} {unit}"


def some(items: list[str], most: int = 5) -> str:
    """Return the first few items as a list in words, and how many more there are."""
    more = len(items) - most
    return ", ".join(items[:most]) + (f" and {more} more" if more > 0 else "")
