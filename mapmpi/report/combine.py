"""``mapmpi combine RUN_DIR …``: time and diffusion coefficient over several glasses, with the spread between them."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from ase import Atoms
from rich.console import Console

from mapmpi.errors import UserError, exit_code
from mapmpi.panel import results_table
from mapmpi.parser import Parser
from mapmpi.path.assembly import NAME
from mapmpi.path.pathway import Pathway
from mapmpi.pneb.table import Kinetics, duration, shown
from mapmpi.report import tensor
from mapmpi.report.gather import Run, gather
from mapmpi.store.files import write_rows
from mapmpi.store.trajectory import start_structure

DRAWS, SURE, ENOUGH = 10_000, 0.95, 6
"""Draws of the bootstrap, the share of medians in an interval, and glasses from which it can hold what it says: the
range of five holds the true median in 94 % of cases."""
SAME_A = 0.05
"""Å: two runs whose starts differ by less are of one glass."""

MEASURES = {"passage_time_s": "passage_time_s", "diffusion_cm2_s": "passage_diffusion_cm2_s"}
"""What is combined, and the fields of a pathway's times that have it."""


@dataclass
class Glass:
    """A structure, and all pathways through it that are complete and have a time, from however many runs."""

    start: Atoms
    pathways: list[tuple[Run, Pathway]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    """All that began with it, whether or not they have such a pathway."""

    def fastest(self, kelvin: float) -> Kinetics:
        """Return the times of its fastest pathway at a temperature in K: diffusion takes the easiest way."""
        found = [run.times(one, kelvin) for run, one in self.pathways]
        return min(found, key=lambda times: times.passage_time_s)


def median_and_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """Return the median of positive numbers, and where 95 % of the medians of resampled ones lie.

    The bootstrap of B. Efron, Ann. Statist. 7, 1 (1979), of the logarithms, from always the same random numbers. The
    bounds of a single value are NaN. Raises ValueError for numbers that are not positive and finite, and for none.
    """
    values = np.asarray(values, dtype=float)
    if not values.size or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError("a median of times needs one or more that are positive and finite")
    if len(logs := np.log(values)) == 1:
        return float(values[0]), math.nan, math.nan
    draws = np.random.default_rng(0).choice(logs, (DRAWS, len(logs)))
    low, high = np.quantile(np.median(draws, axis=1), [0.5 - SURE / 2, 0.5 + SURE / 2])
    return float(np.exp(np.median(logs))), float(np.exp(low)), float(np.exp(high))


def glasses(runs: Sequence[Run]) -> list[Glass]:
    """Return the glasses of refined runs. Raises UserError for a run without pathways or of other rates."""
    found: list[Glass] = []
    for run in runs:
        if not run.refined:
            raise UserError(f"{run.directory.path} has no refined pathway; python -m mapmpi.pneb makes some.")
        ours, first = (f"by {one.settings.prefactor} and {one.forces}" for one in (run, runs[0]))
        if ours != first:
            raise UserError(
                f"{run.directory.path} is {ours}, {runs[0].directory.path} {first}; give runs of one kind."
            )
        start = start_structure(run.directory) if run.directory.trajectory_files() else run.refined[0].atoms
        glass = next((one for one in found if _same(one.start, start)), None)
        if glass is None:
            found.append(glass := Glass(start))
        glass.runs.append(run)
        glass.pathways += [(run, one) for one in run.refined if run.times(one).passage_time_s > 0]
    return found


def _same(first: Atoms, second: Atoms) -> bool:
    """Tell whether two structures are one, atom by atom."""
    pairs = (first.numbers, second.numbers), (first.cell, second.cell), (first.positions, second.positions)
    return all(one.shape == other.shape and abs(one - other).max() < SAME_A for one, other in pairs)


def combined(found: Sequence[Glass], temperatures: Sequence[float]) -> list[dict[str, float]]:
    """Return a row for each temperature in K: how many glasses have a time, medians and bounds of each measure.

    Behind them how many pathways there are in all, and the times of the fastest and the slowest: in a glass only the
    fastest counts, and these tell how much depends on which are known.
    """
    rows = []
    for kelvin in temperatures:
        fastest = [one.fastest(kelvin) for one in found if one.pathways]
        timed = [times for times in fastest if math.isfinite(times.passage_time_s) and times.passage_time_s > 0]
        row: dict[str, float] = {"temperature_K": kelvin, "glasses": len(timed)}
        for name, attribute in MEASURES.items():
            values = [getattr(times, attribute) for times in timed]
            three = median_and_interval(values) if values else (math.nan,) * 3
            row.update({f"{name}{end}": one for end, one in zip(("", "_low", "_high"), three, strict=True)})
        each = [run.times(one, kelvin).passage_time_s for run, one in _alone(found)]
        known = [time for time in each if math.isfinite(time) and time > 0] or [math.nan]
        row |= {"pathways": len(each), "fastest_s": min(known), "slowest_s": max(known)}
        rows.append(row)
    return rows


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = Parser(
        prog="mapmpi combine",
        description="Combine refined runs, best of many glasses: the median over the glasses of the passage time and "
        "of D = L²/2t of the fastest pathway, and of the diffusion tensor where networks lead through the cell, and "
        "the interval of 95 % of bootstrapped medians. Runs that begin with the same structure are one glass.",
        epilog="example: mapmpi combine runs/glass-a-001 runs/glass-b-001 --output combined.csv",
    )
    parser.add_argument("run_dirs", type=Path, nargs="+", metavar="RUN_DIR", help="folder of a refined run")
    parser.add_argument(
        "--output", type=Path, metavar="FILE.csv", help="for programs; FILE-tensor.csv has the tensor"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Combine runs; return the exit code."""
    return exit_code(partial(_combine, make_parser().parse_args(argv)), "choose another --output")


def _combine(args: argparse.Namespace) -> None:
    runs = [gather(path, with_map=False) for path in dict.fromkeys(path.resolve() for path in args.run_dirs)]
    found, first = glasses(runs), runs[0].settings.temperatures
    if not (kelvins := [kelvin for kelvin in first if all(kelvin in run.settings.temperatures for run in runs)]):
        raise UserError("the runs share no temperature; refine them again with one pneb.temperatures.")
    console = Console()
    print_table(console, rows := combined(found, kelvins), found)
    tensors = [tensor.of_glass([run.directory for run in one.runs]) for one in found]
    entries = tensor.combined(tensors, kelvins, median_and_interval)
    tensor.print_table(console, entries, len(found))
    if args.output is not None:
        write_rows(args.output, tuple(rows[0]), rows)
        write_rows(args.output.with_name(f"{args.output.stem}-tensor.csv"), tensor.FIELDS, entries)


def _alone(found: Sequence[Glass]) -> list[tuple[Run, Pathway]]:
    """Return all pathways but the networks' routes, which are made of the others."""
    return [(run, one) for glass in found for run, one in glass.pathways if one.name != NAME]


def print_table(console: Console, rows: Sequence[dict[str, float]], found: Sequence[Glass]) -> None:
    """Print the medians and intervals, and what they rest on."""
    count = len(_alone(found))
    table = results_table(f"{count} pathway{'s' * (count != 1)}, {len(found)} glass{'es' * (len(found) != 1)}")
    for name in ("T\n(K)", "glasses\n", "passage time\n", "95 % of medians\n", "D\n(cm²/s)", "95 % of medians\n"):
        table.add_column(name, justify="right")
    for row in rows:
        time, low, high = (duration(row[f"passage_time_s{end}"]) for end in ("", "_low", "_high"))
        d, least, most = (shown(row[f"diffusion_cm2_s{end}"], "{:.2e}") for end in ("", "_low", "_high"))
        head = f"{row['temperature_K']:g}", f"{row['glasses']:g}"
        table.add_row(*head, time, f"{low} to {high}", d, f"{least} to {most}")
    console.print(table)
    if count > 1:
        for row in rows:
            fastest, slowest = duration(row["fastest_s"]), duration(row["slowest_s"])
            console.print(
                f"One by one the pathways take from {fastest} to {slowest} at {row['temperature_K']:g} K."
            )
    if missing := sum(not one.pathways for one in found):
        console.print(f"{missing} of {len(found)} glasses have no pathway with a time and do not count.")
    if 1 < len(found) < ENOUGH:
        console.print(f"Fewer than {ENOUGH} glasses: the true median may well lie outside the intervals.")
