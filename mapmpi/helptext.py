"""How the help of a command is set, so that it fits a terminal of 80 columns and 24 lines."""

from __future__ import annotations

import argparse


def narrow(column: int) -> type[argparse.HelpFormatter]:
    """Return a formatter class for argparse whose explanations begin at ``column``, with examples left as they are."""

    class Narrow(argparse.RawDescriptionHelpFormatter):
        def __init__(self, prog: str) -> None:
            super().__init__(prog, max_help_position=column)

    return Narrow
