"""Writers of a film in the formats of other programs. Each file appears whole; energies are in eV, lengths in Å."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism

from mapmpi.errors import UserError
from mapmpi.export.film import Film
from mapmpi.store.exchange import write_h5md
from mapmpi.store.files import replace_file, write_rows
from mapmpi.structures.files import write_lammps_data


def write_extxyz(path: Path, film: Film) -> None:
    """Write extended XYZ: energy, step, agent position, kind and values of each frame are in its comment line.

    Forces, if there are any, are columns.
    """
    text = io.StringIO()
    ase.io.write(text, film.images(), format="extxyz", parallel=False)  # only this process writes
    replace_file(path, lambda handle: handle.write(text.getvalue().encode()))


def write_dump(path: Path, film: Film) -> None:
    """Write a LAMMPS dump: unwrapped coordinates, and forces in eV/Å if there are any.

    Beside it comes PATH.csv with the energies, which a dump has not.
    """
    lengths = _lammps_box(film.atoms, path)
    symbols = film.atoms.get_chemical_symbols()
    elements = sorted(set(symbols))
    kinds = [elements.index(symbol) + 1 for symbol in symbols]
    sides = " ".join("pp" if axis else "ff" for axis in film.atoms.pbc)
    lines = []
    columns = film.positions if film.forces is None else np.concatenate([film.positions, film.forces], axis=2)
    for step, rows in zip(film.steps, columns, strict=True):
        lines += [
            "ITEM: TIMESTEP",
            f"{step}",
            "ITEM: NUMBER OF ATOMS",
            f"{len(symbols)}",
            *_bounds(lengths, sides),
        ]
        lines.append("ITEM: ATOMS id type element xu yu zu" + " fx fy fz" * (film.forces is not None))
        lines += [
            f"{number} {kind} {symbol} " + " ".join(f"{value:.10g}" for value in row)
            for number, (kind, symbol, row) in enumerate(zip(kinds, symbols, rows, strict=True), 1)
        ]
    text = "\n".join(lines) + "\n"
    replace_file(path, lambda handle: handle.write(text.encode()))
    write_energies(path.with_name(f"{path.name}.csv"), film)


def _bounds(lengths: np.ndarray, sides: str) -> list[str]:
    """Return the box of a dump from xx, yy, zz, xy, xz, yz in Å."""
    xx, yy, zz, xy, xz, yz = lengths
    if not np.any(np.abs(lengths[3:]) > 1e-10):
        return [f"ITEM: BOX BOUNDS {sides}", *(f"0.0 {high:.10g}" for high in (xx, yy, zz))]
    low, high = min(0.0, xy, xz, xy + xz), max(0.0, xy, xz, xy + xz)
    return [
        f"ITEM: BOX BOUNDS xy xz yz {sides}",
        f"{low:.10g} {xx + high:.10g} {xy:.10g}",
        f"{min(0.0, yz):.10g} {yy + max(0.0, yz):.10g} {xz:.10g}",
        f"0.0 {zz:.10g} {yz:.10g}",
    ]


def _lammps_box(atoms: Atoms, path: Path) -> np.ndarray:
    """Return xx, yy, zz, xy, xz, yz of a cell in LAMMPS's form. Raises UserError for any other."""
    prism = Prism(atoms.cell.array)
    if not np.allclose(atoms.cell.array, prism.cell):
        raise UserError(f"{path}: the cell of this run is not in LAMMPS's form; export to .extxyz or .h5md.")
    return np.array(prism.get_lammps_prism())


def write_energies(path: Path, film: Film) -> None:
    """Write the energy of each frame, its values and all that is told of it as a table."""
    rows = []
    for frame, told in enumerate(film.told):
        row = {"frame": frame, "step": film.steps[frame], "energy_ev": f"{film.energies[frame]:.10f}"}
        row |= {name: every[frame] for name, (every, _) in film.values.items()}
        if film.agent is not None:
            row |= zip(("agent_x_A", "agent_y_A", "agent_z_A"), film.agent[frame], strict=True)
        rows.append(row | told)
    write_rows(path, list(dict.fromkeys(name for row in rows for name in row)), rows)


def write_data(path: Path, film: Film) -> None:
    """Write one structure as a LAMMPS data file, atom style charge; the energy is in its first line."""
    _lammps_box(film.atoms, path)
    atoms = film.images()[0]
    write_lammps_data(
        path, atoms, f"{film.name} step {film.steps[0]}, energy {film.energies[0]:.10f} eV, by mapmpi"
    )


def write_cif(path: Path, film: Film) -> None:
    """Write one structure as CIF, its atoms inside the cell; the energy is a comment at its head."""
    image = io.BytesIO()
    atoms = film.images()[0]
    atoms.calc = None
    ase.io.write(image, atoms, format="cif", parallel=False)
    head = f"# {film.name} step {film.steps[0]}, energy {film.energies[0]:.10f} eV, by mapmpi\n"
    replace_file(path, lambda handle: handle.write(head.encode() + image.getvalue()))


def write_film_h5md(path: Path, film: Film, timestep_fs: float) -> None:
    """Write H5MD; the agent's position and the values are observables.

    A pathway has no times, but readers of H5MD want some: its frames are one fs apart.
    """
    observables = {"potential_energy": (film.energies, "eV"), **film.values}
    if film.agent is not None:
        observables["agent_position"] = (film.agent, "Angstrom")
    timestep_fs = 1.0 if film.agent is None else timestep_fs
    write_h5md(path, film.atoms, film.positions, film.steps, timestep_fs, observables, film.forces)


FILMS: dict[str, Callable[[Path, Film], None]] = {
    ".extxyz": write_extxyz,
    ".xyz": write_extxyz,
    ".lammpstrj": write_dump,
    ".dump": write_dump,
}
"""Writers of films by the ending of the file; H5MD needs a timestep besides."""

H5MD = (".h5md", ".h5")

SINGLE: dict[str, Callable[[Path, Film], None]] = {".data": write_data, ".cif": write_cif}
"""Writers of single structures."""
