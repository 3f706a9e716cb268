"""A refined pathway in its file: what is kept of it, under which name and in which unit.

Atoms are counted from 1 in the file, as in the input, and hops by the numbers of their groups, also from 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from mapmpi.errors import UserError, why
from mapmpi.path.matching import StationaryPoint
from mapmpi.path.pathway import Hop, Pathway, Profile
from mapmpi.path.saddle import Saddle
from mapmpi.plausible import doubt
from mapmpi.store.codec import Quantity, built, flat
from mapmpi.store.pathway import read_tree, write_tree


def save(path: Path, pathway: Pathway, settings: Mapping[str, Any]) -> None:
    """Write a pathway in place of the file ``path``, with the settings (force field, tolerances, …) it came from.

    All numbers come back as they were, but a band's positions, which are rounded to float32 (5e-7 Å at 30 Å). The
    settings are kept as JSON.
    """
    tree = {
        "atoms": _atoms_tree(pathway),
        "basins": _numbered(pathway.basins),
        "hops": _numbered(pathway.hops),
        "beside": _numbered(pathway.beside),
        "before": flat(pathway.before),
    }
    attributes = {
        "name": pathway.name,
        "source": pathway.source,
        "notes": list(pathway.notes),
        "calls": pathway.calls,
        "reached": pathway.reached,
        "passage_times_s": json.dumps(pathway.passage_times_s),
        "quantum_passage_times_s": json.dumps(pathway.quantum_passage_times_s),
        "settings": json.dumps(dict(settings), default=str),
    }
    write_tree(path, tree, attributes)


def load(path: Path) -> Pathway:
    """Return the pathway of a file. Its atoms stand in the first basin.

    Raises UserError when the file is missing, is not a pathway's, or something is missing or damaged in it.
    """
    tree, attributes = read_tree(path)
    try:
        basins = _listed(tree["basins"])
        # in files of before each of them stands between its two ends
        hops_beside = {number: one.get("hop", one) for number, one in tree["beside"].items()}
        pathway = Pathway(
            name=attributes["name"],
            source=attributes["source"],
            atoms=_atoms(tree["atoms"], basins[0].positions),
            tagged=_indices(tree["atoms"]["tagged"]),
            molecule=_indices(tree["atoms"]["molecule"]),
            basins=basins,
            hops=_listed(tree["hops"]),
            before=built(tree.get("before"), _KINDS),
            notes=tuple(attributes["notes"]),
            calls=attributes["calls"],
            reached=bool(attributes["reached"]),
            beside=tuple(_listed(hops_beside)),
            passage_times_s=_times(attributes["passage_times_s"]),
            quantum_passage_times_s=_times(attributes.get("quantum_passage_times_s", "[]")),
        )
        _check(pathway)
        return pathway
    except _ERRORS as error:
        raise _incomplete(path, error) from None


def load_settings(path: Path) -> dict[str, Any]:
    """Return the settings that a pathway's file was saved with. Raises UserError as :func:`load`."""
    try:
        return dict(json.loads(read_tree(path)[1]["settings"]))
    except _ERRORS as error:
        raise _incomplete(path, error) from None


_KINDS = {kind.__name__: kind for kind in (StationaryPoint, Saddle, Hop, Profile)}
"""The records that a pathway consists of."""


def _times(text: str) -> tuple[tuple[float, float], ...]:
    """Return temperatures and times as :func:`save` has written them."""
    return tuple((kelvin, time) for kelvin, time in json.loads(text))


def _numbered(records: Sequence[Any]) -> dict[str, Any]:
    """Return records under their numbers, from 1."""
    return {f"{number:04d}": flat(record) for number, record in enumerate(records, 1)}


def _listed(tree: Mapping[str, Any]) -> list[Any]:
    """Return the records that :func:`_numbered` has made a tree of."""
    return [built(tree[number], _KINDS) for number in sorted(tree, key=int)]


_ERRORS = (LookupError, ValueError, TypeError, AttributeError, OverflowError, RuntimeError)
"""What becomes of a tree in which something is missing or is something else; RuntimeError if it nests too deeply."""


def _incomplete(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is not a whole pathway file ({why(error)}); refine the pathway anew.")


def _check(pathway: Pathway) -> None:
    """Raise ValueError where shapes or numbers of a pathway do not go together."""
    n = len(pathway.atoms)
    texts = [pathway.name, pathway.source, *pathway.notes]
    if not all(isinstance(text, str) for text in texts) or Path(pathway.name).name != pathway.name:
        raise ValueError("its name is no file name, or a note no text")
    if (reason := doubt(pathway.atoms)) is not None:
        raise ValueError(reason)
    if not all(0 <= index < n for index in (*pathway.tagged, *pathway.molecule)) or not pathway.tagged:
        raise ValueError("a tagged atom is not among the atoms")
    hops = [*pathway.hops, *pathway.beside]
    points = [*pathway.basins, *(hop.saddle for hop in hops if hop.saddle is not None)]
    if len(pathway.basins) != len(pathway.hops) + 1:
        raise ValueError(f"{len(pathway.hops)} hops between {len(pathway.basins)} basins")
    for point in points:
        _finite("the positions of a stationary point", point.positions, (n, 3))
        _finite("the energy of a stationary point", np.asarray(point.energy), ())
    for hop in hops:
        images = len(hop.energies)
        _finite(f"the band of {hop.name}", hop.band, (images, n, 3))
        _finite(f"the energies of {hop.name}", hop.energies, (images,))
        for modes in (hop.start_hz, hop.saddle_hz, hop.end_hz):
            _finite(f"the frequencies of {hop.name}", modes, (hop.saddle_hz.size,))
        if not 0 <= hop.top < images:
            raise ValueError(f"the top of {hop.name} is image {hop.top} of {images}")


def _finite(name: str, values: np.ndarray, shape: tuple[int, ...]) -> None:
    if values.dtype.kind != "f" or values.shape != shape or not np.isfinite(values).all():
        raise ValueError(f"{name} are not numbers of shape {shape}")


def _atoms_tree(pathway: Pathway) -> dict[str, Any]:
    atoms = pathway.atoms
    return {
        "species": atoms.numbers.astype("u1"),
        "mass": Quantity(atoms.get_masses(), "amu"),
        "cell": Quantity(atoms.cell.array, "Angstrom"),
        "periodic": atoms.pbc,
        "tagged": np.array(pathway.tagged, dtype="i8") + 1,
        "molecule": np.array(pathway.molecule, dtype="i8") + 1,
    }


def _atoms(tree: Mapping[str, Any], positions: np.ndarray) -> Atoms:
    return Atoms(tree["species"], positions, cell=tree["cell"], pbc=tree["periodic"], masses=tree["mass"])


def _indices(ids: np.ndarray) -> tuple[int, ...]:
    return tuple(int(number) - 1 for number in ids)
