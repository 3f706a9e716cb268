"""A pathway's highest transition state as a picture for print: who is where, and how far each atom has moved."""

from __future__ import annotations

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from mapmpi.path.pathway import Pathway, center
from mapmpi.pneb.table import shown
from mapmpi.report.drawing import SIZE_INCHES, Drawing, style, with_axes
from mapmpi.report.film import near_the_way

NEAR = 4.5
"""Å from the tagged atoms within which atoms are drawn."""
FAR_MOVED, COLOURS = 1.0, "viridis_r"
"""Å from which on an atom has the last colour."""
SMALLER, IN_FRONT = 0.55, 0.45
"""Radii of the discs in covalent radii, and how much of those in front is seen, so that what lies behind is, too."""


def saddle_drawing(one: Pathway) -> Drawing | None:
    """Return the highest saddle of a pathway, seen across its way; None where it has none."""
    saddles = [(barrier, number) for number, barrier in enumerate(one.barriers_ev()) if np.isfinite(barrier)]
    if not saddles:
        return None
    barrier, number = max(saddles)
    hop, basin = one.hops[number], one.basins[number].positions
    top = hop.band[hop.top]
    indices, shifts = near_the_way(one)
    middle = center(top, one.atoms, one.tagged)
    places = top[indices] + shifts - middle
    near = np.linalg.norm(places, axis=1) < NEAR
    moved = np.linalg.norm(top - basin, axis=1)[indices[near]]
    drawn = indices[near]
    figure = _figure(
        places[near] @ _seen_across(one, number).T, one.atoms.numbers[drawn], moved, np.isin(drawn, one.molecule)
    )
    return Drawing(
        f"{one.name}-saddle",
        f"The transition state of hop {number + 1}→{number + 2}, {shown(barrier, '{:.2f}')} eV above its basin; atoms "
        f"within {NEAR:g} Å, coloured by how far they have moved from the basin.",
        figure,
    )


def _seen_across(one: Pathway, number: int) -> np.ndarray:
    """Return axes (3, 3), rows: along a hop, and two across it, of which the last points to who looks."""
    start, end = (center(one.basins[end].positions, one.atoms, one.tagged) for end in (number, number + 1))
    along = end - start if np.linalg.norm(end - start) > 1e-3 else np.array([1.0, 0.0, 0.0])
    axes = np.linalg.qr(np.column_stack([along, np.eye(3)]))[0].T
    axes[0] *= np.sign(axes[0] @ along)
    axes[2] = np.cross(axes[0], axes[1])
    return axes


def _figure(places: np.ndarray, numbers: np.ndarray, moved: np.ndarray, molecule: np.ndarray) -> Figure:
    """Draw atoms at (n, 3) Å as discs, those behind first; what is in front of the molecule (n,) lets it through."""
    colours = ScalarMappable(Normalize(0.0, FAR_MOVED), COLOURS)
    with style():
        figure, axes = with_axes("along the hop (Å)", "across it (Å)", (SIZE_INCHES[0], 0.85 * SIZE_INCHES[0]))
        middle = places[molecule, 2].mean()
        for atom in places[:, 2].argsort():
            x, y, z = places[atom]
            letters = "white" if moved[atom] > 0.5 * FAR_MOVED else "black"
            axes.add_patch(
                Circle(
                    (x, y),
                    SMALLER * covalent_radii[numbers[atom]],
                    facecolor=colours.to_rgba(moved[atom]),
                    edgecolor="black",
                    linewidth=1.6 if molecule[atom] else 0.6,
                    alpha=1.0 if z <= middle or molecule[atom] else IN_FRONT,
                )
            )
            axes.annotate(
                chemical_symbols[numbers[atom]], (x, y), ha="center", va="center", fontsize=6, color=letters
            )
        axes.set(xlim=(-NEAR - 1.0, NEAR + 1.0), ylim=(-NEAR - 1.0, NEAR + 1.0), aspect="equal")
        figure.colorbar(colours, ax=axes, label="moved from the basin (Å)", extend="max", shrink=0.8)
    return figure
