"""The energy profile of a pathway before and after its refinement: the paper's Fig. 3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from mapmpi.path.pathway import Hop, Pathway
from mapmpi.store.files import replace_file

# Colours that also those tell apart who see no difference between red and green (Okabe and Ito, 2008).
BEFORE, AFTER, SADDLE, MISSING = "0.62", "#0072B2", "#D55E00", "#C00000"
SIZE_INCHES, DOTS_PER_INCH = (7.2, 4.4), 200
LABEL_POINTS, SADDLE_POINTS = 7.5, 7.0
PLACES = ((0.0, 6.0), (6.0, -2.5), (-6.0, -2.5), *((0.0, 6.0 + 9.0 * row) for row in range(1, 12)))
"""Where a label may be, in points from its saddle: above, to the right, to the left, and higher up."""
MISSED = "hop"
"""How the legend's entries of missing hops begin."""
MOST_REASONS = 4
"""So many missing hops have their reason in the legend."""


@dataclass(frozen=True)
class Curves:
    """What is drawn: progress in Å and energies in eV above the first basin; one entry a hop, basins one more."""

    basins: tuple[np.ndarray, np.ndarray]
    bands: list[tuple[np.ndarray, np.ndarray]]
    saddles: list[tuple[float, float] | None]


def curves(pathway: Pathway) -> Curves:
    """Return the lines and points of a pathway's refined profile."""
    zero = pathway.basins[0].energy
    along = pathway.progress([basin.positions for basin in pathway.basins])
    energies = np.array([basin.energy - zero for basin in pathway.basins])
    bands: list[tuple[np.ndarray, np.ndarray]] = []
    saddles: list[tuple[float, float] | None] = []
    for index, hop in enumerate(pathway.hops):
        progress, energy = pathway.progress(list(hop.band)), hop.energies - zero
        if hop.saddle is None:  # not a way that was found: no more than which basins it would join
            progress, energy = along[index : index + 2], energies[index : index + 2]
        bands.append((progress, energy))
        if (there := hop.saddle) is None:
            saddles.append(None)
        else:
            saddles.append((float(pathway.progress([there.positions])[0]), there.energy - zero))
    return Curves((along, energies), bands, saddles)


def profile_figure(path: Path, pathway: Pathway) -> None:
    """Draw a pathway's profile into a file, which appears whole; its ending says the format (png, svg, pdf)."""
    figure = draw_profile(pathway)
    replace_file(
        path, lambda handle: figure.savefig(handle, format=path.suffix.lstrip(".") or "png", dpi=DOTS_PER_INCH)
    )


def draw_profile(pathway: Pathway) -> Figure:
    """Return the profile of a pathway as a figure.

    Energies in eV above the first basin against the way of the tagged atoms in Å: grey, the frames as they were
    stored, thermal energy and all; in colour, basins, saddles and the bands between them, each saddle with its
    barrier. Saddles that are not verified are hollow, missing ones a dashed line. Frames so hot that the barriers
    would not be seen beside them have a panel of their own.
    """
    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    found = curves(pathway)
    if _too_hot(pathway, found):
        above, axes = figure.subplots(2, sharex=True, height_ratios=(1, 2))
        _dress(above)
    else:
        above = axes = figure.subplots()
    _draw_before(above, pathway)
    _draw_bands(axes, pathway.hops, found)
    _draw_points(axes, pathway.hops, found)
    axes.set_xlabel("way of the tagged atoms (Å)")
    above.set_title(pathway.name, loc="left", fontsize=10)
    _dress(axes)
    _draw_legends(figure)
    _draw_barriers(axes, canvas, pathway, found)
    return figure


def _dress(axes: Axes) -> None:
    axes.set_ylabel("energy (eV)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(direction="in")
    axes.margins(x=0.03, y=0.1)


def _too_hot(pathway: Pathway, found: Curves) -> bool:
    """Tell whether the refined profile would fill less than a quarter of an axis with the stored frames."""
    if pathway.before is None:
        return False
    refined = np.concatenate([found.basins[1], *(energy for _, energy in found.bands)])
    together = np.concatenate([refined, pathway.before.energies - pathway.basins[0].energy])
    return bool(np.ptp(refined) < 0.25 * np.ptp(together))


def _draw_before(axes: Axes, pathway: Pathway) -> None:
    if pathway.before is None:
        return
    progress, energies = pathway.before.progress, pathway.before.energies - pathway.basins[0].energy
    axes.plot(progress, energies, "-o", color=BEFORE, linewidth=0.8, markersize=2.2, label="before", zorder=1)


def _draw_bands(axes: Axes, hops: list[Hop], found: Curves) -> None:
    label, missing = "refined", 0
    for number, (hop, (progress, energy)) in enumerate(zip(hops, found.bands, strict=True), 1):
        if hop.saddle is not None:
            axes.plot(progress, energy, color=AFTER, linewidth=1.6, label=label, zorder=2)
            label = "_"  # once is enough in the legend
            continue
        missing += 1
        reason = shorten(f"{MISSED} {number}: {hop.reason or 'no saddle'}", 110, placeholder=" …")
        told = reason if missing <= MOST_REASONS else "_"
        axes.plot(progress, energy, color=MISSING, linewidth=1.4, linestyle=(0, (4, 2)), label=told, zorder=2)
    if missing > MOST_REASONS:
        axes.plot([], [], " ", label=f"{MISSED}s without a saddle: {missing - MOST_REASONS} more")


def _draw_points(axes: Axes, hops: list[Hop], found: Curves) -> None:
    axes.plot(*found.basins, "o", color=AFTER, markersize=5, label="basin", zorder=3)
    pairs = zip(found.saddles, hops, strict=True)
    draw_saddles(axes, [(point, hop.verified) for point, hop in pairs if point is not None], SADDLE_POINTS)


def draw_saddles(axes: Axes, saddles: Sequence[tuple[tuple[float, float], bool]], size: float) -> None:
    """Draw saddles (Å, eV), each of them verified or not, as symbols of a size in points; the latter are hollow."""
    for kind, fill, label in ((True, SADDLE, "saddle"), (False, "white", "saddle, not verified")):
        if points := [point for point, verified in saddles if verified == kind]:
            x, y = np.transpose(points)
            axes.plot(x, y, "^", color=SADDLE, markerfacecolor=fill, markersize=size, label=label, zorder=4)


def _draw_legends(figure: Figure) -> None:
    """Say above the axes what the symbols mean and below why hops are missing; the profile needs the inside."""
    entries = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    missed = [label for label in entries if label.startswith(MISSED)]
    style = {"fontsize": LABEL_POINTS, "frameon": False}
    symbols = [label for label in entries if label not in missed]
    figure.legend([entries[label] for label in symbols], symbols, loc="outside upper left", ncols=5, **style)
    if missed:
        figure.legend([entries[label] for label in missed], missed, loc="outside lower left", **style)


def _draw_barriers(axes: Axes, canvas: FigureCanvasAgg, pathway: Pathway, found: Curves) -> None:
    """Write each barrier above its saddle, elsewhere if another label or a symbol is in the way."""
    labels = [
        (_label(axes, f"{barrier:.2f}", point), point)
        for point, barrier in zip(found.saddles, pathway.barriers_ev(), strict=True)
        if point is not None
    ]
    for _ in range(2):  # a second time where the labels need a longer axis
        canvas.draw()  # the layout, and with it where a label lies, is only known now
        renderer = canvas.get_renderer()
        symbols = [point for _, point in labels] + list(zip(*found.basins, strict=True))
        taken = [_around(axes, point) for point in symbols]
        above = {label: _box(label, PLACES[0], renderer) for label, _ in labels}
        # First those that have room above: what must go aside then sees where they are.
        for label in sorted(above, key=lambda one: above[one].count_overlaps(taken) > 0):
            taken.append(_place(label, renderer, taken))
        highest = axes.transData.inverted().transform((0, max((box.y1 for box in taken), default=0)))[1]
        if highest <= axes.get_ylim()[1]:
            break
        axes.set_ylim(top=highest + 0.15 * (highest - axes.get_ylim()[1]))


def _label(axes: Axes, text: str, point: tuple[float, float]) -> Annotation:
    """Return a label above a point (Å, eV), with a line to it that is seen once the label is moved away."""
    return axes.annotate(
        text,
        point,
        xytext=PLACES[0],
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=LABEL_POINTS,
        path_effects=[withStroke(linewidth=2, foreground="white")],
        arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 4},
        zorder=5,
    )


def _around(axes: Axes, point: tuple[float, float]) -> Bbox:
    """Return the box in pixels that the symbol of a saddle or basin takes."""
    x, y = axes.transData.transform(point)
    half = 0.5 * SADDLE_POINTS * DOTS_PER_INCH / 72
    return Bbox([[x - half, y - half], [x + half, y + half]])


def _box(label: Annotation, place: tuple[float, float], renderer: RendererAgg) -> Bbox:
    """Put a label at a place in points from its saddle; return the box in pixels of its text alone."""
    label.set_position(place)
    label.set_horizontalalignment("center" if not place[0] else "left" if place[0] > 0 else "right")
    label.update_positions(renderer)
    return Text.get_window_extent(label, renderer)


def _place(label: Annotation, renderer: RendererAgg, taken: list[Bbox]) -> Bbox:
    """Put a label at the first free of PLACES around its point; return the box in pixels that it takes there."""
    for place in PLACES:
        box = _box(label, place, renderer)
        if not box.count_overlaps(taken):
            break
    if label.arrow_patch is not None:
        label.arrow_patch.set_visible(PLACES.index(place) > 2)  # beside its point it needs no line to it
    return box
