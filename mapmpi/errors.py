"""The ways in which mapmpi can end early, and its exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FINISHED = 0
"""Exit code: what was asked for is done."""
FAILED = 1
"""Exit code: a defect, a full disk, no agent left; what was committed stays good."""
REFUSED = 2
"""Exit code: a mistake of the user's, told in a sentence."""
HANGING = 3
"""Exit code: all results are written, but ranks of a dead group had to be killed."""
UNFINISHED = 75
"""Exit code: stopped in order by a signal or for the batch job's end, and there is more to do (EX_TEMPFAIL)."""

FAILURES = ("not_a_number", "charges", "temperature", "lost_atoms", "energy_step", "engine")
"""What can be wrong with a simulation; ``engine`` is whatever else LAMMPS or the machine could not do."""


class UserError(Exception):
    """The input is wrong and the user can mend it.

    The message is one sentence: the key or file, what was found, what was expected, what to do.
    Every entry point prints it without a traceback and leaves with exit code 2.
    """


CONSENT = "allow all commands if you trust this file"
"""What to do about a part of an input that could do anything."""


class ConsentError(UserError):
    """A part of an input could do anything, and whoever reads it did not say that it may (``allow_commands``)."""


def told(error: UserError) -> str:
    """Return the sentence of an error as a command line says it: with the option that an argument has there."""
    return f"{error} The option is --allow-commands." if isinstance(error, ConsentError) else str(error)


def exit_code(command: Callable[[], object], remedy: str) -> int:
    """Run a command of one process and return its exit code; what ends it early is told in a sentence on stderr.

    ``remedy`` is what to do about a file that cannot be written, as half a sentence.
    """
    try:
        command()
    except UserError as error:
        print(f"mapmpi: {told(error)}", file=sys.stderr)
        return REFUSED
    except OSError as error:
        print(f"mapmpi: {error.filename}: cannot write there ({error.strerror}); {remedy}.", file=sys.stderr)
        return FAILED
    return FINISHED


def why(error: Exception) -> str:
    """Return what an exception complains of in one short line; its class where it says nothing."""
    return " ".join(str(error).split())[:200] or type(error).__name__


@contextmanager
def of_option(option: str) -> Iterator[None]:
    """Put an option of the command line before the sentence of a UserError that its value has led to."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{option} {error}") from None


class EngineError(Exception):
    """A simulation step failed. The episode (or image) that met it is marked as failed, the engine made anew.

    ``kind`` is one of FAILURES.
    """

    def __init__(self, message: str, kind: str = "engine") -> None:
        super().__init__(message)
        self.kind = kind


class EngineLost(Exception):
    """One rank of a group failed alone; the others of its group hang and cannot be reached any more.

    It is no EngineError: nobody who goes on behind a failed simulation goes on behind this.
    """
