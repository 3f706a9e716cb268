"""The network of minima and saddles that all pathways of a run have found, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mapmpi.config import Config, unit
from mapmpi.path.basins import StationaryPoint
from mapmpi.pneb.figure import AFTER, SADDLE
from mapmpi.report.drawing import PALE, Drawing, style, with_axes
from mapmpi.report.stored import Place, Refined, center, matcher

MOST_PASSES = 400
HIGHEST = 1.5
"""A saddle is drawn up to so many times the height of the best pathway above its highest one, or 1 eV."""


@dataclass(frozen=True)
class Pass:
    """An edge: nodes, place along the goal direction in Å and energy in eV of its saddle, whether on the best path."""

    first: int
    last: int
    forward: float
    energy: float
    verified: bool
    best: bool


@dataclass(frozen=True)
class Network:
    """Minima, each once: places along the goal direction (m,) Å and energies (m,) eV above the start; and passes."""

    forward: np.ndarray
    energies: np.ndarray
    passes: list[Pass]


def make_network(refined: Sequence[Refined], config: Config) -> Network:
    """Return the network of all refined pathways, the best one first; the same minimum in two of them is one node."""
    same = matcher(refined[0], config)
    origin = center(refined[0].positions[:1], refined[0].tagged, refined[0].atoms)[0]
    along, zero = unit(config.goal.direction), refined[0].energy_zero_ev
    minima: list[Place] = []
    passes: dict[tuple[int, int, float], Pass] = {}

    def node(place: Place) -> int:
        point = StationaryPoint(place.positions, place.energy)
        for number, known in enumerate(minima):
            if same.match(StationaryPoint(known.positions, known.energy), point) is not None:
                return number
        minima.append(place)
        return len(minima) - 1

    def forward(place: Place, one: Refined) -> float:
        return float((center(place.positions[None], one.tagged, one.atoms)[0] - origin) @ along)

    for rank, one in enumerate(refined):
        if not np.array_equal(one.atoms.numbers, refined[0].atoms.numbers):
            continue
        for number, (start, saddle, end) in enumerate(one.passes):
            if len(passes) == MOST_PASSES:
                break
            first, last = node(start), node(end)
            key = (min(first, last), max(first, last), round(saddle.energy, 3))
            best = rank == 0 and number < len(one.hops)
            place = forward(saddle, one), saddle.energy - zero
            passes.setdefault(key, Pass(first, last, *place, saddle.verified, best))
    energies = np.array([place.energy - zero for place in minima])
    return Network(np.array([forward(place, refined[0]) for place in minima]), energies, list(passes.values()))


def network_drawing(found: Network) -> Drawing:
    """Return the picture of a network: energies against the way, and lines from each saddle to its two minima."""
    heights = [one.energy for one in found.passes if one.best] or list(found.energies)
    ceiling = max(heights) + max(HIGHEST * float(np.ptp([0.0, *heights])), 1.0)
    passes = [one for one in found.passes if one.energy <= ceiling]
    with style():
        figure, axes = with_axes("along the goal direction (Å)", "energy above the start (eV)", (6.4, 4.0))
        for one in sorted(passes, key=lambda one: one.best):
            colour = AFTER if one.best else PALE
            for end in (one.first, one.last):
                xs = np.linspace(found.forward[end], one.forward, 24)
                share = np.linspace(0.0, 1.0, 24)
                smooth = found.energies[end] + (one.energy - found.energies[end]) * share**2 * (3.0 - 2.0 * share)
                axes.plot(
                    xs, smooth, color=colour, linewidth=1.6 if one.best else 0.9, zorder=2 if one.best else 1
                )
        shown = {end for one in passes for end in (one.first, one.last)}
        used = {end for one in passes if one.best for end in (one.first, one.last)}
        for best in (False, True):
            nodes = [node for node in sorted(shown) if (node in used) == best]
            if nodes:
                axes.plot(
                    found.forward[nodes], found.energies[nodes], "o", color=AFTER if best else PALE, markersize=5,
                    label="minimum of the best pathway" if best else "other minimum", zorder=3,
                )  # fmt: skip
        for verified, fill, label in ((True, SADDLE, "saddle"), (False, "white", "saddle, not verified")):
            points = [(one.forward, one.energy) for one in passes if one.verified == verified]
            if points:
                axes.plot(
                    *np.transpose(points), "^", color=SADDLE, markerfacecolor=fill, markersize=5.5, label=label,
                    zorder=4,
                )  # fmt: skip
        figure.legend(loc="outside upper left", ncols=2)
    caption = (
        f"Network of {len(found.energies)} minima and {len(found.passes)} saddles that all pathways found, equal ones "
        "drawn once; blue: the best pathway."
    )
    if hidden := len(found.passes) - len(passes):
        caption += f" Not drawn: {hidden} saddle{'s' * (hidden > 1)} above {ceiling:.1f} eV."
    return Drawing("network-of-minima", caption, figure)
