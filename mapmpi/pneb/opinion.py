"""A second opinion: the barriers of refined pathways by another potential, hop by hop, beside the first.

Minima and bands of a pathway are where the search begins. Each minimum is quenched in the other potential, and each
hop searched anew along its band, so that a transition state may move; what it joins then is checked as ever. Nothing
of the first potential's energies is used, and the cell stays the one that the run has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mapmpi.calculation import Calculation
from mapmpi.config import ForceField, load_forcefield
from mapmpi.errors import UserError, of_option
from mapmpi.panel import results_table
from mapmpi.path.assembly import NAME
from mapmpi.path.barrier import Barrier
from mapmpi.path.pathway import Hop, Pathway
from mapmpi.path.quench import Minimum
from mapmpi.pneb import record
from mapmpi.pneb.calculator import Calculator
from mapmpi.pneb.table import short, shown
from mapmpi.store.files import write_rows
from mapmpi.store.rundir import RunDirectory

FIELDS = (
    "pathway",
    "from",
    "to",
    "name",
    "barrier_ev",
    "back_ev",
    "other_barrier_ev",
    "other_back_ev",
    "moved_A",
    "remark",
)
"""Columns of the table for programs: what another potential says of one hop. Minima count from 1.

Its barriers are NaN where it found no transition state; ``moved_A`` is how far an atom of the two minima is at most
from where the first potential has it.
"""
Opinion = dict[str, Any]
"""A row of that table."""


def other_forces(name: str, allow_commands: bool) -> ForceField:
    """Return the force field of ``--with``: an ASE calculator by its name, or a YAML file with a section forcefield:.

    Raises UserError for what is neither, or needs consent.
    """
    if Path(name).suffix not in (".yaml", ".yml"):
        return load_forcefield({"ase": name}, allow_commands, "--with")
    with of_option("--with"):
        return load_forcefield(Path(name), allow_commands)


def label(name: str) -> str:
    """Return a name of ``--with`` as it stands above a column and in the name of a file."""
    short = Path(name).stem if Path(name).suffix in (".yaml", ".yml") else name.rpartition(":")[2]
    return "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in short)


def refined(directory: RunDirectory) -> list[Pathway]:
    """Return all refined pathways of a run. Raises UserError where there are none.

    The network's route is left out, as its hops are those of the others.
    """
    files = [file for file in sorted(directory.pathways.glob("*.h5")) if file.stem != NAME]
    if not files:
        raise UserError(f"{directory.pathways} holds no refined pathway; refine first, without --with.")
    return [record.load(file) for file in files]


def opinions(pathways: list[Pathway], calculator: Calculator) -> Calculation[list[Opinion]]:
    """Return what the calculator's potential says of every hop, in the order of the pathways."""
    found = yield [_of_pathway(pathway, calculator) for pathway in pathways]
    return [one for some in found for one in some]


def _of_pathway(pathway: Pathway, calculator: Calculator) -> Calculation[list[Opinion]]:
    calculator.tally.frames += len(pathway.basins)
    places = [basin.positions for basin in pathway.basins]
    minima = yield [calculator.quench(place) for place in places]
    moved = [_farthest(calculator, place, one) for place, one in zip(places, minima, strict=True)]
    between = zip(pathway.hops, minima[:-1], minima[1:], strict=True)
    found = yield [_of_hop(hop, start, end, calculator) for hop, start, end in between]
    ours = zip(pathway.barriers_ev(), pathway.barriers_ev(backward=True), strict=True)
    rows = []
    for index, (hop, own, (other, remark)) in enumerate(zip(pathway.hops, ours, found, strict=True)):
        figures = *own, *other, max(moved[index : index + 2])
        rows.append(
            dict(zip(FIELDS, (pathway.name, index + 1, index + 2, hop.name, *figures, remark), strict=True))
        )
    return rows


def _farthest(calculator: Calculator, place: np.ndarray, minimum: Minimum | None) -> float:
    """Return how far (Å) an atom is at most from its place in the minimum below."""
    if minimum is None:
        return math.nan
    return float(np.linalg.norm(calculator.matcher.displacements(place, minimum.positions), axis=1).max())


def _of_hop(
    hop: Hop, start: Minimum | None, end: Minimum | None, calculator: Calculator
) -> Calculation[tuple[tuple[float, float], str]]:
    """Return the barriers there and back by the other potential, and what is to be said of them."""
    unknown = (math.nan, math.nan)
    if start is None or end is None:
        return unknown, "a minimum could not be computed"
    path = [start.positions, *start.trail[::-1], *hop.band, *end.trail, end.positions]
    search = calculator.search(start.energy, end.energy, path, ())
    yield [search]
    while not search.done:
        yield []
    barrier = search.result
    if barrier.saddle is None or barrier.sides is None:
        return unknown, f"{barrier.status}: {barrier.reason}"
    top = barrier.saddle.energy
    return (top - start.energy, top - end.energy), _doubts(barrier)


def _doubts(barrier: Barrier) -> str:
    """Say what is wrong with a transition state that was found, if anything."""
    faults = list(barrier.verification.faults) if barrier.verification is not None else []
    if barrier.status == "split":
        faults.insert(0, "it leads to another minimum on the way")
    return "; ".join(faults)


def _table(found: Iterable[Opinion], other: str) -> Table:
    """Return the barriers of both potentials for people, side by side; ``other`` names the second."""
    table = results_table("A second opinion: barriers in eV")
    for name in ("pathway", "hop", "what moves"):
        table.add_column(name, overflow="fold")
    for name in ("run\n", "back\n", f"{other}\n", "back\n", "moved\n(Å)"):
        table.add_column(name, justify="right")
    table.add_column("remark", overflow="fold")
    for one in found:
        pathway, start, end, name, *barriers, moved, remark = (one[field] for field in FIELDS)
        figures = [*(shown(barrier, "{:.3f}") for barrier in barriers), shown(moved, "{:.2f}")]
        table.add_row(Text(short(pathway)), f"{start}→{end}", Text(name), *figures, Text(remark))
    return table


def tell(console: Console, found: list[Opinion], other: str, directory: RunDirectory) -> None:
    """Print the table, and where it lies for programs."""
    console.print(_table(found, other))
    console.print(f"The same for programs: {_file(directory, other)}", highlight=False, soft_wrap=True)


def _file(directory: RunDirectory, other: str) -> Path:
    return directory.pathways / f"second-opinion-{other}.csv"


def write(directory: RunDirectory, other: str, found: Iterable[Opinion]) -> None:
    """Write the table for programs, in place of the old file; what is not known stays empty. Raises OSError."""
    write_rows(_file(directory, other), FIELDS, found)
