"""How fast the pathways are that trainings find in silica glass, refined, against the straight drag and the paper.

    python benchmarks/silica.py --runs DIR [--glasses small,loose] [--seeds 1-3] [--methods planned,paper,straight]
        [--paths 1] [--out benchmarks/results/silica.json]

Each method trains with each seed on each glass as a user would (650 actions of two agents), and phase 2 refines its
best path; the straight drag, which no seed changes, is refined once. Every path is a row of the table: the measure by
which trainings rank it (climb), the highest energy above the start (what they ranked by before), and what refinement
made of it. A path without a time (a hop whose saddle was not found) has none in the table, and counts as infinitely
slow in medians. Runs are kept in DIR: started again, the benchmark goes on where it was. Rows of other trainings that
are in the output file already are kept. The last line is JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from launch import prepare, refine, seeds, train
from scipy.stats import spearmanr

from mapmpi.config import load
from mapmpi.errors import UserError
from mapmpi.pneb import record
from mapmpi.pneb.figure import AFTER, BEFORE, SADDLE, curves
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.wholepath import WholePaths
from mapmpi.units import duration_text

INPUTS = Path(__file__).parent.parent / "inputs"
LOOSE = Path(__file__).parent / "loose-glass.data"
"""A glass with a low way through it, far below the straight drag."""
AGENTS, ACTIONS, KELVIN = 2, 650, 623.15

METHODS: dict[str, tuple[str, ...]] = {
    "planned": (),
    "archive": ("exploration.kind=archive",),
    "paper": ("mode=paper",),
    "straight": ("exploration.kind=random", "actions.directions=[[1,0,0]]", "train.stop.episodes=1"),
}


@dataclass(frozen=True)
class Row:
    """A refined path of a training."""

    glass: str
    method: str
    seed: int
    name: str
    reached: bool
    """Whether it came to its goal; what falls short of it has no claim to a passage time through the glass."""
    climb_ev: float
    highest_ev: float
    frames: int
    status: str
    barrier_ev: float | None
    passage_time_s: float | None
    eq3_time_s: float | None
    force_calls: int
    """Of the training and of the refinement of all its paths together."""


def glass(name: str, folder: Path) -> Path:
    """Return the input file of a glass; what is named by a seed is made: elsewhere the seed makes another glass."""
    if name == "small":
        return INPUTS / "silica-small.yaml"
    structure = folder / f"{name}.data"
    if name == "loose":
        shutil.copy(LOOSE, structure)
    elif not structure.exists():
        words = ("--formula-units", "64", "--density", "2.20", "--rate", "50", "--insert", "H2O", "--seed", name)
        prepare("silica", "--output", str(structure), *words)
    text = (INPUTS / "silica-small.yaml").read_text()
    structure.with_suffix(".yaml").write_text(text.replace("silica-small.data", structure.name))
    return structure.with_suffix(".yaml")


def one(input_file: Path, name: str, method: str, seed: int, folder: Path, paths: int) -> list[Row]:
    """Train and refine once; return a row for each path."""
    run = folder / f"{name}-{method}-{seed}"
    done = run / "rows.json"
    if done.exists():
        rows = [Row(**row) for row in json.loads(done.read_text())]
        if len(rows) >= paths or method == "straight":
            return rows
    settings = (f"seed={seed}", f"train.stop.actions={ACTIONS}", "train.stop.wall_time=3h", *METHODS[method])
    agents = 1 if method == "straight" else AGENTS
    if not (run / "trained").exists():
        train(input_file, run, agents, settings)
        (run / "trained").touch()
    counted = run / "force-calls"
    before = int(counted.read_text()) if counted.exists() else 0
    counted.write_text(str(before + refine(run, 2, ["--top", str(paths)], ["pneb.straight=false"])))
    rows = rows_of(run, name, method, seed, int(counted.read_text()))
    done.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    shutil.rmtree(run / "pathways" / "parts", ignore_errors=True)
    return rows


def rows_of(run: Path, name: str, method: str, seed: int, calls: int) -> list[Row]:
    """Return the refined paths of a run, the best first by the training's measure."""
    directory = RunDirectory(run)
    whole = WholePaths(directory.trajectory_files())
    steps = load(directory.config, structure_needed=False).dynamics.steps_per_action
    spent = calls + steps * int(whole.episodes["actions"].sum())
    found = []
    with (directory.pathways / "pathways.csv").open() as file:
        for row in csv.DictReader(file):
            if row["name"] == "network":  # the hops of all paths together
                continue
            agent, episode = (int(word) for word in row["name"].split("-")[1::2])
            heights = whole.heights(agent, episode)
            outcome = whole.path(agent, episode).record["outcome"]
            time_s, passage_s = (_number(row[f"{key}_{KELVIN:g}K"]) for key in ("time_s", "passage_time_s"))
            found.append(
                Row(name, method, seed, row["name"], outcome == b"goal", round(heights.climb, 4),
                    round(heights.rise, 4), len(whole.energies(agent, episode)), row["status"],
                    _number(row["highest_barrier_ev"]), passage_s, time_s, spent)
            )  # fmt: skip
    return sorted(found, key=lambda row: (not row.reached, row.climb_ev))


def _number(text: str) -> float | None:
    return float(text) if text else None


def with_earlier(rows: list[Row], out: Path) -> tuple[list[Row], dict[str, str]]:
    """Return the rows with those of other trainings in a file that is there already, and the file's remarks."""
    earlier = json.loads(out.read_text()) if out.exists() else {"rows": []}
    made = {(row.glass, row.method, row.seed) for row in rows}
    kept = [Row(**row) for row in earlier["rows"] if (row["glass"], row["method"], row["seed"]) not in made]
    remarks = {"remarks": earlier["remarks"]} if "remarks" in earlier else {}
    return [*rows, *kept], remarks


def report(rows: list[Row]) -> dict[str, object]:
    """Print the table; return the figures of the last line."""
    print("\nglass   method    seed  climb  highest  frames  barrier  passage time  Eq. 3        calls  refined")
    for row in rows:
        barrier = "   none" if row.barrier_ev is None else f"{row.barrier_ev:7.2f}"
        times = [
            "    none" if value is None else f"{value:8.2e}" for value in (row.passage_time_s, row.eq3_time_s)
        ]
        fell_short = "" if row.reached else ", short of the goal"
        print(
            f"{row.glass:7} {row.method:9} {row.seed:4} {row.climb_ev:6.2f} {row.highest_ev:8.2f} {row.frames:7} "
            f"{barrier}    {times[0]} s  {times[1]} s {row.force_calls:7}  {row.status}{fell_short}"
        )
    figures: dict[str, object] = {}
    for name in dict.fromkeys(row.glass for row in rows):
        for method in dict.fromkeys(row.method for row in rows):
            best = {}
            for row in rows:
                if (row.glass, row.method) == (name, method):
                    best.setdefault(row.seed, row.passage_time_s if row.reached else None)
            if best:
                times_s = [np.inf if value is None else value for value in best.values()]
                figures[f"{name}_{method}_median_s"] = float(np.median(times_s))
    timed = [row for row in rows if row.passage_time_s is not None and row.reached]
    if len(timed) > 2:
        log_times = [row.passage_time_s for row in timed]
        figures["paths_with_a_time"] = len(timed)
        figures["spearman_climb"] = round(float(spearmanr([row.climb_ev for row in timed], log_times)[0]), 3)
        figures["spearman_highest"] = round(float(spearmanr([row.highest_ev for row in timed], log_times)[0]), 3)
    return figures


def draw_profiles(rows: list[Row], folder: Path, figure_file: Path) -> None:
    """Draw the six fastest pathways in ``folder`` before and after refinement: figure 3 of the MAP paper."""
    import matplotlib.pyplot as plt

    files = {}
    for row in sorted(rows, key=lambda row: row.passage_time_s or 0.0):
        file = RunDirectory(folder / f"{row.glass}-{row.method}-{row.seed}").pathways / f"{row.name}.h5"
        if row.passage_time_s is not None and row.reached and file.exists():
            files[file] = row
    figure, panels = plt.subplots(2, 3, figsize=(12, 6), layout="constrained")
    for (stored, row), axes in zip(files.items(), panels.flat, strict=False):
        pathway = record.load(stored)
        refined, zero = curves(pathway), pathway.basins[0].energy
        if pathway.before is not None:
            axes.plot(
                pathway.before.progress,
                pathway.before.energies - zero,
                "-o",
                color=BEFORE,
                markersize=2,
                linewidth=0.8,
                label="in the training",
            )
        for way, energy in refined.bands:
            axes.plot(way, energy, color=AFTER)
        axes.plot(*refined.basins, "o", color=AFTER, markersize=4, label="refined")
        saddles = zip(*[point for point in refined.saddles if point is not None], strict=True)
        axes.plot(*saddles, "^", color=SADDLE, label="transition state")
        name = f"glass {row.glass}" if row.glass.isdigit() else f"{row.glass} glass"
        title = f"{name}, {row.method}, seed {row.seed}: {duration_text(row.passage_time_s or 0.0)}"
        axes.set(xlabel="way of the molecule (Å)", ylabel="energy (eV)")
        axes.set_title(title, fontsize=9)
    figure.legend(*panels.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    for axes in panels.flat[len(files) :]:
        axes.set_axis_off()
    figure.savefig(figure_file, dpi=150)
    plt.close(figure)


def draw_measures(rows: list[Row], file: Path) -> None:
    """Draw the refined passage times against the measures by which trainings rank, and ranked before."""
    import matplotlib.pyplot as plt

    timed = [row for row in rows if row.passage_time_s is not None and row.reached]
    figure, panels = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
    for axes, key, name in (
        (panels[0], "climb_ev", "climb (eV)"),
        (panels[1], "highest_ev", "highest energy (eV)"),
    ):
        for method in dict.fromkeys(row.method for row in timed):
            own = [row for row in timed if row.method == method]
            axes.semilogy(
                [getattr(row, key) for row in own], [row.passage_time_s for row in own], "o", label=method
            )
        axes.set_xlabel(name)
    panels[0].set_ylabel("mean first-passage time at 350 °C (s)")
    panels[0].legend()
    figure.savefig(file, dpi=150)
    plt.close(figure)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="folder in which runs are kept")
    parser.add_argument("--glasses", default="small,loose", help="of small, loose, and seeds of prepare silica")
    parser.add_argument("--seeds", type=seeds, default="1-3", help="A-B or one")
    parser.add_argument("--methods", default="planned,paper,straight", help="of " + ", ".join(METHODS))
    parser.add_argument("--paths", type=int, default=1, help="paths of each training that are refined")
    parser.add_argument("--out", type=Path, help="file for the table (JSON)")
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for seed in args.seeds:
        for name in args.glasses.split(","):
            input_file = glass(name, args.runs)
            for method in args.methods.split(","):
                if method == "straight" and seed != args.seeds[0]:  # the same for every seed
                    continue
                began = time.monotonic()
                try:
                    rows += one(input_file, name, method, seed, args.runs, args.paths)
                except UserError as error:
                    print(f"{name} {method} {seed}: {error}", file=sys.stderr)
                print(f"{name} {method} seed {seed}: {time.monotonic() - began:.0f} s", flush=True)
    remarks: dict[str, str] = {}
    if args.out is not None:
        rows, remarks = with_earlier(rows, args.out)
    rows.sort(key=lambda row: (row.glass, row.method, row.seed))
    figures = report(rows)
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "command": " ".join(["python", *sys.argv]),
            **remarks,
            "rows": [asdict(row) for row in rows],
            **figures,
        }
        args.out.write_text(json.dumps(content, indent=1) + "\n")
        draw_profiles(rows, args.runs, args.out.with_name(f"{args.out.stem}-profiles.png"))
        draw_measures(rows, args.out.with_name(f"{args.out.stem}-measures.png"))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
