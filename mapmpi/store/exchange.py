"""A finished film as H5MD for other programs: written at once, positions in full precision, nothing to append to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
from ase import Atoms

from mapmpi.store import durable, h5md
from mapmpi.units import KCAL_PER_MOL_IN_EV

KJ_PER_MOL = 4.184 / KCAL_PER_MOL_IN_EV
"""One eV in kJ/mol."""


def write_h5md(
    path: Path,
    atoms: Atoms,
    positions: np.ndarray,
    steps: np.ndarray,
    timestep_fs: float,
    observables: Mapping[str, tuple[np.ndarray, str]],
    forces: np.ndarray | None = None,
) -> None:
    """Write frames in place of the file ``path``, if there is one; it appears whole. Raises OSError.

    positions (f, n, 3) Å; steps (f,), strictly increasing, which the timestep turns into times. ``observables`` are
    values (f, …) of each frame with their unit, by name. ``forces`` (f, n, 3) eV/Å are written in kJ/(mol Å): readers
    refuse a unit that they do not know, and MDAnalysis knows no eV.
    """
    count = len(positions)
    with durable.replacing(path) as file:
        h5md.write_root(file)
        particles = file.create_group("particles/atoms")
        position = particles.create_group("position")
        position["step"] = np.asarray(steps, dtype="i8")
        position["time"] = np.asarray(steps, dtype="f8") * timestep_fs
        position["time"].attrs["unit"] = "fs"
        value = position.create_dataset("value", data=positions, dtype="f8", compression="gzip", shuffle=True)
        value.attrs["unit"] = "Angstrom"
        if forces is not None:
            _element(particles, "force", forces * KJ_PER_MOL, "kJ mol-1 Angstrom-1", position)
        _element(particles, "species", np.tile(atoms.numbers.astype("u1"), (count, 1)), "", position)
        box = h5md.describe_box(particles, atoms.pbc)
        edges = h5md.box_edges(atoms.cell.array)
        _element(box, "edges", np.repeat(edges[None], count, axis=0), "Angstrom", position)
        for name, (values, unit) in observables.items():
            _element(file, f"observables/atoms/{name}", values, unit, position)


def _element(group: h5py.Group, name: str, values: np.ndarray, unit: str, steps_of: h5py.Group) -> None:
    element = group.create_group(name)
    element["value"] = values
    if unit:
        element["value"].attrs["unit"] = unit
    element["step"], element["time"] = steps_of["step"], steps_of["time"]
