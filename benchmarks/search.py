"""How low the roads are that a training finds, in labyrinths whose lowest pass is known exactly.

    python benchmarks/search.py --labyrinths 101-108 [--methods planned,planned_16 …] [--runs DIR] [--out FILE.json]

Each method trains on each labyrinth with the default settings (mapmpi.train on the real LAMMPS). What counts of a
training is the path that it ranks first after so many actions; its height is the highest exact energy on the straight
pieces between the tracer's places, so no step over a ridge goes unseen. The ratio is that height over the exact
minimax, both above the start. A training that has no path has the ratio infinity. At the end of a training the network
alone plays one episode from the start (ε = 0), and its path is measured so, too: greedy. What --out names is kept and
added to, so that methods may be run one by one. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from launch import prepare, seeds, train

from mapmpi.env.environment import Environment
from mapmpi.md.factory import make_engine
from mapmpi.rl.exploration import masked_argmax
from mapmpi.rl.inference import QFunction
from mapmpi.store.checkpoint import Checkpoints
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.wholepath import WholePaths
from mapmpi.structures.inputs import read_input
from mapmpi.structures.labyrinth import Labyrinth, read_truth

MARKS = (300, 500, 1000, 2000, 5000)
"""Actions after which the best path is looked at."""


@dataclass(frozen=True)
class Method:
    """A way to train: agents, actions in all, and settings."""

    agents: int
    actions: int
    settings: tuple[str, ...] = ()


METHODS = {
    "straight": Method(1, 60, ("exploration.kind=random", "actions.directions=[[1,0,0]]")),
    "planned": Method(1, 5000),
    "planned_16": Method(16, 2000),
    "archive": Method(1, 2000, ("exploration.kind=archive",)),
    "archive_16": Method(16, 2000, ("exploration.kind=archive",)),
    "random": Method(1, 5000, ("exploration.kind=random", "exploration.epsilon_max=0.4")),
    "paper": Method(1, 2000, ("mode=paper",)),
}


@dataclass(frozen=True)
class Found:
    """What a training of a labyrinth came to."""

    curve: list[tuple[int, float]]
    """Actions of all agents together after which a better path was there, and its ratio."""
    greedy: float
    """Of the greedy episode; infinity where it did not reach the goal."""
    seconds: float

    def at(self, actions: int) -> float:
        """Return the ratio of the path that ranks first after so many actions; infinity where there is none."""
        return next((ratio for done, ratio in reversed(self.curve) if done <= actions), np.inf)


def marks(method: str) -> list[int]:
    """Return those of MARKS that a method reaches."""
    return [mark for mark in MARKS if mark <= METHODS[method].actions] or [MARKS[0]]


def better_and_better(paths: WholePaths) -> Iterator[tuple[int, np.void]]:
    """Yield each episode whose path ranked first when it ended, with the actions of all agents until then."""
    episodes = paths.episodes[np.argsort(paths.episodes["ended"], kind="stable")]
    lowest = np.inf
    for row, done in zip(episodes, np.cumsum(episodes["actions"]), strict=True):
        if row["outcome"] == b"goal" and row["climb"] < lowest:
            lowest = float(row["climb"])
            yield int(done), row


def climbs(run: Path) -> list[tuple[int, float]]:
    """Return the climb in eV of the path that ranks first, from when on: actions of all agents together."""
    paths = WholePaths(RunDirectory(run).trajectory_files())
    return [(done, round(float(row["climb"]), 4)) for done, row in better_and_better(paths)]


def curve(run: Path, truth: Labyrinth) -> list[tuple[int, float]]:
    """Return the ratio of the path that ranks first, from when on: actions of all agents together."""
    paths = WholePaths(RunDirectory(run).trajectory_files())
    found = []
    for done, row in better_and_better(paths):
        places = paths.path(int(row["agent"]), int(row["episode"])).tagged_position
        found.append((done, round(truth.path_height(places) / truth.height, 4)))
    return found


def greedy(input_file: Path, method: Method, run: Path, truth: Labyrinth) -> float:
    """Return the ratio of the path that the network of a training's end plays from the start; infinity if it fails."""
    config, atoms = read_input(input_file, list(method.settings))
    environment = Environment(config, lambda: make_engine(config, atoms, None))
    q_function = QFunction(environment.grid.shape, len(environment.vectors), config.network)
    checkpoint = Checkpoints(RunDirectory(run).checkpoints).load()
    assert checkpoint is not None
    q_function.load(checkpoint.arrays["learner.behaviour"])
    step = environment.reset(seed=1)
    places = [step.place]
    while not step.ending:
        step = environment.step(masked_argmax(q_function(step.state), step.forbidden))
        places.append(step.place)
    environment.close()
    return truth.path_height(np.array(places)) / truth.height if step.ending == "goal" else np.inf


def one(name: str, seed: int, folder: Path, settings: list[str]) -> Found:
    """Train by a method on a labyrinth, and measure what was found; from the folder where that was done before."""
    labyrinth, run = folder / f"labyrinth-{seed}.data", folder / f"{name}-{seed}"
    done = run / "found.json"
    if done.exists():
        return Found(**json.loads(done.read_text()))
    truth_file, input_file = labyrinth.with_suffix(".truth.json"), labyrinth.with_suffix(".yaml")
    if not truth_file.exists():
        prepare("labyrinth", str(labyrinth.with_suffix("")), "--seed", str(seed))
    truth, method = read_truth(truth_file), METHODS[name]
    method = Method(method.agents, method.actions, (*method.settings, *settings))
    limits = (f"seed={seed}", f"train.stop.actions={method.actions}", "train.stop.wall_time=3h")
    began = time.monotonic()
    train(input_file, run, method.agents, (*limits, *method.settings))
    seconds = time.monotonic() - began
    found = Found(curve(run, truth), greedy(input_file, method, run, truth), round(seconds, 1))
    done.write_text(json.dumps(asdict(found)))
    return found


def run_all(names: list[str], seeds: list[int], folder: Path, settings: list[str]) -> dict[str, dict[str, Found]]:
    """Return what each method found in each labyrinth, and print it on the way."""
    table: dict[str, dict[str, Found]] = {name: {} for name in names}
    for seed in seeds:
        for name in names:
            found = table[name][str(seed)] = one(name, seed, folder, settings)
            row = "  ".join(f"{found.at(mark):7.2f}" for mark in marks(name))
            print(f"{seed:5} {name:12} {row}   greedy {found.greedy:6.2f} {found.seconds:6.0f} s", flush=True)
    return table


def with_earlier(table: dict[str, dict[str, Found]], out: Path | None) -> dict[str, dict[str, Found]]:
    """Return the table with the other methods of a file that is there already."""
    if out is None or not out.exists():
        return table
    earlier = json.loads(out.read_text())["found"]
    kept = {name: {seed: Found(**row) for seed, row in rows.items()} for name, rows in earlier.items()}
    return {**kept, **table}


def report(table: dict[str, dict[str, Found]]) -> dict[str, object]:
    """Print the medians over the labyrinths; return the figures of the last line."""
    print(
        "\nmedian ratio after     " + "  ".join(f"{mark:7}" for mark in MARKS) + " actions; of the greedy episode"
    )
    medians, greedy_ratios = {}, {}
    for name, rows in table.items():
        medians[name] = np.median([[found.at(mark) for mark in marks(name)] for found in rows.values()], axis=0)
        greedy_ratios[name] = np.array([found.greedy for found in rows.values()])
        row = "  ".join(f"{ratio:7.2f}" for ratio in medians[name]) + "         " * (
            len(MARKS) - len(medians[name])
        )
        reached = f"{np.isfinite(greedy_ratios[name]).sum()} of {len(rows)} reach the goal"
        print(f"      {name:12}     {row}  {np.median(greedy_ratios[name]):7.2f}, {reached}")
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
    if "straight" in medians:
        figures["straight_ratio"] = round(float(medians["straight"][0]), 3)
    if "planned" in table:
        figures["greedy_reached"] = int(np.isfinite(greedy_ratios["planned"]).sum())
        figures["greedy_ratio"] = round(float(np.median(greedy_ratios["planned"])), 3)
    if "random" in table:
        figures["greedy_reached_random"] = int(np.isfinite(greedy_ratios["random"]).sum())
    return {**figures, "seeds": [int(seed) for seed in next(iter(table.values()))]}


def draw(table: dict[str, dict[str, Found]], file: Path) -> None:
    """Draw the median ratio of the best path against the actions, and the band between the quartiles."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name, rows in table.items():
        most = METHODS[name].actions
        actions = np.unique(
            np.concatenate([[done for done, _ in found.curve] for found in rows.values()] + [[most]])
        )
        ratios = np.array([[found.at(int(done)) for done in actions] for found in rows.values()])
        ratios[np.isinf(ratios)] = 1e6  # off the page: no path yet
        low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75], axis=0, method="nearest")
        (line,) = axes.step(actions, middle, where="post", label=name)
        axes.fill_between(actions, low, high, step="post", alpha=0.15, color=line.get_color())
    axes.set(xscale="log", yscale="log", ylim=(0.95, 60), xlabel="actions of all agents together")
    axes.set_ylabel("height of the best path / lowest pass")
    axes.set_yticks([1, 1.2, 2, 5, 10, 20, 50], ["1", "1.2", "2", "5", "10", "20", "50"])
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.legend(title=f"median of {len(next(iter(table.values())))} labyrinths")
    figure.savefig(file, dpi=150)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labyrinths", type=seeds, default="101-108", help="seeds, A-B or one")
    parser.add_argument("--methods", default=",".join(METHODS), help="of " + ", ".join(METHODS))
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE for all trainings")
    parser.add_argument("--runs", type=Path, help="folder in which runs are kept, to go on after an interruption")
    parser.add_argument("--out", type=Path, help="file for the table (JSON)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.runs or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        table = run_all(args.methods.split(","), list(args.labyrinths), folder, args.set)
    table = with_earlier(table, args.out)
    figures = report(table)
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        found = {name: {seed: asdict(row) for seed, row in rows.items()} for name, rows in table.items()}
        content = {"command": " ".join(["python", *sys.argv]), "marks": MARKS, "found": found, **figures}
        args.out.write_text(json.dumps(content, indent=1) + "\n")
        draw(table, args.out.with_suffix(".png"))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
