"""The energy map as slices, and the paths over it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mapmpi.report.drawing import COLOURS, Drawing, style
from mapmpi.report.energymap import Map

SLICES = 6
SLICE_SIZE = (6.6, 4.4)
NEAR = 0.8
"""Å from a slice within which a path is drawn on it."""
CEILING, FLOOR = 1.3, -0.4
"""Energies above and below so many times the climb of the best path are all alike: walls, and places of which the map
knows too little."""


def map_drawing(found: Map) -> Drawing:
    """Return slices through a map along the forward direction, at the heights that the best path takes."""
    with style():
        figure = Figure(figsize=SLICE_SIZE, layout="constrained")
        height = max(found.height, 1e-3)
        lowest = float(found.energies[found.known].min(initial=0.0))
        low, top = max(FLOOR * height, lowest), CEILING * height
        axes_of = figure.subplots(2, 3, sharex=True, sharey=True).ravel()
        picture = None
        for axes, place in zip(axes_of, _places(found), strict=True):
            index = int(np.abs(found.ticks[2] - place).argmin())
            energies = found.energies[:, :, index]
            ticks = found.ticks[:2]
            picture = axes.pcolormesh(
                *ticks, energies.T, cmap="cividis_r", vmin=low, vmax=top, shading="nearest", rasterized=True,
            )  # fmt: skip
            unknown = np.where(found.known[:, :, index], np.nan, 1.0)
            axes.pcolormesh(
                *ticks, unknown.T, cmap="gray", vmin=0.0, vmax=1.0, alpha=0.4, shading="nearest",
                rasterized=True,
            )  # fmt: skip
            _draw_paths(axes, found, float(found.ticks[2][index]))
            axes.axvline(found.region.distance, color="0.3", linewidth=0.8, linestyle=(0, (4, 3)))
            axes.set_title(f"at {found.ticks[2][index]:+.1f} Å", fontsize=8, loc="left", pad=2)
            axes.set_aspect("equal")
        assert picture is not None
        figure.colorbar(picture, ax=list(axes_of), label="energy above the start (eV)", shrink=0.8, pad=0.02)
        figure.supxlabel("forward (Å)", fontsize=9)
        figure.supylabel("across (Å)", fontsize=9)
    caption = (
        f"Slices through the energy map that the training learned from {found.visits:,} visits. Bright is low; under "
        "the veil, far from visited places, it is a guess. Blue: the best refined pathway where it is within "
        f"{NEAR:g} Å of the slice; orange: the best episodes; dashed: the goal."
    )
    if not found.believed:
        caption += (
            " The training gave the map up for the archive of states alone: visits to the same place differed too "
            "much in energy."
        )
    return Drawing("energy-map", caption, figure)


def _places(found: Map) -> np.ndarray:
    """Return where the slices are, across: over what the best path covers, and a little more."""
    across = found.lines[-1].places[:, 2] if found.lines else np.zeros(1)
    middle = 0.5 * (across.max() + across.min())
    half = max(0.5 * float(np.ptp(across)) + 0.4, 1.5)
    low, high = found.ticks[2][[0, -1]]
    return np.clip(middle + np.linspace(-half, half, SLICES), low, high)


def _draw_paths(axes: Axes, found: Map, place: float) -> None:
    for line in found.lines:
        near = np.abs(line.places[:, 2] - place) <= NEAR
        shown = np.where(near[:, None], line.places[:, :2], np.nan)
        colour, width = (COLOURS[0], 2.0) if line.refined else (COLOURS[1], 0.9)
        axes.plot(*shown.T, color=colour, linewidth=width, marker=".", markersize=2.0, zorder=3 + line.refined)
