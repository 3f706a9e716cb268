"""From the minima and saddles of a connection to a pathway: one continuous way, in one labelling of the atoms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from mapmpi.path.basins import Alignment, Matcher, StationaryPoint, steps_between
from mapmpi.path.connection import Connection
from mapmpi.path.passes import Crossing, Gap, unordered
from mapmpi.path.pathway import Hop, SidePass


@dataclass(frozen=True)
class Way:
    """A way from the first basin to the last: basins one more than hops, and what was dropped, in words."""

    basins: list[StationaryPoint]
    hops: list[Hop]
    notes: tuple[str, ...]


def crossing_hop(crossing: Crossing) -> Hop:
    """Return a crossing as a hop between the minima to which the ways down led, in the labels of its search."""
    barrier = crossing.barrier
    assert barrier.saddle is not None
    assert barrier.sides is not None
    assert barrier.verification is not None
    (backward, forward), top = barrier.sides, barrier.saddle.energy
    # the first push off the saddle may lead uphill where it is narrow: that is not part of the way
    down, up = (side.trail_energies <= top for side in (backward, forward))
    return Hop(
        band=np.array([*backward.trail[down][::-1], barrier.saddle.positions, *forward.trail[up]]),
        energies=np.array([*backward.trail_energies[down][::-1], top, *forward.trail_energies[up]]),
        top=int(down.sum()),
        name="",
        remote=False,
        saddle=barrier.saddle,
        verified=crossing.verified,
        reason="; ".join(barrier.verification.faults),
        residual=barrier.saddle.residual,
        curvatures=barrier.verification.curvatures,
    )


def passes_beside(connection: Connection, temperature_k: float) -> tuple[SidePass, ...]:
    """Return the verified saddles that were found but are not on the fastest way."""
    used = [connection.crossing(gap) for gap in pairwise(connection.best_way(temperature_k))]
    beside = []
    for crossing in connection.crossings:
        if crossing.verified and not any(crossing is one for one in used):
            assert crossing.barrier.sides is not None
            start, end = (StationaryPoint(side.positions, side.energy) for side in crossing.barrier.sides)
            beside.append(SidePass(start, crossing_hop(crossing), end))
    return tuple(beside)


def assemble(
    connection: Connection, matcher: Matcher, molecule: list[int], remote_distance_A: float, temperature_k: float
) -> Way:
    """Lay the crossings along a connection's best way end to end; a gap that nothing crosses has no saddle.

    Basins that nothing holds apart become one, the lower; the way between them is part of the next band, or of the
    one before. ``molecule`` are atom indices; the hops are named by what moves
    (:func:`mapmpi.path.basins.steps_between`).
    """
    basins, hops, notes = [connection.minima[0]], [], []
    labels, link = Alignment.identity(len(matcher.numbers)), None
    for gap in pairwise(connection.best_way(temperature_k)):
        last = connection.minima[gap[1]]
        crossing = connection.crossing(gap) or connection.negligible.get(unordered(gap))
        if crossing is None:
            hop, labels = None, matcher.nearest_labels(basins[-1].positions, last.positions)
        else:
            hop, labels = _laid(crossing, gap, labels)
        place = StationaryPoint(labels.apply(last.positions), last.energy)
        if unordered(gap) not in connection.merged:
            hops.append((hop or _open_hop(connection, gap, basins[-1], place)).joined(before=link))
            basins.append(place)
            link = None
            continue
        step = float(np.linalg.norm(place.positions - basins[-1].positions, axis=1).max())
        notes.append(f"a step of {step:.2f} Å had {_held_by(connection, crossing)} and was dropped")
        link = hop.joined(before=link) if hop is not None else link
        if place.energy < basins[-1].energy:
            basins[-1] = place
            hops[-1:] = [one.joined(after=link) for one in hops[-1:]]
            link = None
    steps = steps_between(basins, matcher, molecule, remote_distance_A)
    named = [replace(hop, name=step.name, remote=step.remote) for hop, step in zip(hops, steps, strict=True)]
    return Way(basins, named, tuple(notes))


def _held_by(connection: Connection, crossing: Crossing | None) -> str:
    """Say in words what holds two basins apart that count as one."""
    if crossing is None:
        return "no barrier"
    barrier = crossing.energy - max(connection.minima[number].energy for number in (crossing.first, crossing.last))
    return f"a barrier of {barrier:.3f} eV, below pneb.same_energy, without a verified saddle,"


def _laid(crossing: Crossing, gap: Gap, labels: Alignment) -> tuple[Hop, Alignment]:
    """Return a crossing as a hop in the sense of a gap, and the labels of the minimum behind it.

    ``labels`` are those of the minimum before it.
    """
    forward = crossing.first == gap[0]
    here, there = (crossing.to_first, crossing.to_last)[:: 1 if forward else -1]
    onward, hop = labels.after(here), crossing_hop(crossing)
    return (hop if forward else hop.reversed()).relabelled(onward), onward.after(there.inverse())


def _open_hop(connection: Connection, gap: Gap, start: StationaryPoint, end: StationaryPoint) -> Hop:
    """Return a hop for which no saddle was found."""
    reason = connection.reason(gap) or "not converged: no searches were left (pneb.searches)"
    band, energies = np.array([start.positions, end.positions]), np.array([start.energy, end.energy])
    return Hop(band, energies, 0, "", False, reason=reason)
