"""A refined pathway in its file: what is kept of it, under which name and in which unit.

Atoms are counted from 1 in the file, as in the input, and hops by the numbers of their groups, also from 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from mapmpi.errors import UserError
from mapmpi.path.basins import Basin, StationaryPoint
from mapmpi.path.pathway import Hop, Pathway, Profile, SidePass
from mapmpi.path.saddle import Saddle
from mapmpi.plausible import doubt
from mapmpi.store.pathway import Quantity, read_tree, write_tree


def save(path: Path, pathway: Pathway, settings: Mapping[str, Any]) -> None:
    """Write a pathway in place of the file ``path``, with the settings (force field, tolerances, …) it came from.

    All numbers come back as they were, but a band's positions, which are rounded to float32 (5e-7 Å at 30 Å). The
    settings are kept whole as JSON, and the plain ones among them again as attributes.
    """
    tree: dict[str, Any] = {
        "atoms": _atoms_tree(pathway),
        "basins": _basins_tree(pathway.basins),
        "hops": {f"{number:04d}": _hop_tree(hop) for number, hop in enumerate(pathway.hops, 1)},
        "beside": {f"{number:04d}": _side_tree(one) for number, one in enumerate(pathway.beside, 1)},
        "settings": _plain(settings),
    }
    if pathway.before is not None:
        tree["before"] = {
            "energy": Quantity(pathway.before.energies, "eV"),
            "way": Quantity(pathway.before.progress, "Angstrom"),
        }
    attributes = {
        "name": pathway.name,
        "source": pathway.source,
        "notes": list(pathway.notes),
        "calls": pathway.calls,
        "reached": pathway.reached,
        "passage_times_s": json.dumps(pathway.passage_times_s),
        "settings": json.dumps(dict(settings), default=str),
    }
    write_tree(path, tree, attributes)


def load(path: Path) -> Pathway:
    """Return the pathway of a file. Its atoms stand in the first basin.

    Raises UserError when the file is missing, is not a pathway's, or something is missing or damaged in it.
    """
    tree, attributes = read_tree(path)
    try:
        basins = _basins(tree["basins"])
        before, sides = tree.get("before"), tree.get("beside", {})
        pathway = Pathway(
            name=attributes["name"],
            source=attributes["source"],
            atoms=_atoms(tree["atoms"], basins[0].positions),
            tagged=_indices(tree["atoms"]["tagged"]),
            molecule=_indices(tree["atoms"]["molecule"]),
            basins=basins,
            hops=[_hop(tree["hops"][number]) for number in sorted(tree["hops"], key=int)],
            before=Profile(before["energy"], before["way"]) if before is not None else None,
            notes=tuple(attributes["notes"]),
            calls=attributes["calls"],
            reached=bool(attributes["reached"]),
            beside=tuple(_side(sides[number]) for number in sorted(sides, key=int)),
            passage_times_s=tuple((kelvin, time) for kelvin, time in json.loads(attributes["passage_times_s"])),
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


_ERRORS = (LookupError, ValueError, TypeError, AttributeError, OverflowError, RuntimeError)
"""What becomes of a tree in which something is missing or is something else; RuntimeError if it nests too deeply."""


def _incomplete(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return UserError(f"{path} is not a whole pathway file ({reason}); refine the pathway anew.")


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
    hops = [*pathway.hops, *(side.hop for side in pathway.beside)]
    ends = [*pathway.basins, *(end for side in pathway.beside for end in (side.start, side.end))]
    points = [*ends, *(hop.saddle for hop in hops if hop.saddle is not None)]
    if len(pathway.basins) != len(pathway.hops) + 1:
        raise ValueError(f"{len(pathway.hops)} hops between {len(pathway.basins)} basins")
    for point in points:
        _finite("the positions of a stationary point", point.positions, (n, 3))
        _finite("the energy of a stationary point", np.asarray(point.energy), ())
    for hop in hops:
        images = len(hop.energies)
        _finite(f"the band of {hop.name}", hop.band, (images, n, 3))
        _finite(f"the energies of {hop.name}", hop.energies, (images,))
        if not 0 <= hop.top < images:
            raise ValueError(f"the top of {hop.name} is image {hop.top} of {images}")


def _finite(name: str, values: np.ndarray, shape: tuple[int, ...]) -> None:
    if values.dtype.kind != "f" or values.shape != shape or not np.isfinite(values).all():
        raise ValueError(f"{name} are not numbers of shape {shape}")


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those settings that an attribute can hold; what is None, empty or mixed is in the JSON only."""
    plain: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            plain[name] = _plain(value)
        elif isinstance(value, (bool, int, float, str)):
            plain[name] = value
        elif isinstance(value, (list, tuple)) and value:
            kinds = {type(entry) for entry in value}
            if kinds <= {int, float} or kinds == {str}:
                plain[name] = list(value)
    return plain


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


def _basins_tree(basins: list[StationaryPoint]) -> dict[str, Any]:
    """Return positions and energies, and one after another the frames of each, with their counts.

    A basin that was never one of a path's has a count of -1.
    """
    frames = [basin.frames if isinstance(basin, Basin) else None for basin in basins]
    return {
        "position": Quantity(np.array([basin.positions for basin in basins]), "Angstrom"),
        "energy": Quantity(np.array([basin.energy for basin in basins]), "eV"),
        "frame_count": np.array([-1 if some is None else len(some) for some in frames], dtype="i8"),
        "frames": np.array([frame for some in frames for frame in some or ()], dtype="i8"),
    }


def _basins(tree: Mapping[str, Any]) -> list[StationaryPoint]:
    basins: list[StationaryPoint] = []
    frames = iter(tree["frames"].tolist())
    for positions, energy, count in zip(tree["position"], tree["energy"], tree["frame_count"], strict=True):
        if count < 0:
            basins.append(StationaryPoint(positions, float(energy)))
        else:
            basins.append(Basin(positions, float(energy), tuple(next(frames) for _ in range(count))))
    return basins


def _hop_tree(hop: Hop) -> dict[str, Any]:
    tree: dict[str, Any] = {
        "name": hop.name,
        "remote": hop.remote,
        "top": hop.top,
        "verified": hop.verified,
        "reason": hop.reason,
        "band": Quantity(hop.band, "Angstrom", compact=True),
        "energy": Quantity(hop.energies, "eV"),
        "residual": Quantity(hop.residual, "eV/Angstrom"),
        "curvature": Quantity(hop.curvatures, "eV/Angstrom^2"),
        "forward": Quantity(hop.forward_hz, "Hz"),
        "backward": Quantity(hop.backward_hz, "Hz"),
    }
    if hop.saddle is not None:
        tree["saddle"] = {
            "position": Quantity(hop.saddle.positions, "Angstrom"),
            "energy": Quantity(hop.saddle.energy, "eV"),
            "mode": Quantity(hop.saddle.mode),
            "residual": Quantity(hop.saddle.residual, "eV/Angstrom"),
            "calls": hop.saddle.calls,
            "on_step": hop.saddle.on_step,
        }
    return tree


def _hop(tree: Mapping[str, Any]) -> Hop:
    saddle = tree.get("saddle")
    return Hop(
        band=tree["band"].astype(float),
        energies=tree["energy"],
        top=tree["top"],
        name=tree["name"],
        remote=tree["remote"],
        saddle=_saddle(saddle) if saddle is not None else None,
        verified=tree["verified"],
        reason=tree["reason"],
        residual=float(tree["residual"]),
        curvatures=tree["curvature"],
        forward_hz=float(tree["forward"]),
        backward_hz=float(tree["backward"]),
    )


def _side_tree(one: SidePass) -> dict[str, Any]:
    return {"minima": _basins_tree([one.start, one.end]), "hop": _hop_tree(one.hop)}


def _side(tree: Mapping[str, Any]) -> SidePass:
    start, end = _basins(tree["minima"])
    return SidePass(start, _hop(tree["hop"]), end)


def _saddle(tree: Mapping[str, Any]) -> Saddle:
    return Saddle(
        positions=tree["position"],
        energy=float(tree["energy"]),
        mode=tree["mode"],
        residual=float(tree["residual"]),
        calls=tree["calls"],
        on_step=bool(tree.get("on_step", False)),
    )
