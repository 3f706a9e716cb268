"""How low the roads are that a training finds, in labyrinths whose lowest pass is known exactly.

    python benchmarks/search.py --labyrinths 101-108 [--methods planned,planned_16 …] [--out benchmarks/results/search]

Each method trains on each labyrinth with the default settings (mapmpi.train on the real LAMMPS). What counts of a
training is the path that it ranks first after so many actions; its height is the highest exact energy on the straight
pieces between the tracer's places, so no step over a ridge goes unseen. The ratio is that height over the exact
minimax, both above the start. A training that has no path has the ratio infinity. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from mapmpi.store.rundir import RunDirectory
from mapmpi.store.wholepath import WholePaths
from mapmpi.structures.labyrinth import Labyrinth, read_truth

MARKS = (300, 500, 1000, 2000)
"""Actions after which the best path is looked at."""


@dataclass(frozen=True)
class Method:
    """A way to train: agents, actions in all, and settings."""

    agents: int
    actions: int
    settings: tuple[str, ...] = ()


METHODS = {
    "straight": Method(1, 60, ("exploration.kind=random", "actions.directions=[[1,0,0]]")),
    "planned": Method(1, 2000),
    "planned_16": Method(16, 2000),
    "archive": Method(1, 2000, ("exploration.kind=archive",)),
    "archive_16": Method(16, 2000, ("exploration.kind=archive",)),
    "random": Method(1, 2000, ("exploration.kind=random", "exploration.epsilon_max=0.4")),
    "paper": Method(1, 2000, ("mode=paper",)),
}


def bin_folder() -> Path:
    """Return the folder of this Python, where mpiexec is, too."""
    return Path(sys.executable).parent


def prepare(seed: int, folder: Path) -> Labyrinth:
    """Make a labyrinth as a user would; return its truth."""
    output = folder / f"labyrinth-{seed}"
    command = [sys.executable, "-m", "mapmpi.prepare", "labyrinth", str(output), "--seed", str(seed)]
    subprocess.run(command, check=True, capture_output=True)
    return read_truth(output.with_suffix(".truth.json"))


def train(input_file: Path, method: Method, seed: int, run: Path) -> None:
    """Train once; raises CalledProcessError where that fails."""
    settings = ["seed=" + str(seed), f"train.stop.actions={method.actions}", "train.stop.wall_time=2h"]
    words = [word for setting in (*settings, *method.settings) for word in ("--set", setting)]
    command = [bin_folder() / "mpiexec", "-n", str(method.agents + 1), sys.executable, "-m", "mapmpi.train"]
    subprocess.run(
        [*map(str, command), str(input_file), "--run-dir", str(run), *words], check=True, stdout=subprocess.DEVNULL
    )


def ratios(run: Path, truth: Labyrinth) -> list[float]:
    """Return the ratio of the path that ranks first after each of MARKS actions; infinity where there is none."""
    directory = RunDirectory(run)
    paths = WholePaths(directory.trajectory_files())
    rows = paths.episodes[np.argsort(paths.episodes["ended"], kind="stable")]
    done = np.cumsum(rows["actions"])
    found = []
    for mark in MARKS:
        goals = [row for row in rows[done <= mark] if row["outcome"] == b"goal"]
        best = min(goals, key=lambda row: float(row["climb"]), default=None)
        if best is None:
            found.append(np.inf)
            continue
        places = paths.path(int(best["agent"]), int(best["episode"])).tagged_position
        found.append(truth.path_height(places) / truth.height)
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labyrinths", default="101-108", help="seeds, A-B")
    parser.add_argument("--methods", default=",".join(METHODS), help="of " + ", ".join(METHODS))
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE for all trainings, for ablations")
    parser.add_argument("--out", type=Path, help="file for the table (JSON)")
    args = parser.parse_args()
    first, last = (int(word) for word in args.labyrinths.split("-"))
    seeds = list(range(first, last + 1))
    table: dict[str, dict[int, list[float]]] = {name: {} for name in args.methods.split(",")}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for seed in seeds:
            truth = prepare(seed, folder)
            for name in table:
                method = METHODS[name]
                method = Method(method.agents, method.actions, (*method.settings, *args.set))
                began, run = time.monotonic(), folder / f"{name}-{seed}"
                train(folder / f"labyrinth-{seed}.yaml", method, seed, run)
                table[name][seed] = ratios(run, truth)
                row = "  ".join(f"{ratio:7.2f}" for ratio in table[name][seed])
                print(f"{seed:5} {name:12} {row}   {time.monotonic() - began:6.0f} s", flush=True)
    print(json.dumps(report(table, seeds, args.out)))


def report(table: dict[str, dict[int, list[float]]], seeds: list[int], out: Path | None) -> dict[str, object]:
    """Print the medians over the labyrinths, write the table, and return the figures of the last line."""
    medians = {name: np.median([rows[seed] for seed in seeds], axis=0) for name, rows in table.items()}
    print("\nmedian ratio after     " + "  ".join(f"{mark:7}" for mark in MARKS) + " actions")
    for name, row in medians.items():
        print(f"      {name:12}     " + "  ".join(f"{ratio:7.2f}" for ratio in row))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        content = {"command": " ".join(["python", *sys.argv]), "marks": MARKS, "ratios": table}
        out.write_text(json.dumps(content, indent=1) + "\n")
    wanted = {
        "ratio_500": ("planned", 500),
        "ratio_2000": ("planned", 2000),
        "ratio_2000_16_agents": ("planned_16", 2000),
        "archive_ratio_2000": ("archive", 2000),
        "paper_ratio_2000": ("paper", 2000),
    }
    figures: dict[str, object] = {
        key: round(float(medians[name][MARKS.index(mark)]), 3)
        for key, (name, mark) in wanted.items()
        if name in medians
    }
    return {**figures, "seeds": seeds}


if __name__ == "__main__":
    main()
