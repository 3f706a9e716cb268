"""What the zero point and tunnelling change, as columns for programs and a table for people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.table import Table
from rich.text import Text

from mapmpi.panel import results_table
from mapmpi.path.pathway import Pathway
from mapmpi.path.quantum import (
    SAFE,
    corrected_pathway,
    crossover_k,
    quantum_ratio,
    wigner_factor,
    wigner_holds,
    zero_point_barriers_ev,
)
from mapmpi.pneb.table import duration, kelvin_text, kinetics, short, shown

HEAD = ("hop", "barrier\n(eV)", "zero point\n(eV)", "rate\nratio", "Wigner's\nfactor", "crossover\n(K)")
"""Of the table for people."""


def hop_columns(pathway: Pathway, temperatures: Sequence[float]) -> list[dict[str, float | str]]:
    """Return for each hop the columns that follow those of its row; temperatures in K, NaN for what is not known.

    Barriers are with zero-point energies; ``quantum_ratio`` is the rate of quantum harmonic transition-state theory
    over the classical one, and contains them. ``wigner_valid`` is ``no`` near and below the crossover.
    """
    forward, backward = (zero_point_barriers_ev(pathway, back) for back in (False, True))
    rows = []
    for number, hop in enumerate(pathway.hops):
        known = bool(hop.saddle_hz.size)
        row: dict[str, float | str] = {
            "zero_point_barrier_forward_ev": forward[number],
            "zero_point_barrier_backward_ev": backward[number],
            "imaginary_hz": -float(hop.saddle_hz.min()) if known else np.nan,
            "modes": str(hop.start_hz.size) if known else "",
            "crossover_K": crossover_k(hop.saddle_hz),
        }
        for kelvin in temperatures:
            there, back = (
                quantum_ratio(one, hop.saddle_hz, kelvin) if known else np.nan
                for one in (hop.start_hz, hop.end_hz)
            )
            text = kelvin_text(kelvin)
            row[f"quantum_ratio_forward_{text}"], row[f"quantum_ratio_backward_{text}"] = there, back
            row[f"wigner_{text}"] = wigner_factor(hop.saddle_hz, kelvin)
            valid = "yes" if wigner_holds(hop.saddle_hz, kelvin) else "no"
            row[f"wigner_valid_{text}"] = valid if known else ""
        rows.append(row)
    return rows


def corrections_table(pathway: Pathway, temperatures: Sequence[float]) -> Table:
    """Return the corrections of a pathway for people: hop by hop at the first temperature (K), times at all."""
    table = results_table(f"Quantum nuclei in {short(pathway.name)}, {temperatures[0]:g} K")
    for name in HEAD:
        table.add_column(name, justify="right")
    for cells in correction_cells(pathway, temperatures[0]):
        table.add_row(*cells)
    said = [corrected_times(pathway, one) for one in temperatures]
    table.caption, table.caption_justify = Text("\n".join(said)), "left"
    return table


def correction_cells(pathway: Pathway, kelvin: float) -> list[list[str]]:
    """Return a row of texts below HEAD for each hop at a temperature in K."""
    rows = []
    hops = zip(pathway.barriers_ev(), hop_columns(pathway, [kelvin]), strict=True)
    for number, (barrier, row) in enumerate(hops, 1):
        figures = [
            (barrier, "{:.3f}"),
            (row["zero_point_barrier_forward_ev"], "{:.3f}"),
            (row[f"quantum_ratio_forward_{kelvin_text(kelvin)}"], "{:.3g}"),
            (row[f"wigner_{kelvin_text(kelvin)}"], "{:.3g}"),
            (row["crossover_K"], "{:.0f}"),
        ]
        rows.append([f"{number}→{number + 1}", *(shown(float(value), form) for value, form in figures)])
    return rows


def corrected_times(pathway: Pathway, kelvin: float) -> str:
    """Return the times at a temperature with and without corrections, and where Wigner's factor does not hold."""
    pairs = zip(
        kinetics(pathway, "vineyard", kelvin),
        kinetics(corrected_pathway(pathway, kelvin), "vineyard", kelvin),
        strict=True,
    )
    time, passage, *_ = ((duration(one), duration(other)) for one, other in pairs)
    said = f"{kelvin:g} K: time {time[0]}, corrected {time[1]}; passage time {passage[0]}, corrected {passage[1]}."
    low = [
        f"{number}→{number + 1}"
        for number, hop in enumerate(pathway.hops, 1)
        if hop.saddle_hz.size and not wigner_holds(hop.saddle_hz, kelvin)
    ]
    if low:
        said += (
            f" Wigner's factor is not valid for {', '.join(low)}: below {SAFE:g} crossover temperatures tunnelling is "
            "faster than it says."
        )
    return said
