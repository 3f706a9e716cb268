"""What a user sees: of long work a live panel on a terminal or a plain line per report, and tables of results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

Kind = TypeVar("Kind", bound="Panel")

WIDTH = 80
"""Columns for which output is made: what a terminal has at least, and where there is none."""


def results_table(title: str) -> Table:
    """Return an empty table for people, with no lines between its columns: they would take a third of WIDTH."""
    return Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


class Panel:
    """Shows figures with their names; use as a context. Only rank 0 has one.

    Elsewhere than on a terminal ``between`` stands between two figures.
    """

    def __init__(self, between: str = "  ") -> None:
        self._between = between
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = WIDTH
        self._live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None

    def __enter__(self: Kind) -> Kind:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, figures: Mapping[str, str]) -> None:
        """Show figures in the place of those before, or on a new line."""
        if self._live is None:
            print(self._between.join(f"{name} {value}" for name, value in figures.items()), flush=True)
            return
        table = Table.grid(padding=(0, 2))
        for name, value in figures.items():
            table.add_row(f"[bold]{name}[/bold]", value)
        self._live.update(table, refresh=True)
