"""Reads HDF5 files in a process of its own: on a damaged one HDF5 may crash, or never come back."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import numpy as np

from mapmpi.errors import UserError, why
from mapmpi.store.inspection import inspect
from mapmpi.store.pathway import read_tree
from mapmpi.store.wholepath import WholePaths
from mapmpi.store.writer import repair

PATIENCE_S = 60.0
"""How long the process may take over a file …"""

BYTES_PER_S = 5e6
"""… and a second more for so many bytes."""

_SPAWN = multiprocessing.get_context("spawn")  # a copy of this process would have its MPI, too


@dataclass(frozen=True)
class Look:
    """What was found in a trajectory: its agent, its table (dtype EPISODE), and whether it was mended."""

    path: Path
    agent: int
    episodes: np.ndarray
    mended: bool


class Looker:
    """The other process. It is started when first needed, and anew after it was stopped.

    What is wrong with a file is a UserError.
    """

    def __init__(self, mend: bool, every_frame: bool) -> None:
        self._mend, self._every_frame = mend, every_frame
        self._process: SpawnProcess | None = None

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None

    def _start(self) -> None:
        self._pipe, other = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(other,), daemon=True)
        self._process.start()
        other.close()

    def trajectory(self, path: Path) -> Look:
        """Look at a trajectory, mending it first if that was asked for."""
        failure = f"{path} is damaged (HDF5 cannot get through it); restore it from a copy."
        return self._answer([path], failure, _trajectory, path, self._mend, self._every_frame)

    def pathway(self, path: Path) -> None:
        """Look at the file of a pathway."""
        failure = f"{path} is damaged (HDF5 cannot get through it); restore it from a copy."
        self._answer([path], failure, _pathway, path)

    def orphans(self, paths: Sequence[Path]) -> list[tuple[int, int]]:
        """Return the episodes (agent, number) whose beginning no trajectory of these holds."""
        failure = "HDF5 cannot get through the energies of all trajectories; try --every-frame."
        return self._answer(paths, failure, _orphans, paths[0].parent, paths)

    def _answer(self, paths: Sequence[Path], failure: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function of this module finds in files. The ``failure`` is that it dies or takes too long."""
        if self._process is None:
            self._start()
        patience_s = PATIENCE_S + sum(path.stat().st_size for path in paths) / BYTES_PER_S
        try:
            self._pipe.send((function, arguments))
            if not self._pipe.poll(patience_s):
                raise TimeoutError
            found, wrong = self._pipe.recv()
        except (EOFError, OSError):
            self.close()
            raise UserError(failure) from None
        if wrong:
            raise UserError(wrong)
        return found


def _serve(pipe: Connection) -> None:
    """Call functions with their arguments, the first a path, as long as the other end sends some."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what HDF5 and a crash say there is told in a sentence
    with contextlib.suppress(EOFError):
        while True:
            function, arguments = pipe.recv()
            found, wrong = None, ""
            try:
                found = function(*arguments)
            except UserError as error:
                wrong = str(error)
            except Exception as error:  # whatever a damaged file makes its reader say
                wrong = f"{arguments[0]} is damaged ({why(error)}); restore it from a copy."
            pipe.send((found, wrong))


def _trajectory(path: Path, mend: bool, every_frame: bool) -> Look:
    try:
        mended = mend and repair(path)
    except PermissionError:
        raise UserError(f"{path}: no permission to mend it; check again as the user who owns it.") from None
    return Look(path, *inspect(path, every_frame), mended)


def _pathway(path: Path) -> None:
    read_tree(path)


def _orphans(folder: Path, paths: Sequence[Path]) -> list[tuple[int, int]]:
    return WholePaths(paths).orphans()
