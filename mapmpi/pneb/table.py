"""Refined pathways as tables: pathways.csv and the hops of each for programs, and both for people."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.table import Table
from rich.text import Text

from mapmpi.panel import results_table
from mapmpi.path.pathway import Hop, Pathway
from mapmpi.path.quantum import corrected_pathway, zero_point_barriers_ev
from mapmpi.path.tst import Prefactor, arrhenius_fit
from mapmpi.store.files import write_rows
from mapmpi.units import duration_text

PREFACTOR_TEXT: dict[Prefactor, str] = {
    "hbar": "k_BT/ℏ (Eq. 3 of the paper)",
    "h": "k_BT/h (Eyring)",
    "vineyard": "Vineyard, from the frequencies",
}
"""What people read for each prefactor."""

HOP_FIELDS = (
    "from",
    "to",
    "name",
    "remote",
    "status",
    "reason",
    "barrier_forward_ev",
    "barrier_backward_ev",
    "residual_ev_A",
    "curvature_1_ev_A2",
    "curvature_2_ev_A2",
    "prefactor_forward_hz",
    "prefactor_backward_hz",
)
"""The columns of a pathway's table of hops; basins count from 1."""


class Kinetics(NamedTuple):
    """Of a pathway at one temperature: time by Eq. 3, mean first-passage time (s), D by each (cm²/s); or NaN."""

    time_s: float
    passage_time_s: float
    diffusion_cm2_s: float
    passage_diffusion_cm2_s: float


EPISODE_NAME = re.compile(r"^agent-(\d+)-episode-(\d+)$")
"""Of a pathway that began as an episode."""


def kinetics(pathway: Pathway, prefactor: Prefactor, temperature_k: float) -> Kinetics:
    """Return the times and the diffusion coefficient of a pathway at a temperature."""
    time_s, passage_s = pathway.time_s(prefactor, temperature_k), pathway.passage_time_s(prefactor, temperature_k)
    return Kinetics(time_s, passage_s, *(pathway.diffusion_cm2_s(one) for one in (time_s, passage_s)))


def status(pathway: Pathway) -> str:
    """Return ``complete``, ``complete, k of n saddles not verified``, or ``incomplete: `` and the first reason."""
    for hop in pathway.hops:
        if hop.saddle is None:
            return f"incomplete: {' '.join(hop.reason.split())}"
    missing = len(pathway.hops) - pathway.verified
    return f"complete, {missing} of {len(pathway.hops)} saddles not verified" if missing else "complete"


def hop_status(hop: Hop) -> str:
    """Return ``verified``, ``not verified`` or ``no saddle``."""
    return "no saddle" if hop.saddle is None else "verified" if hop.verified else "not verified"


def ranked(pathways: Iterable[Pathway], prefactor: Prefactor, temperatures: Sequence[float]) -> list[Pathway]:
    """Return pathways by their time at the first temperature (K), those without a time last.

    Of these the incomplete ones come after the complete. Equal ones come by name, so that the order does not
    depend on the one in which they were finished.
    """

    def key(pathway: Pathway) -> tuple[bool, bool, float, str]:
        time = pathway.time_s(prefactor, temperatures[0]) if len(temperatures) else math.nan
        return math.isnan(time), not pathway.complete, 0.0 if math.isnan(time) else time, pathway.name

    return sorted(pathways, key=key)


def write_csv(
    path: Path, pathways: Sequence[Pathway], prefactor: Prefactor, temperatures: Sequence[float]
) -> None:
    """Write pathways.csv in place of the old one, ranked; temperatures in K, what is not known stays empty."""
    rows = [
        _pathway_row(rank, pathway, prefactor, temperatures)
        for rank, pathway in enumerate(ranked(pathways, prefactor, temperatures), 1)
    ]
    write_rows(path, tuple(rows[0]), rows)


def _pathway_row(
    rank: int, pathway: Pathway, prefactor: Prefactor, temperatures: Sequence[float]
) -> dict[str, Any]:
    """Return a row of pathways.csv: columns for each temperature in K follow the first ones, then the fit.

    With Vineyard's prefactor there come behind them the highest barrier with zero-point energies, and these again,
    with the corrections of :mod:`mapmpi.path.quantum`.
    """
    row: dict[str, Any] = {
        "rank": rank,
        "name": pathway.name,
        "source": pathway.source,
        "status": status(pathway),
        "hops": len(pathway.hops),
        "verified": pathway.verified,
        "highest_barrier_ev": highest_barrier_ev(pathway),
        "length_A": pathway.length_A,
        "prefactor": prefactor,
    }
    found = [kinetics(pathway, prefactor, temperature) for temperature in temperatures]
    row.update(_kinetics_columns("", temperatures, found))
    try:
        fit = arrhenius_fit(temperatures, [one.diffusion_cm2_s for one in found])
    except ValueError:  # one temperature, or no time: nothing to fit
        fit = (math.nan, math.nan)
    row.update(arrhenius_d0_cm2_s=fit[0], arrhenius_energy_ev=fit[1])
    if prefactor == "vineyard":
        row["highest_zero_point_barrier_ev"] = _highest(zero_point_barriers_ev(pathway))
        found = [kinetics(corrected_pathway(pathway, one), prefactor, one) for one in temperatures]
        row.update(_kinetics_columns("quantum_", temperatures, found))
    return row


def _kinetics_columns(kind: str, temperatures: Sequence[float], found: Sequence[Kinetics]) -> dict[str, float]:
    return {
        f"{kind}{field}_{kelvin_text(temperature)}": getattr(one, field)
        for temperature, one in zip(temperatures, found, strict=True)
        for field in Kinetics._fields
    }


def highest_barrier_ev(pathway: Pathway) -> float:
    """Return the highest barrier that is known, in eV; NaN where there is none."""
    return _highest(pathway.barriers_ev())


def _highest(barriers: np.ndarray) -> float:
    return float(max(barriers[~np.isnan(barriers)], default=math.nan))


def write_hops_csv(path: Path, pathway: Pathway, more: Sequence[Mapping[str, Any]] = ()) -> None:
    """Write the hops of a pathway, a row each, in place of the old file; what is not known stays empty.

    ``more`` are further columns of each hop, which come last.
    """
    backward = pathway.barriers_ev(backward=True)
    rows = []
    for index, (hop, barrier) in enumerate(zip(pathway.hops, pathway.barriers_ev(), strict=True)):
        told = hop.name, hop.remote, hop_status(hop), " ".join(hop.reason.split())
        found = barrier, backward[index], hop.residual, *hop.curvatures, hop.forward_hz, hop.backward_hz
        row = dict(zip(HOP_FIELDS, (index + 1, index + 2, *told, *found), strict=True))
        rows.append({**row, **(more[index] if more else {})})
    write_rows(path, (*HOP_FIELDS, *(more[0] if more else ())), rows)


def terminal_table(pathways: Sequence[Pathway], prefactor: Prefactor, temperatures: Sequence[float]) -> Table:
    """Return the ranked pathways for people, a line for each temperature (K)."""
    table = results_table(f"Pathways by time; prefactor {PREFACTOR_TEXT[prefactor]}")
    table.add_column("", justify="right")
    table.add_column("pathway\n(agent:\nepisode)", overflow="fold")
    times = "time\nby Eq. 3", "passage\ntime", "D by it\n(cm²/s)"
    for name in ("saddles\nverified", "highest\nbarrier\n(eV)", "T\n(K)", *times):
        table.add_column(name, justify="right")
    remarks = []
    for rank, pathway in enumerate(ranked(pathways, prefactor, temperatures), 1):
        head: list[Text | str] = [str(rank), Text(short(pathway.name))]
        head += [f"{pathway.verified} of {len(pathway.hops)}", shown(highest_barrier_ev(pathway), "{:.3f}")]
        if not pathway.complete:
            table.add_row(*head, "", Text("incomplete", style="red"), end_section=True)
            remarks.append(f"{rank} is {status(pathway)}")
            continue
        if unknown := np.isnan(pathway.attempts_hz(prefactor, 1.0)).sum():
            remarks.append(f"{rank} has no time: {unknown} of {len(pathway.hops)} hops have no prefactor")
        for temperature in temperatures:
            time, passage, _, diffusion = kinetics(pathway, prefactor, temperature)
            found = [duration(time), duration(passage), shown(diffusion, "{:.2e}")]
            table.add_row(*head, f"{temperature:g}", *found, end_section=temperature == temperatures[-1])
            head = [""] * len(head)
    if remarks:  # below the table, where a sentence has room
        table.caption, table.caption_justify = Text("\n".join(remarks)), "left"
    return table


def hops_table(pathway: Pathway) -> Table:
    """Return the hops of a pathway for people: what moves, the barriers, and why one is missing or doubtful."""
    table = results_table(f"Hops of {short(pathway.name)}")
    table.add_column("hop", justify="right")
    table.add_column("what moves", overflow="fold")
    for name in ("barrier\n(eV)", "back\n(eV)", "force\nleft\n(eV/Å)", "lowest\ncurvatures\n(eV/Å²)"):
        table.add_column(name, justify="right")
    table.add_column("saddle", overflow="fold")
    for hop, (number, name, *figures, told) in zip(pathway.hops, hop_cells(pathway), strict=True):
        style = {"verified": "green", "not verified": "yellow", "no saddle": "red"}[hop_status(hop)]
        table.add_row(number, Text(name), *figures, Text(told, style=style))
    return table


def hop_cells(pathway: Pathway) -> list[list[str]]:
    """Return a row of texts for each hop: number, what moves, the barriers there and back, force left, curvatures, and
    what is to be said of the saddle."""
    backward, rows = pathway.barriers_ev(backward=True), []
    for index, (hop, barrier) in enumerate(zip(pathway.hops, pathway.barriers_ev(), strict=True)):
        figures = [shown(value, "{:.3f}") for value in (barrier, backward[index], hop.residual)]
        curvatures = ", ".join(shown(curvature, "{:.2f}") for curvature in hop.curvatures)
        told = ": ".join(part for part in (hop_status(hop), " ".join(hop.reason.split())) if part)
        rows.append([f"{index + 1}→{index + 2}", hop.name, *figures, curvatures, told])
    return rows


def short(name: str) -> str:
    """Return the name of a pathway as ``--episode`` takes it, AGENT:EPISODE; others as they are."""
    return EPISODE_NAME.sub(lambda found: f"{int(found[1])}:{int(found[2])}", name)


def kelvin_text(temperature_k: float) -> str:
    """Return a temperature as the names of columns have it."""
    return f"{temperature_k:.10g}K"


def duration(time_s: float) -> str:
    """Return a time in s for people; a dash for one that is not known."""
    return shown(time_s, "{}", duration_text)


def shown(value: float, form: str, tell: Any = float) -> str:
    """Return a number for people; a dash for what is not known."""
    return "–" if math.isnan(value) else "∞" if math.isinf(value) else form.format(tell(value))
