"""The parser of all command lines: a slip is answered with the word that was probably meant."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """argparse's, with the nearest option or command in its complaint about one that does not exist."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line below the usage, and exit with code 2."""
        known = set(_names(self))
        for word in re.findall(r"invalid choice: '([^']*)'|(--[\w-]+)", message):
            given = "".join(word)
            if given not in known and (near := get_close_matches(given, known, 1)):
                message = f"{message}; did you mean {near[0]}?"
                break
        super().error(message)


def _names(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options and choices of a parser and of its commands."""
    for action in parser._actions:
        yield from action.option_strings
        yield from map(str, action.choices or ())
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _names(command)
