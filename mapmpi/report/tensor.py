"""The diffusion tensors of several glasses, put together: medians, and how far they are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from rich.console import Console

from mapmpi.panel import results_table
from mapmpi.path.diffusion import Diffusion
from mapmpi.pneb.diffusion import ENTRIES, FILE, read_diffusion
from mapmpi.pneb.table import shown
from mapmpi.store.rundir import RunDirectory

FIELDS = ("temperature_K", "nuclei", "entry", "glasses", "d_cm2_s", "d_cm2_s_low", "d_cm2_s_high")
"""The columns of the table: ``entry`` is xx … yz or mean, a third of the trace; ``glasses`` are those that count."""

MEAN = "mean"

Tensors = dict[tuple[float, str], Diffusion]
"""D of a glass for each temperature in K and kind of nuclei."""

Interval = Callable[[Sequence[float]], tuple[float, float, float]]
"""Returns the median of positive numbers, and the bounds of its interval."""


def of_glass(runs: Sequence[RunDirectory]) -> Tensors:
    """Return D of a glass from the runs in it: of each temperature and kind that of the run with the largest trace.

    More pathways only add ways, so that this is the most that is known of. Raises UserError for a damaged file.
    """
    found: Tensors = {}
    for run in runs:
        for key, one in read_diffusion(run.pathways / FILE).items():
            if key not in found or one.tensor_cm2_s.trace() > found[key].tensor_cm2_s.trace():
                found[key] = one
    return found


def combined(
    glasses: Sequence[Tensors], temperatures: Sequence[float], interval: Interval
) -> list[dict[str, float | str]]:
    """Return a row (FIELDS) for each temperature in K, kind of nuclei and entry of the tensor.

    Of an entry those glasses count whose networks lead through the cell along its axes (``mean``: along all three):
    the zeros of the others say only that no way was found. Entries off the diagonal may have either sign; they have a
    median and, for an interval, the range of the glasses.
    """
    rows: list[dict[str, float | str]] = []
    for kelvin in temperatures:
        for nuclei in dict.fromkeys(kind for one in glasses for at, kind in one if at == kelvin):
            there = [one[kelvin, nuclei] for one in glasses if (kelvin, nuclei) in one]
            for entry in (*ENTRIES, MEAN):
                values = _values(there, entry)
                three = _median_and_range(values) if entry in ENTRIES[3:] else interval(values) if values else None
                row = (kelvin, nuclei, entry, len(values), *(three or (np.nan,) * 3))
                rows.append(dict(zip(FIELDS, row, strict=True)))
    return rows


def _values(there: Sequence[Diffusion], entry: str) -> list[float]:
    """Return an entry of those tensors whose networks lead through along its axes; what should be positive is."""
    if entry == MEAN:
        means = [float(one.tensor_cm2_s.trace() / 3.0) for one in there if all(one.through)]
        return [value for value in means if value > 0.0]
    first, last = ("xyz".index(axis) for axis in entry)
    values = [float(one.tensor_cm2_s[first, last]) for one in there if one.through[first] and one.through[last]]
    return [value for value in values if value > 0.0 or first != last]  # a rate may be too small for a number


def _median_and_range(values: Sequence[float]) -> tuple[float, float, float] | None:
    if not values:
        return None
    low, high = (min(values), max(values)) if len(values) > 1 else (np.nan, np.nan)
    return float(np.median(values)), low, high


def print_table(console: Console, rows: Sequence[dict[str, float | str]], glasses: int) -> None:
    """Print the diagonal and the mean where any glass counts, else in a sentence that none does."""
    told = [row for row in rows if row["entry"] not in ENTRIES[3:] and row["glasses"]]
    if not told:
        console.print(
            "Diffusion tensor: the network of no glass leads through its cell, so there is none to combine."
            if rows
            else f"Diffusion tensor: no run has pathways/{FILE}; refine again to have it.",
            soft_wrap=True,
        )
        return
    table = results_table(f"D of a walker on the networks, {glasses} glass{'es' * (glasses != 1)}")
    for name in ("T\n(K)", "nuclei\n", "entry\n", "glasses\n", "D\n(cm²/s)", "95 % of medians\n"):
        table.add_column(name, justify="right")
    for row in told:
        d, low, high = (shown(float(row[name]), "{:.2e}") for name in FIELDS[4:])
        head = f"{row['temperature_K']:g}", str(row["nuclei"]), str(row["entry"]), f"{row['glasses']:g}"
        table.add_row(*head, d, f"{low} to {high}")
    console.print(table)
