"""From a network to a pathway: hops laid end to end as one continuous walk, in one labelling of the atoms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from mapmpi.path.basins import what_moves
from mapmpi.path.connection import Connection
from mapmpi.path.matching import Alignment, Matcher, StationaryPoint
from mapmpi.path.network import Edge, Network, unordered
from mapmpi.path.pathway import Hop, Pathway
from mapmpi.path.quantum import corrected_hop
from mapmpi.path.tst import Prefactor

NAME = "network"
"""The name of the pathway that the network gives."""


def lay_out(
    network: Network, numbers: Sequence[int], edges: Sequence[Edge | None]
) -> tuple[list[StationaryPoint], list[Hop | None]]:
    """Lay edges end to end along minima (numbers), each structure in the labels in which the one before it ended.

    Return the minima and the hops between them. Where there is no edge the next minimum is laid as near as equal atoms
    can.
    """
    start = network.minima[numbers[0]]
    points, hops = [StationaryPoint(start.positions, start.energy)], []
    labels = Alignment.identity(len(points[0].positions))
    for (first, last), edge in zip(pairwise(numbers), edges, strict=True):
        end, hop = network.minima[last], None
        if edge is None:
            labels = network.matcher.nearest_labels(points[-1].positions, end.positions)
        else:
            forth = edge if edge.first == first else edge.reversed()
            onward = labels.after(forth.to_first)
            hop, labels = forth.hop.relabelled(onward), onward.after(forth.to_last.inverse())
        points.append(StationaryPoint(labels.apply(end.positions), end.energy))
        hops.append(hop)
    return points, hops


def assemble(
    connection: Connection, molecule: Sequence[int], remote_distance_A: float, temperature_k: float
) -> tuple[list[StationaryPoint], list[Hop], list[str]]:
    """Return basins, hops and notes along a connection's best walk; a gap that nothing crosses has no saddle.

    Basins that nothing holds apart become one, the lower; the band between them is part of the next one, or of the one
    before. ``molecule`` are atom indices; the hops are named by what moves.
    """
    network, numbers = connection.network, connection.best_walk(temperature_k)
    gaps = list(pairwise(numbers))
    edges = [network.edge(gap) or network.merged.get(unordered(gap)) for gap in gaps]
    points, laid = lay_out(network, numbers, edges)
    basins, hops, notes, link = points[:1], [], [], None
    for gap, edge, hop, place in zip(gaps, edges, laid, points[1:], strict=True):
        if unordered(gap) not in network.merged:
            if hop is None:
                reason = connection.reason(gap) or "not converged: no searches were left (pneb.connect.searches)"
                hop = _open_hop(basins[-1], place, reason)
            hops.append(hop.joined(before=link))
            basins.append(place)
            link = None
            continue
        step = float(np.linalg.norm(place.positions - basins[-1].positions, axis=1).max())
        notes.append(f"a step of {step:.2f} Å had {_held_by(network, edge)} and was dropped")
        link = hop.joined(before=link) if hop is not None else link
        if place.energy < basins[-1].energy:
            basins[-1] = place
            hops[-1:] = [one.joined(after=link) for one in hops[-1:]]
            link = None
    return basins, _named(hops, basins, network.matcher, molecule, remote_distance_A), notes


def _named(
    hops: Iterable[Hop],
    basins: Sequence[StationaryPoint],
    matcher: Matcher,
    molecule: Sequence[int],
    remote_distance_A: float,
) -> list[Hop]:
    """Return the hops between consecutive basins with their names."""
    found = []
    for hop, start, end in zip(hops, basins[:-1], basins[1:], strict=True):
        name, remote = what_moves(start, end, matcher, molecule, remote_distance_A)
        found.append(replace(hop, name=name, remote=remote))
    return found


def _held_by(network: Network, edge: Edge | None) -> str:
    """Say in words what holds two basins apart that count as one."""
    if edge is None:
        return "no barrier"
    barrier = edge.saddle.energy - max(network.minima[number].energy for number in edge.gap)
    return f"a barrier of {barrier:.3f} eV, below pneb.same_energy, without a verified saddle,"


def _open_hop(start: StationaryPoint, end: StationaryPoint, reason: str) -> Hop:
    """Return a hop for which no saddle was found."""
    band, energies = np.array([start.positions, end.positions]), np.array([start.energy, end.energy])
    return Hop(band, energies, 0, "", False, reason=reason)


def beside(connection: Connection, temperature_k: float) -> tuple[Hop, ...]:
    """Return the hops over verified saddles of a connection that were found but are not on its best walk."""
    used = [connection.network.edge(gap) for gap in pairwise(connection.best_walk(temperature_k))]
    return tuple(
        edge.hop for edge in connection.network.edges if edge.verified and not any(edge is one for one in used)
    )


def pool(
    pathways: Sequence[Pathway], matcher: Matcher, prefactor: Prefactor | None = None
) -> tuple[Network, list[list[int]]]:
    """Return the network of all refined pathways and of what was found beside them, and the numbers of their basins.

    Hops without a verified saddle or without the prefactor are left out; where none is asked for, only those without a
    saddle.
    """
    network, numbers = Network(matcher), []
    for pathway in pathways:
        between = zip(pathway.hops, pairwise(pathway.basins), strict=True)
        hops = [hop if _counts(hop, ends, prefactor) else None for hop, ends in between]
        numbers.append(network.add_pathway(pathway.name, pathway.basins, hops))
        for hop in pathway.beside:  # those have no prefactors of Vineyard's
            if _counts(hop, hop.ends, prefactor):
                network.add_pathway(f"{pathway.name} (beside)", hop.ends, [hop])
    return network, numbers


def _counts(hop: Hop, ends: tuple[StationaryPoint, StationaryPoint], prefactor: Prefactor | None) -> bool:
    """Tell whether a hop between two basins has a rate in a network: its saddle may lie below one by the noise."""
    if hop.saddle is None or hop.saddle.energy <= max(end.energy for end in ends):
        return False
    known = np.isfinite(hop.forward_hz) and np.isfinite(hop.backward_hz)
    return prefactor is None or (hop.verified and (prefactor != "vineyard" or bool(known)))


def fastest_pathway(
    pathways: Sequence[Pathway],
    pooled: tuple[Network, list[list[int]]],
    prefactor: Prefactor,
    temperatures_k: Sequence[float],
    remote_distance_A: float,
) -> Pathway | None:
    """Return the fastest walk over the saddles of all pathways, from the start of one to the end of one.

    ``pooled`` is what :func:`pool` makes of them. None if there is none. Only pathways that reached their goal have
    such ends; if none did, the longest. The first temperature decides which walk is the fastest; its passage times are
    those of a walker on the whole network.
    """
    network, numbers = pooled
    ends = [(own[0], own[-1]) for own, pathway in zip(numbers, pathways, strict=True) if pathway.reached]
    if not ends:
        longest = max(range(len(pathways)), key=lambda number: pathways[number].length_A)
        ends = [(numbers[longest][0], numbers[longest][-1])]
    starts = {start for start, _ in ends}
    goals = {end for _, end in ends} - starts
    found = network.fastest(sorted(starts), goals, temperatures_k[0], prefactor)
    if found is None or not found[1]:
        return None
    basins, laid = lay_out(network, *found)
    hops = [hop for hop in laid if hop is not None]
    model = pathways[0]
    return Pathway(
        name=NAME,
        source=", ".join(dict.fromkeys(name for edge in found[1] for name in edge.pathways)),
        atoms=model.atoms,
        tagged=model.tagged,
        molecule=model.molecule,
        basins=basins,
        hops=_named(hops, basins, network.matcher, model.molecule, remote_distance_A),
        notes=(_route_note(pathways),),
        passage_times_s=tuple(
            (kelvin, network.passage_time_s(found[0][0], goals, kelvin, prefactor)) for kelvin in temperatures_k
        ),
        quantum_passage_times_s=tuple(
            (kelvin, corrected(network, kelvin).passage_time_s(found[0][0], goals, kelvin, prefactor))
            for kelvin in temperatures_k
            if correctable(network, prefactor)
        ),
    )


def _route_note(pathways: Sequence[Pathway]) -> str:
    """Return through what the fastest walk leads, and what it cannot use."""
    note = f"the fastest route through the verified saddles of {len(pathways)} pathway{'s' * (len(pathways) > 1)}"
    doubtful = sum(len(pathway.hops) - pathway.verified for pathway in pathways)
    return f"{note}; hops over others, of which there are {doubtful}, are no part of it" if doubtful else note


def correctable(network: Network, prefactor: Prefactor) -> bool:
    """Tell whether the frequencies of all hops are known, for :func:`corrected`."""
    return prefactor == "vineyard" and all(edge.hop.saddle_hz.size for edge in network.edges)


def corrected(network: Network, temperature_k: float) -> Network:
    """Return a network of Vineyard's prefactors with the corrections of :mod:`mapmpi.path.quantum`.

    They are those at one temperature in K.
    """
    other = Network(network.matcher, network.minima)
    other.edges = [replace(edge, hop=corrected_hop(edge.hop, temperature_k)) for edge in network.edges]
    return other
