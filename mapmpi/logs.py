"""The log of each rank, RUN_DIR/logs/rank-00003.log: what a rank did, to be read when something went wrong.

Warnings go to the terminal, too. Logs of later jobs in the same folder are appended.
"""

from __future__ import annotations

import logging
import platform
import sys
import traceback
from pathlib import Path
from types import TracebackType

_LINE = "%(asctime)s %(levelname)s rank {rank}: %(message)s"

log = logging.getLogger("mapmpi")
_terminal = logging.StreamHandler()

logging.raiseExceptions = False  # a full disk is told once by whoever needs the disk, not by every line of a log


def to_terminal() -> None:
    """Let warnings go to the terminal, ``mapmpi: `` before them (on every rank)."""
    log.setLevel(logging.INFO)
    log.propagate = False
    _terminal.stream = sys.stderr
    _terminal.setLevel(logging.WARNING)
    _terminal.setFormatter(logging.Formatter("mapmpi: %(message)s"))
    log.addHandler(_terminal)  # a handler that is there already is not added again
    sys.unraisablehook = lambda left: log.info("ignored in %r: %s", left.object, left.exc_value)
    sys.excepthook = _note_uncaught


def _note_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Keep for the log, not for the terminal, what h5py prints while its objects go on a full disk."""
    frames = traceback.extract_tb(trace)
    if frames and frames[-1].name.endswith("_dealloc"):
        log.info("ignored: %s", error)
    else:
        sys.__excepthook__(kind, error, trace)


def to_file(folder: Path, rank: int, role: str) -> None:
    """Begin, or go on with, the log of a rank in ``folder``. Raises OSError where that cannot be written."""
    folder.mkdir(exist_ok=True)
    handler = logging.FileHandler(folder / f"rank-{rank:05d}.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter(_LINE.format(rank=rank)))
    log.addHandler(handler)
    log.info("begins on %s, Python %s, as %s", platform.node(), platform.python_version(), role)


class Place:
    """What this rank is at, for the words on a failure."""

    doing = "starting"


def at(doing: str) -> None:
    """Say what this rank begins to do."""
    Place.doing = doing
