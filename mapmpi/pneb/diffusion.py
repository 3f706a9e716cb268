"""diffusion.csv: D of a walker on the network of all refined pathways, and what people are told of it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mapmpi.errors import UserError, why
from mapmpi.path.assembly import correctable
from mapmpi.path.diffusion import Diffusion, Folded
from mapmpi.path.network import Network
from mapmpi.path.pathway import Pathway
from mapmpi.path.symmetry import StrainedError, Symmetry, find_symmetry
from mapmpi.path.tst import Prefactor
from mapmpi.pneb.table import shown
from mapmpi.store.files import write_rows

FILE = "diffusion.csv"
ENTRIES = ("xx", "yy", "zz", "xy", "xz", "yz")


def symmetry_of(pathway: Pathway, fixed: Sequence[int]) -> Symmetry:
    """Return the symmetry of what the molecule moves in, as it is at a pathway's start; ``fixed`` are indices."""
    return find_symmetry(pathway.atoms, pathway.basins[0].positions, pathway.molecule, fixed)


def network_diffusion(
    network: Network,
    start: int,
    prefactor: Prefactor,
    temperatures: Sequence[float],
    symmetry: Symmetry | None = None,
) -> dict[tuple[float, str], Diffusion]:
    """Return D from minimum ``start`` of the pooled network for each temperature (K) and kind of nuclei.

    The kinds are ``classical`` and, for Vineyard's prefactors where all frequencies are known, ``quantum``. The
    network is copied by the operations of a symmetry, unless the molecule strains its host too much for them.
    """
    try:
        folded = Folded(network, symmetry)
    except StrainedError:
        folded = Folded(network)
    found, quantum = {}, correctable(network, prefactor)
    for kelvin in temperatures:
        found[kelvin, "classical"] = folded.diffusion(start, kelvin, prefactor)
        if quantum:
            found[kelvin, "quantum"] = folded.corrected(kelvin).diffusion(start, kelvin, prefactor)
    return found


def write_diffusion(path: Path, found: dict[tuple[float, str], Diffusion], prefactor: Prefactor) -> None:
    """Write diffusion.csv in place of the old one, a row for each temperature and kind of nuclei.

    ``nuclei`` are classical or, with the corrections of Vineyard's rates, quantum; ``through`` are the axes along
    which the network leads through the cell; ``symmetry_operations`` those of the host by which it was copied (1: the
    identity); the mean is a third of the trace.
    """
    rows = []
    for (kelvin, nuclei), one in found.items():
        row: dict[str, float | str] = {
            "temperature_K": kelvin,
            "nuclei": nuclei,
            "prefactor": prefactor,
            "through": _axes(one),
            "symmetry_operations": one.operations,
        }
        for name in ENTRIES:
            row[f"d_{name}_cm2_s"] = float(one.tensor_cm2_s["xyz".index(name[0]), "xyz".index(name[1])])
        rows.append({**row, "d_mean_cm2_s": float(one.tensor_cm2_s.trace() / 3.0)})
    write_rows(path, tuple(rows[0]), rows)


def read_diffusion(path: Path) -> dict[tuple[float, str], Diffusion]:
    """Return what :func:`write_diffusion` wrote, D for each temperature (K) and kind of nuclei; {} without a file.

    Raises UserError for a file that is none.
    """
    if not path.is_file():
        return {}
    found: dict[tuple[float, str], Diffusion] = {}
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle, strict=True):
                tensor = np.empty((3, 3))
                for name in ENTRIES:
                    one, other = ("xyz".index(axis) for axis in name)
                    tensor[one, other] = tensor[other, one] = float(row[f"d_{name}_cm2_s"])
                x, y, z = (axis in row["through"] for axis in "xyz")
                key = float(row["temperature_K"]), str(row["nuclei"])
                if not (np.isfinite(tensor).all() and (tensor.diagonal() >= 0).all() and 0 < key[0] < 1e6):
                    raise ValueError("a number that can be none of D")
                found[key] = Diffusion(tensor, (x, y, z), int(row.get("symmetry_operations") or 1))
    except OSError as error:
        raise UserError(f"{path}: cannot read it ({error.strerror}); refine again to write it anew.") from None
    except (KeyError, TypeError, ValueError, OverflowError, csv.Error) as error:
        raise UserError(f"{path} is no table of D ({why(error)}); refine again to write it anew.") from None
    return found


def _axes(one: Diffusion) -> str:
    return "".join(axis for axis, through in zip("xyz", one.through, strict=True) if through)


def sentences(found: dict[tuple[float, str], Diffusion]) -> list[str]:
    """Return what people are told: of symmetry, of D along the axes at each temperature, and why it is zero."""
    if not found:
        return []
    first = next(iter(found.values()))
    said = []
    if first.operations > 1:
        said.append(
            f"D counts every hop in all its copies by {first.operations} symmetry operations of the host, which is "
            "all but the molecule (pneb.symmetry=false: as found)."
        )
    for (kelvin, nuclei), one in found.items() if any(first.through) else ():
        figures = ", ".join(
            f"{axis} {shown(float(value), '{:.3g}')}"
            for axis, value in zip("xyz", one.tensor_cm2_s.diagonal(), strict=True)
        )
        kind = ", quantum nuclei" if nuclei == "quantum" else ""
        said.append(f"D of a walker on the network, {kelvin:g} K{kind}: {figures} cm²/s.")
    if first.reason:
        said.append(f"D of a walker on the network: {first.reason}.")
    return said
