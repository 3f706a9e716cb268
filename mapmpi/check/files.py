"""Reads HDF5 files in a process of its own: on a damaged one HDF5 may crash, or never come back.

``python -m mapmpi.check.files`` reads a task a line on its standard input, JSON, and answers each with a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import mapmpi
from mapmpi.errors import UserError
from mapmpi.store.inspection import inspect
from mapmpi.store.pathway import read_tree
from mapmpi.store.records import EPISODE
from mapmpi.store.wholepath import WholePaths
from mapmpi.store.writer import repair

PATIENCE_S = 60.0
"""How long the process may take over a file …"""

BYTES_PER_S = 5e6
"""… and a second more for so many bytes."""


@dataclass(frozen=True)
class Look:
    """What was found in a file: its agent and table (dtype EPISODE) for a trajectory; whether it was mended; or what
    is wrong with it, empty if nothing."""

    path: Path
    agent: int
    episodes: np.ndarray
    mended: bool
    wrong: str


class Looker:
    """The other process. Use as a context; it is started when first needed, and anew after it was stopped."""

    def __init__(self, mend: bool, every_frame: bool) -> None:
        self._settings = {"mend": mend, "every_frame": every_frame}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Looker:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]
            self._process = None

    def _start(self) -> subprocess.Popen[str]:
        source = str(Path(mapmpi.__file__).parent.parent)
        paths = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
        return subprocess.Popen(
            [sys.executable, "-m", "mapmpi.check.files"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )

    def __call__(self, path: Path, trajectory: bool) -> Look:
        """Look at a trajectory (mending it first, if that was asked for) or at a file of a pathway."""
        task = {"path": str(path), "trajectory": trajectory, **self._settings}
        failure = f"{path} is damaged (HDF5 cannot get through it); restore it from a copy."
        answer = self._answer(task, [path], failure)
        table = np.frombuffer(bytes.fromhex(answer.get("episodes", "")), EPISODE)
        return Look(path, answer.get("agent", 0), table, answer.get("mended", False), answer.get("wrong", ""))

    def orphans(self, paths: Sequence[Path]) -> tuple[list[tuple[int, int]], str]:
        """Return the episodes (agent, number) whose beginning no trajectory of these holds, or what is wrong."""
        failure = "HDF5 cannot get through the energies of all trajectories; try --every-frame."
        answer = self._answer({"family": [str(path) for path in paths]}, paths, failure)
        return [(agent, number) for agent, number in answer.get("orphans", [])], answer.get("wrong", "")

    def _answer(self, task: dict[str, Any], paths: Sequence[Path], failure: str) -> dict[str, Any]:
        """Return the answer to a task on some files; the ``failure`` if the process dies of it or takes too long."""
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        line, patience_s = "", PATIENCE_S + sum(path.stat().st_size for path in paths) / BYTES_PER_S
        with contextlib.suppress(OSError):
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
            if select.select([process.stdout], [], [], patience_s)[0]:
                line = process.stdout.readline()
        if line.endswith("\n"):
            return json.loads(line)
        self._stop()
        return {"wrong": failure}


def look(task: dict[str, Any]) -> dict[str, Any]:
    """Do one task and return the answer."""
    family = [Path(name) for name in task.get("family", ())]
    path = family[0].parent if family else Path(task["path"])
    try:
        if family:
            return {"orphans": WholePaths(family).orphans()}
        if not task["trajectory"]:
            read_tree(path)
            return {}
        mended = task["mend"] and _repaired(path)
        agent, table = inspect(path, task["every_frame"])
        return {"agent": agent, "episodes": table.tobytes().hex(), "mended": mended}
    except UserError as error:
        return {"wrong": str(error)}
    except Exception as error:  # whatever a damaged file makes its reader say
        reason = " ".join(str(error).split()) or type(error).__name__
        return {"wrong": f"{path} is damaged ({reason}); restore it from a copy."}


def _repaired(path: Path) -> bool:
    try:
        return repair(path)
    except PermissionError:
        raise UserError(f"{path}: no permission to mend it; check again as the user who owns it.") from None


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(look(json.loads(line))), flush=True)
