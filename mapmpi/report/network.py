"""The network of minima and saddles that all pathways of a run have found, as a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mapmpi.config import Config, unit
from mapmpi.path.assembly import pool
from mapmpi.path.matching import Matcher, StationaryPoint
from mapmpi.path.network import Network
from mapmpi.path.pathway import Pathway, center
from mapmpi.pneb.figure import AFTER, draw_saddles
from mapmpi.report.drawing import PALE, Drawing, style, with_axes

MOST_PASSES = 400
HIGHEST = 1.5
"""A saddle is drawn up to so many times the height of the best pathway above its highest one, or 1 eV."""


def make_network(refined: Sequence[Pathway], config: Config) -> Network:
    """Return the network of all refined pathways, the best one first, their doubtful saddles too.

    It begins with those that have the best one's atoms, up to MOST_PASSES hops in all.
    """
    best = refined[0]
    same = Matcher.of(best.atoms, best.tagged, config.pneb, held=bool(config.structure.fixed_atoms))
    chosen = [one for one in refined if np.array_equal(one.atoms.numbers, best.atoms.numbers)]
    hops = np.cumsum([len(one.hops) + len(one.beside) for one in chosen])
    return pool(chosen[: int((hops <= MOST_PASSES).sum())], same)[0]


def network_drawing(found: Network, best: Pathway, config: Config) -> Drawing:
    """Return the picture of a network: energies against the way, and lines from each saddle to its two minima."""
    origin, along = center(best.basins[0].positions, best.atoms, best.tagged), unit(config.goal.direction)

    def place(point: StationaryPoint) -> tuple[float, float]:
        """Return where a point is along the goal direction in Å, and its energy above the start in eV."""
        here = center(point.positions, best.atoms, best.tagged) - origin
        return float(here @ along), point.energy - best.basins[0].energy

    minima = np.array([place(point) for point in found.minima])
    saddles = [place(one.saddle) for one in found.edges]
    on_best = [best.name in one.pathways for one in found.edges]
    heights = [energy for (_, energy), ours in zip(saddles, on_best, strict=True) if ours] or list(minima[:, 1])
    ceiling = max(heights) + max(HIGHEST * float(np.ptp([0.0, *heights])), 1.0)
    passes = [number for number, (_, energy) in enumerate(saddles) if energy <= ceiling]
    with style():
        figure, axes = with_axes("along the goal direction (Å)", "energy above the start (eV)", (6.4, 4.0))
        for number in sorted(passes, key=lambda number: on_best[number]):
            colour, width = (AFTER, 1.6) if on_best[number] else (PALE, 0.9)
            for end in found.edges[number].gap:
                share = np.linspace(0.0, 1.0, 24)
                (x, y), (forward, energy) = minima[end], saddles[number]
                smooth = y + (energy - y) * share**2 * (3.0 - 2.0 * share)
                axes.plot(
                    x + (forward - x) * share, smooth, color=colour, linewidth=width, zorder=1 + on_best[number]
                )
        shown = {end for number in passes for end in found.edges[number].gap}
        used = {end for number in passes if on_best[number] for end in found.edges[number].gap}
        for ours in (False, True):
            nodes = [node for node in sorted(shown) if (node in used) == ours]
            if nodes:
                axes.plot(
                    *minima[nodes].T, "o", color=AFTER if ours else PALE, markersize=5,
                    label="minimum of the best pathway" if ours else "other minimum", zorder=3,
                )  # fmt: skip
        draw_saddles(axes, [(saddles[number], found.edges[number].verified) for number in passes], 5.5)
        figure.legend(loc="outside upper left", ncols=2)
    caption = (
        f"Network of {len(found.minima)} minima and {len(found.edges)} saddles that all pathways found, equal ones "
        "drawn once; blue: the best pathway."
    )
    if hidden := len(saddles) - len(passes):
        caption += f" Not drawn: {hidden} saddle{'s' * (hidden > 1)} above {ceiling:.1f} eV."
    return Drawing("network-of-minima", caption, figure)
