"""What tests of whole runs share: to start a job, to send signals to its ranks, to look at what lies on disk."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
from ase import Atoms
from ase.io import write
from conftest import MPIEXEC, ROOT, wall_with_a_gap

from mapmpi.errors import UserError
from mapmpi.store.metrics import read_metrics
from mapmpi.store.trajectory import TrajectoryReader

Episodes = dict[tuple[int, int], np.void]


def write_analytic_input(folder: Path) -> Path:
    """Write an input whose structure stands in for the analytic landscape's 60 atoms; return its path."""
    centers = wall_with_a_gap().centers
    atoms = Atoms(["O"] + ["Si"] * len(centers), np.vstack([[2.0, 6.0, 6.0], centers]), cell=[12] * 3, pbc=True)
    write(folder / "wall.extxyz", atoms)
    path = folder / "wall.yaml"
    path.write_text(
        "structure: {file: wall.extxyz, tagged_atoms: [1]}\ngoal: {distance: 6}\n"
        "dynamics: {max_temperature: 1.0e+5, steps_per_action: 20}\n"
        "state: {points: 12, spacing: 0.8}\nepisode: {max_actions: 30}\n"
        "network: {channels: [8, 16], hidden: 32}\nlearning: {batch: 32, replay_ratio: 2}\n"
    )
    return path


class Job:
    """A program under mpiexec. Its output goes to a file beside the run directory."""

    def __init__(self, ranks: int, words: list[object], output: Path, options: tuple[str, ...] = ()) -> None:
        start = [str(MPIEXEC if MPIEXEC.exists() else "mpiexec"), *options, "-n", str(ranks), sys.executable]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        environment["MAPMPI_TEST_JOB"] = f"{time.time_ns()}"
        self._mark = f"MAPMPI_TEST_JOB={environment['MAPMPI_TEST_JOB']}".encode()
        self.output = output
        self._handle = open(output, "ab")  # noqa: SIM115  (open as long as the job)
        self.process = subprocess.Popen(
            [*start, *map(str, words)],
            stdout=self._handle,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )

    @property
    def text(self) -> str:
        """All that was printed so far."""
        return self.output.read_text(errors="replace")

    @property
    def ranks(self) -> dict[int, int]:
        """The process ids of the ranks that live, by their numbers."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                facts = (folder / "environ").read_bytes().split(b"\0")
                if self._mark not in facts:  # a launcher may put its ranks into sessions of their own
                    continue
                rank = next((int(fact[9:]) for fact in facts if fact.startswith(b"PMI_RANK=")), None)
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                if rank is not None and int(parent) not in found.values():  # not a rank's own child
                    found.setdefault(rank, int(folder.name))
        return found

    def signal(self, number: int, ranks: list[int] | None = None) -> None:
        """Send a signal to some ranks, or to all and, where it cannot be refused, to mpiexec."""
        found = self.ranks
        for rank in found if ranks is None else ranks:
            with contextlib.suppress(ProcessLookupError, KeyError):
                os.kill(found[rank], number)
        if ranks is None and number == signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def wait(self, timeout_s: float) -> int | None:
        """Return the exit code once the job and all its ranks have ended; None, and no rank left, if they do not."""
        deadline = time.monotonic() + timeout_s
        try:
            code = self.process.wait(timeout_s)
            while self.ranks and time.monotonic() < deadline:
                time.sleep(0.1)
            return None if self.ranks else code
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self._handle.close()


def committed(run: Path) -> tuple[Episodes, int, int]:
    """Return the episodes of all trajectories, how many files cannot be read whole, how many numbers stand twice."""
    found: Episodes = {}
    unreadable, twice = 0, 0
    for file in sorted((run / "trajectories").glob("agent-*.h5")):
        try:
            with TrajectoryReader(file) as reader:
                for row, record in enumerate(reader.episodes):
                    key = (int(record["agent"]), int(record["episode"]))
                    twice += key in found
                    found[key] = record
                    assert len(reader.episode(row).positions) == record["frames"]
        except (UserError, OSError, AssertionError):
            unreadable += 1
    return found, unreadable, twice


def opens_elsewhere(run: Path) -> int:
    """Return how many trajectories another HDF5 program would refuse."""
    refused = 0
    for file in (run / "trajectories").glob("agent-*.h5"):
        try:
            with h5py.File(file, "r") as handle:
                assert len(handle["particles/atoms/position/value"]) == len(handle["mapmpi/action"])
        except (OSError, AssertionError):
            refused += 1
    return refused


def rows_twice(run: Path) -> int:
    """Return how many episodes have more than one row in metrics.csv."""
    if not (run / "metrics.csv").exists():
        return 0
    rows = read_metrics(run / "metrics.csv")
    return sum(count - 1 for count in Counter((int(row["agent"]), int(row["episode"])) for row in rows).values())


def same_but_for_times(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two tables of episodes agree in all but wall times."""
    names = [name for name in one.dtype.names or () if name not in ("wall_time", "ended")]
    return len(one) == len(other) and all(np.array_equal(one[name], other[name]) for name in names)
