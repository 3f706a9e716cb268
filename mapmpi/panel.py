"""What a user sees of long work: a live panel on a terminal, a plain line per report elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from rich.console import Console
from rich.live import Live
from rich.table import Table

Kind = TypeVar("Kind", bound="Panel")


class Panel:
    """Shows figures with their names; use as a context. Only rank 0 has one."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = 120
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
            print("  ".join(f"{name} {value}" for name, value in figures.items()), flush=True)
            return
        table = Table.grid(padding=(0, 2))
        for name, value in figures.items():
            table.add_row(f"[bold]{name}[/bold]", value)
        self._live.update(table, refresh=True)
