"""Kills jobs at random moments and starts them again: ``python tests/chaos.py --kills 50``.

Trainings on the analytic landscape and in real LAMMPS, and phase 2 in real LAMMPS, lose one agent's rank, the
learner or all ranks to SIGKILL, or are told to stop by SIGTERM or SIGUSR1; then the same job goes on. The last line is
JSON: ``kills``; ``unreadable`` files (for mapmpi behind a kill, for any HDF5 program behind an end in order or behind
``mapmpi check``), ``lost_episodes`` that had been committed, ``duplicate_episodes``, ``hangs`` and ``wrong_exits``.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from running import Episodes, Job, committed, opens_elsewhere, rows_twice, write_analytic_input
from test_pneb import write_input

from mapmpi.errors import FINISHED, UNFINISHED, UserError
from mapmpi.store.journal import count_entries

ROOT = Path(__file__).parent.parent
DEATHS = {
    "an agent": (signal.SIGKILL, [1]),
    "the learner": (signal.SIGKILL, [0]),
    "all": (signal.SIGKILL, None),
    "all, told to stop": (signal.SIGTERM, None),
    "all, told to stop by the batch system": (signal.SIGUSR1, None),
}
END_S = 60.0
"""How long a job may take to end after a kill; the learner's death is to be noticed in 30 s."""
START_S = 60.0
MOMENT_S = 4.0
"""A kill comes within so many seconds of a job's first sign of work."""


@dataclass
class Count:
    """What went wrong."""

    kills: int = 0
    unreadable: int = 0
    lost_episodes: int = 0
    duplicate_episodes: int = 0
    hangs: int = 0
    wrong_exits: list[str] = field(default_factory=list)


class Target:
    """A kind of job that can be killed and gone on with, in a folder of its own."""

    ranks = 3

    def __init__(self, folder: Path) -> None:
        self.folder, self.run, self.starts = folder, folder / "run", 0
        folder.mkdir(parents=True)

    def words(self) -> list[object]:
        """Return the command for the next start."""
        raise NotImplementedError

    def signs(self) -> int:
        """Return a number that grows while the job works."""
        return sum(path.stat().st_size for path in self.run.rglob("*") if path.is_file())

    def start(self) -> Job:
        """Start, or go on."""
        self.starts += 1
        return Job(self.ranks, self.words(), self.folder / f"output-{self.starts:03d}.txt")

    def check(self, count: Count, in_order: bool) -> None:
        """Look at the files behind a kill, or an end ``in_order``."""

    def check_mended(self, count: Count) -> None:
        """Let ``mapmpi check`` mend the files, and look at them."""
        command = [sys.executable, "-m", "mapmpi.check", str(self.run)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != FINISHED:
            count.wrong_exits.append(f"mapmpi check {self.run}:\n{done.stdout}{done.stderr}")
        count.unreadable += opens_elsewhere(self.run)


class Training(Target):
    """Phase 1."""

    def __init__(self, folder: Path, program: list[object], source: Path, ranks: int, settings: list[str]) -> None:
        super().__init__(folder)
        self.program, self.source, self.ranks, self.settings = program, source, ranks, settings
        self.episodes: Episodes = {}

    def words(self) -> list[object]:
        if (self.run / "config.yaml").exists():
            return [*self.program, "--resume", self.run]
        settings = [word for setting in self.settings for word in ("--set", setting)]
        return [*self.program, self.source, "--run-dir", self.run, *settings]

    def check(self, count: Count, in_order: bool) -> None:
        found, unreadable, twice = committed(self.run)
        count.unreadable += unreadable
        count.duplicate_episodes += twice + rows_twice(self.run)
        count.lost_episodes += sum(bool(found.get(key) != record) for key, record in self.episodes.items())
        self.episodes = found
        if in_order:
            count.unreadable += opens_elsewhere(self.run)


class Refinement(Target):
    """Phase 2 of a finished training."""

    ranks = 2

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        write_input(folder)
        job = Job(2, ["-m", "mapmpi.train", folder / "input.yaml", "--run-dir", self.run], folder / "training.txt")
        if job.wait(120) != FINISHED:
            raise RuntimeError(f"the training did not end well:\n{job.text}")

    def words(self) -> list[object]:
        if (self.run / "pathways" / "pathways.csv").exists():
            shutil.rmtree(self.run / "pathways")  # it has come to its end: once more
        return [ROOT / "tests" / "slow_pneb.py", "0.05", self.run, "--top", "2"]

    def check(self, count: Count, in_order: bool) -> None:
        journal = self.run / "pathways" / "journal"
        if journal.exists():
            try:
                count_entries(journal)
            except (UserError, OSError):
                count.unreadable += 1


def targets(folder: Path) -> list[Target]:
    """Return the jobs, the cheap ones more often than those in real LAMMPS."""
    folder.mkdir(parents=True, exist_ok=True)
    wall, silica = write_analytic_input(folder), ROOT / "inputs" / "silica-small.yaml"
    often = ["train.checkpoint_interval=1s", "train.stop.wall_time=1h", "train.report_interval=1s"]
    tiny = [*often, "episode.max_actions=4", "learning.start=8", "train.stop.actions=null"]
    return [
        Training(folder / "analytic", [ROOT / "tests" / "analytic_train.py"], wall, 4, often),
        Training(folder / "silica", ["-m", "mapmpi.train"], silica, 3, tiny),
        Refinement(folder / "copper"),
    ]


def kill(target: Target, death: str, count: Count, moments: random.Random) -> None:
    """Start a job, kill it at a random moment, and look at what it left."""
    job = target.start()
    before, deadline = target.signs(), time.monotonic() + START_S
    while target.signs() == before and job.process.poll() is None:
        if time.monotonic() > deadline:
            count.hangs += 1
            break
        time.sleep(0.05)
    time.sleep(moments.uniform(0.0, MOMENT_S))
    number, ranks = DEATHS[death]
    ended_before = job.process.poll() is not None
    job.signal(number, ranks)
    code = job.wait(END_S)
    count.kills += 1
    if code is None:
        count.hangs += 1
    elif (number != signal.SIGKILL or ended_before) and code not in (UNFINISHED, FINISHED):
        count.wrong_exits.append(f"{target.folder.name}, {death}: exit code {code}\n{job.text[-1500:]}")
    target.check(count, in_order=code in (UNFINISHED, FINISHED))
    end = "no end" if code is None else f"exit code {code}"
    print(f"{count.kills:3d}  {target.folder.name:9} {death}: {end}", flush=True)


def main() -> int:
    """Kill so many jobs; print what went wrong, and last the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="how many (default: 50)")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments (default: 1)")
    parser.add_argument("--folder", type=Path, help="where the runs are kept (default: a folder that is removed)")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    moments, count = random.Random(arguments.seed), Count()
    jobs, deaths = targets(folder), list(DEATHS)
    for number in range(arguments.kills):
        # every kind of job meets every kind of death
        kill(jobs[number % len(jobs)], deaths[number // len(jobs) % len(deaths)], count, moments)
    for job in jobs:
        job.check_mended(count)
    for words in count.wrong_exits:
        print(words)
    if arguments.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    result = {name: value for name, value in vars(count).items() if name != "wrong_exits"}
    print(json.dumps({**result, "wrong_exits": len(count.wrong_exits)}))
    return int(any(value for name, value in result.items() if name != "kills") or bool(count.wrong_exits))


if __name__ == "__main__":
    sys.exit(main())
