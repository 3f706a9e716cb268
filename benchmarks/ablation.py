"""What each ingredient of the planned exploration is worth: trainings without it.

    python benchmarks/ablation.py --seeds 501-516 [--in labyrinths] [--without asinh,walls …] [--agents 16]
        --runs DIR [--out FILE.json]
    python benchmarks/ablation.py --seeds 1-4 --in loose --agents 2 …

Every row is the default with one thing taken out or replaced, by the same trainings as benchmarks/search.py and
silica.py but with hardly any gradient steps, for the network has no part in the search. In labyrinths, one for each
seed, figures are ratios to the exact minimax; in a glass (those of silica.py), with each seed once, they are climbs of
the best path in eV. They are taken after 300 and 500 actions of one agent, 150 and 300 of two, 500 and 1,000 of more,
all together, and infinite where there is no way yet; `worse` counts the seeds for which the row is more than 2 % above
the default at the end, `better` those for which it is more than 2 % below.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from launch import on_ranks, prepare, seeds, words_of
from search import Found, climbs, curve
from silica import glass

from mapmpi.climb import Heights
from mapmpi.search import archive, energymap, plan, planner, process, pursuit, region
from mapmpi.structures.labyrinth import read_truth

SETTINGS = ("train.stop.wall_time=1h", "learning.replay_ratio=0.01")


def marks(agents: int) -> tuple[int, int]:
    """Return after how many actions the best path is looked at."""
    return {1: (300, 500), 2: (150, 300)}.get(agents, (500, 1000))


def _constants(module: Any, **values: float) -> Callable[[], None]:
    def change() -> None:
        for name, value in values.items():
            setattr(module, name, value)

    return change


def _by_height_alone() -> None:
    """Choose states by the height that their paths have reached, not by what the way on must climb."""

    def climbs(plan: Any, places: np.ndarray, heights: list[Heights]) -> np.ndarray:
        return np.array([known.climb for known in heights])

    planner.Planner._promised = staticmethod(climbs)  # type: ignore[method-assign]


def _from_the_start() -> None:
    """Always begin at the start: no archive."""
    keep = planner.Planner.add

    def add(self: planner.Planner, visit: archive.Visit) -> None:
        first = dict(self.archive.cells)
        keep(self, visit)
        self.archive.cells = first or self.archive.cells

    planner.Planner.add = add  # type: ignore[method-assign]


def _energies_as_they_are() -> None:
    """Fit energies instead of their asinh, cut off at ten times the scale."""
    energymap.np = _Linear()  # type: ignore[assignment]


class _Linear:
    """numpy, but for asinh and sinh."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def arcsinh(values: np.ndarray) -> np.ndarray:
        return np.minimum(values, 10.0)

    @staticmethod
    def sinh(values: np.ndarray) -> np.ndarray:
        return values


def _one_element() -> None:
    """All atoms alike."""
    begin = region.Region.__init__

    def init(self: region.Region, atoms: Any, *others: Any) -> None:
        alike = atoms.copy()
        alike.numbers[:] = 1
        begin(self, alike, *others)

    region.Region.__init__ = init  # type: ignore[method-assign]


def _no_straight() -> None:
    """The first episode explores like the others."""
    from mapmpi.train.agent import Agent

    Agent._policy = lambda self: "explore"  # type: ignore[method-assign]


ABLATIONS: dict[str, tuple[Callable[[], None], tuple[str, ...]]] = {
    "nothing": (lambda: None, ()),
    "nonlinear": (_constants(process, LENGTHS=(1e3,)), ()),
    "walls": (_constants(energymap, WALL=0.0), ()),
    "asinh": (_energies_as_they_are, ()),
    "elsewhere": (_constants(planner, FIRST_MARGIN=np.inf, MARGIN=np.inf), ()),
    "height-of-way": (_by_height_alone, ()),
    "archive": (_from_the_start, ()),
    "played": (_constants(planner, PLAYED=10**9), ()),
    "discount": (_constants(planner, DISCOUNT=1.0), ()),
    "first-straight": (_no_straight, ()),
    "soft-maximum": (_constants(plan, SHARPNESS=4.0), ()),
    "aim-close": (_constants(pursuit, AHEAD=1.0), ()),
    "hurry": (_constants(pursuit, HURRY=0.0), ()),
    "26-directions": (lambda: None, ("actions.directions=axes6",)),
    "early-plans": (_constants(planner, FIRST_PLANS=1e9), ()),
}


def ablated(name: str, words: list[str]) -> int:
    """Be a rank of a training without an ingredient; return the exit code."""
    ABLATIONS[name][0]()
    from mapmpi.train.run import main as train

    return train(words)


def labyrinth(seed: int, folder: Path) -> Path:
    """Return the input file of a labyrinth, which is made if it is not there."""
    stem = folder / f"labyrinth-{seed}"
    if not stem.with_suffix(".truth.json").exists():
        prepare("labyrinth", str(stem), "--seed", str(seed))
    return stem.with_suffix(".yaml")


def one(name: str, where: str, seed: int, agents: int, folder: Path) -> list[float]:
    """Return how high the best paths are of a training without an ingredient."""
    input_file = labyrinth(seed, folder) if where == "labyrinths" else glass(where, folder)
    run = folder / f"{where}-without-{name}-{seed}-{agents}"
    if not (run / "done").exists():
        shutil.rmtree(run, ignore_errors=True)  # it was interrupted
        words = [str(input_file), "--run-dir", str(run)]
        settings = words_of(
            (*SETTINGS, f"train.stop.actions={marks(agents)[-1]}", f"seed={seed}", *ABLATIONS[name][1])
        )
        on_ranks(agents + 1, [__file__, "--be", name, *words, *settings])
        (run / "done").touch()
    truth = input_file.with_suffix(".truth.json")
    heights = curve(run, read_truth(truth)) if where == "labyrinths" else climbs(run)
    found = Found(heights, greedy=np.inf, seconds=0.0)
    return [found.at(mark) for mark in marks(agents)]


def main() -> None:
    """Run the benchmark."""
    if sys.argv[1:2] == ["--be"]:
        sys.exit(ablated(sys.argv[2], sys.argv[3:]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in", dest="where", default="labyrinths", help="labyrinths, or a glass of silica.py")
    parser.add_argument("--seeds", type=seeds, default="501-516", help="A-B or one")
    parser.add_argument("--without", default=",".join(ABLATIONS), help="of " + ", ".join(ABLATIONS))
    parser.add_argument("--agents", type=int, default=1, help="of each training")
    parser.add_argument("--runs", type=Path, required=True, help="folder in which runs are kept")
    parser.add_argument("--out", type=Path, help="file for the table (JSON)")
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    table: dict[str, list[list[float]]] = {}
    for name in dict.fromkeys(["nothing", *args.without.split(",")]):
        began = time.monotonic()
        table[name] = [one(name, args.where, seed, args.agents, args.runs) for seed in args.seeds]
        print(f"without {name}: {time.monotonic() - began:.0f} s", flush=True)
    rows = report(table, marks(args.agents))
    if args.out is not None:
        content = {
            "command": " ".join(["python", *sys.argv]),
            "marks": marks(args.agents),
            "rows": rows,
            "found": table,
        }
        args.out.write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(rows))


def report(table: dict[str, list[list[float]]], marked: tuple[int, int]) -> dict[str, dict[str, float]]:
    """Print a row for each ingredient; return them."""
    early, late = marked
    print(f"\nwithout          median at {early}, {late}   worst   no way   worse  better")
    default, rows = np.array(table["nothing"])[:, 1], {}
    for name, found in table.items():
        at_early, at_late = np.array(found)[:, 0], np.array(found)[:, 1]
        ways = at_late[np.isfinite(at_late)]
        row = {
            f"at_{early}": round(float(np.median(at_early)), 3),
            f"at_{late}": round(float(np.median(at_late)), 3),
            "worst": round(float(ways.max(initial=0.0)), 2),
            "no_way": int(np.isinf(at_late).sum()),
            "worse": int((at_late > 1.02 * default).sum()),
            "better": int((at_late < default / 1.02).sum()),
        }
        rows[name] = row
        medians = f"{row[f'at_{early}']:12.2f} {row[f'at_{late}']:12.2f}"
        print(f"{name:15}  {medians}  {row['worst']:7.2f} {row['no_way']:8} {row['worse']:7} {row['better']:7}")
    return rows


if __name__ == "__main__":
    main()
