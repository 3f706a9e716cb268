"""Segmentation of a pathway by inherent structures: which quenched frames are the same basin.

F. H. Stillinger and T. A. Weber, Phys. Rev. A 25, 978 (1982), named the inherent structures. Atoms are counted
from 0 here; names that people read count from 1, as the input does. Positions are unwrapped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase.data import chemical_symbols

from mapmpi.path.matching import Alignment, Matcher, StationaryPoint


@dataclass(frozen=True)
class Basin(StationaryPoint):
    """A minimum, and the frames of the path that quench into it (none for one found later)."""

    frames: tuple[int, ...] = ()


@dataclass(frozen=True)
class Chain:
    """Basins in the order of the path, none twice, in one labelling of the atoms; and what was cut out.

    ``loops`` are detours: the frame at which the path left a basin, and the one at which it was back. ``labels`` are
    the alignments that bring each frame of the path into the chain's labelling.
    """

    basins: list[Basin]
    loops: list[tuple[int, int]]
    labels: dict[int, Alignment]


def _known(here: Basin, basins: list[Basin], matcher: Matcher) -> tuple[int, Alignment] | None:
    """Return the index of the basin that ``here`` is, latest first, with the alignment onto it."""
    for index in reversed(range(len(basins))):
        alignment = matcher.match(basins[index], here)
        if alignment is not None:
            return index, alignment
    return None


def group_basins(frames: Mapping[int, StationaryPoint | None], matcher: Matcher) -> Chain:
    """Group quenched frames, by their numbers in the order of the path, into the chain of basins that it visits.

    A basin shows the lowest of its frames. A return to an earlier basin cuts the loop out (A B A C → A C);
    where identical atoms have changed places since, or atoms went to a periodic image, all later frames take
    the earlier labels, so that the chain stays one continuous path. A frame whose quench failed (None) is left out.
    """
    basins: list[Basin] = []
    loops: list[tuple[int, int]] = []
    labels = Alignment.identity(len(matcher.numbers))
    by_frame: dict[int, Alignment] = {}
    for frame, quenched in frames.items():
        if quenched is None:
            continue
        here = Basin(labels.apply(quenched.positions), quenched.energy, (frame,))
        by_frame[frame] = labels
        known = _known(here, basins, matcher)
        if known is None:
            if basins:
                drift = matcher.translation(basins[-1].positions, here.positions)
                here = replace(here, positions=here.positions - drift)
            basins.append(here)
            continue
        index, alignment = known
        if basins[index + 1 :]:
            loops.append((basins[index].frames[-1], frame))
            del basins[index + 1 :]
        labels = by_frame[frame] = alignment.after(labels)
        here = replace(here, positions=labels.apply(quenched.positions))
        lower = here if here.energy < basins[index].energy else basins[index]
        basins[index] = replace(lower, frames=(*basins[index].frames, frame))
    return Chain(basins, loops, by_frame)


def what_moves(
    start: StationaryPoint,
    end: StationaryPoint,
    matcher: Matcher,
    molecule: Sequence[int],
    remote_distance_A: float,
) -> tuple[str, bool]:
    """Return a name for a hop by what moves, such as ``O57+Si12``, and whether it is remote.

    The atoms of the name are those that move at least half as far as the farthest, which comes first. If all of them
    are farther than ``remote_distance_A`` from the molecule (atom indices), at the nearer end, the hop is remote and
    its name says so: ``O57+Si12, 8.3 Å from the molecule``. It is a barrier that the path crosses all the same.
    """
    lengths = np.linalg.norm(matcher.displacements(start.positions, end.positions), axis=1)
    atoms = [int(atom) for atom in np.argsort(-lengths) if lengths[atom] >= 0.5 * lengths.max()]
    distance = min(matcher.distance(basin.positions, atoms, molecule) for basin in (start, end))
    name = "+".join(f"{chemical_symbols[matcher.numbers[atom]]}{atom + 1}" for atom in atoms[:3])
    if distance <= remote_distance_A:
        return name, False
    return f"{name}, {distance:.1f} Å from the molecule", True
