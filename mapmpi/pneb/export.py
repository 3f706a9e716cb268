"""Refined pathways for other programs: extended XYZ of the whole band and of each transition state.

Every frame has its energy in eV, the displacements of its atoms, and the silicon atom that is closest to the
tagged atoms; what people and other programs read counts atoms, hops and basins from 1. Text is plain ASCII.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers
from ase.geometry import find_mic

from mapmpi.path.matching import StationaryPoint
from mapmpi.path.pathway import Pathway, center
from mapmpi.store.files import replace_file

_SIGNS = str.maketrans({"–": "-", "−": "-", "→": "->", '"': "'", "\\": "/"})


def write_band(path: Path, pathway: Pathway) -> None:
    """Write the way over all saddles as one extxyz; basins between two hops come once.

    Info of a frame: ``hop`` and ``hop_name``, of the hop that it belongs to (a basin to the one that ends there,
    the first to hop 0), ``image`` (its number in the hop's band, from 0), ``kind`` (basin, image or saddle).
    ``displacement`` (n, 3) Å is that from the first basin.
    """
    first = pathway.basins[0]
    frames = []
    for point, kind, hop, image in pathway.frames():
        name = {"hop": hop, "hop_name": _ascii(pathway.hops[hop - 1].name)} if hop else {"hop": hop}
        frames.append(_frame(pathway, point, first, {**name, "image": image, "kind": kind}))
    _write(path, frames)


def write_transition_states(folder: Path, pathway: Pathway) -> list[Path]:
    """Write each saddle as NAME-ts-NN.xyz, NN the number of its hop, and return the files; none for a hop without.

    ``displacement`` (n, 3) Å is that from the basin before it, ``mode`` (n, 3) of unit length. Info: ``hop``,
    ``hop_name``, ``verified`` (and if not, the ``reason``), ``barrier_forward_ev``, ``barrier_backward_ev``,
    ``residual_ev_A``, and the two lowest ``curvatures_ev_A2``.
    """
    paths = []
    barriers = zip(pathway.barriers_ev(), pathway.barriers_ev(backward=True), strict=True)
    for number, (hop, (forward, backward)) in enumerate(zip(pathway.hops, barriers, strict=True), 1):
        if hop.saddle is None:
            continue
        info: dict[str, Any] = {
            "hop": number,
            "hop_name": _ascii(hop.name),
            "kind": "saddle",
            "verified": bool(hop.verified),
            "barrier_forward_ev": float(forward),
            "barrier_backward_ev": float(backward),
            "residual_ev_A": float(hop.residual),
            "curvatures_ev_A2": np.asarray(hop.curvatures, dtype=float),
        }
        if hop.reason:
            info["reason"] = _ascii(hop.reason)
        frame = _frame(pathway, hop.saddle, pathway.basins[number - 1], info)
        frame.set_array("mode", hop.saddle.mode)
        paths.append(folder / f"{pathway.name}-ts-{number:02d}.xyz")
        _write(paths[-1], [frame])
    return paths


def closest_silicon(pathway: Pathway, positions: np.ndarray) -> tuple[int, float] | None:
    """Return the index (from 0) of the silicon atom nearest to the center of the tagged atoms, and its distance.

    positions (n, 3) Å; the distance in Å is to the nearest periodic image. Tagged atoms do not count. None where
    there is no silicon.
    """
    silicon = np.setdiff1d(np.flatnonzero(pathway.atoms.numbers == atomic_numbers["Si"]), pathway.tagged)
    if not len(silicon):
        return None
    apart = positions[silicon] - center(positions, pathway.atoms, pathway.tagged)
    distances = find_mic(apart, pathway.atoms.cell, pathway.atoms.pbc)[1]
    nearest = int(distances.argmin())
    return int(silicon[nearest]), float(distances[nearest])


def _frame(pathway: Pathway, point: StationaryPoint, origin: StationaryPoint, info: dict[str, Any]) -> Atoms:
    """Return a structure with its energy, the displacements from ``origin``, the closest silicon, and ``info``."""
    template = pathway.atoms
    frame = Atoms(template.numbers, point.positions, cell=template.cell, pbc=template.pbc)
    frame.info = {"pathway": _ascii(pathway.name), **info}
    frame.set_array("displacement", point.positions - origin.positions)
    if (closest := closest_silicon(pathway, point.positions)) is not None:
        index, distance = closest
        frame.set_array("closest_si", (np.arange(len(frame)) == index).astype(int))
        frame.info.update({"closest_si_id": index + 1, "closest_si_distance": distance})
    frame.calc = SinglePointCalculator(frame, energy=float(point.energy))
    return frame


def _ascii(text: str) -> str:
    """Return a text on one line and without letters that a reader of extxyz may stumble over (Å becomes A)."""
    plain = unicodedata.normalize("NFKD", " ".join(text.split()).translate(_SIGNS))
    return "".join(sign for sign in plain if not unicodedata.combining(sign)).encode("ascii", "replace").decode()


def _write(path: Path, frames: Sequence[Atoms]) -> None:
    """Write structures as one extxyz file, which appears whole."""
    text = io.StringIO()
    # ASE's files are otherwise a matter of all MPI ranks at once, and only one is here.
    ase.io.write(text, frames, format="extxyz", parallel=False)
    replace_file(path, lambda handle: handle.write(text.getvalue().encode()))
