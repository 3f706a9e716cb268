"""Structures from files: what cannot be a structure is refused in one sentence."""

from __future__ import annotations

import pickle
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms

from mapmpi.errors import UserError
from mapmpi.plausible import doubt
from mapmpi.structures.files import read_frames, read_structure, write_lammps_data
from mapmpi.structures.insert import largest_void, read_molecule


def silica() -> Atoms:
    return Atoms("SiO2", np.arange(9.0).reshape(3, 3), cell=[9.0, 10.0, 11.0], pbc=True)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "start.data"
    write_lammps_data(path, silica(), "glass")
    return path


@pytest.mark.parametrize("suffix", ["extxyz", "cif", "vasp", "pdb", "xsf", "gen"])
def test_common_formats_are_read(tmp_path: Path, suffix: str) -> None:
    ase.io.write(tmp_path / f"start.{suffix}", silica())
    atoms = read_structure(tmp_path / f"start.{suffix}")
    assert sorted(atoms.get_chemical_symbols()) == ["O", "O", "Si"]
    assert atoms.get_volume() == pytest.approx(990.0, rel=1e-3)


@pytest.mark.parametrize("suffix", ["traj", "json", "db"])
def test_formats_that_are_more_than_text_are_refused(tmp_path: Path, suffix: str) -> None:
    ase.io.write(tmp_path / f"start.{suffix}", silica())
    with pytest.raises(UserError, match="mapmpi reads no files of the format"):
        read_structure(tmp_path / f"start.{suffix}")


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return open, (str(self.path), "w")  # type: ignore[return-value]


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    for name in ("start.traj", "start.pckl", "start.xyz"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
        with pytest.raises(UserError):
            read_structure(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("3 atoms", "1000000000000 atoms", "cannot read .*memory"),
        ("3 atoms", "4 atoms", "cannot read|ids"),
        ("3 atoms", "-3 atoms", "cannot read"),
        ("3 atoms", "2 atoms", "more than the 2 atoms"),
        ("\n3 1 ", "\n2 1 ", "the ids of the atoms"),
        ("\n3 1 ", "\n7 1 ", "the ids of the atoms"),
        ("\n3 1 ", "\n3 0 ", "cannot read|structure.elements"),
        ("\n3 1 ", "\n3 -1 ", "cannot read|structure.elements"),
        ("\n3 1 ", "\n3 3 ", "cannot read|structure.elements"),
        ("8.00000000", "nan", "atom 3 stands at"),
        ("8.00000000", "1e12", "atom 3 stands at"),
        ("0.0 9.0000000000 xlo", "0.0 0.0 xlo", "no three-dimensional cell"),
        ("0.0 9.0000000000 xlo", "0.0 nan xlo", "cell|stands"),
        ("0.0 9.0000000000 xlo", "0.0 0.1 xlo", "thinner than"),
        ("0.0 9.0000000000 xlo", "0.0 1e300 xlo", "cell|stands"),
    ],
)
@pytest.mark.parametrize("elements", [None, ["O", "Si"]])
def test_data_files_that_cannot_be_true(
    data: Path, old: str, new: str, reason: str, elements: list[str] | None
) -> None:
    text = data.read_text()
    assert old in text
    data.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=reason) as refusal:
        read_structure(data, elements)
    assert str(data) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_never_ends_for_ase_is_given_up(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "start.extxyz", silica())
    text = (tmp_path / "start.extxyz").read_text()
    (tmp_path / "start.extxyz").write_text(text.replace("3", "1" + "0" * 30, 1))
    began = time.process_time()
    with pytest.raises(UserError, match=r"takes more than|memory"):
        read_structure(tmp_path / "start.extxyz")
    assert time.process_time() - began < 5.0


def test_a_large_structure_is_read(tmp_path: Path) -> None:
    many = silica().repeat((20, 20, 20))
    ase.io.write(tmp_path / "start.extxyz", many)
    assert len(read_structure(tmp_path / "start.extxyz")) == 24_000


def test_what_is_no_structure() -> None:
    assert doubt(silica()) is None
    assert doubt(Atoms(cell=[9.0] * 3)) == "it has no atoms"
    cases = {
        "of no element": Atoms(numbers=[14, 0], positions=np.zeros((2, 3)), cell=[9.0] * 3),
        "(number 300)": Atoms(numbers=[300], positions=np.zeros((1, 3)), cell=[9.0] * 3),
        "atom 1 stands at": Atoms("O", [[0.0, np.inf, 0.0]], cell=[9.0] * 3),
        "mass of -1": Atoms("O", masses=[-1.0], cell=[9.0] * 3),
        "has no volume": Atoms("O", cell=[[9.0, 0, 0], [0, 9.0, 0], [9.0, 9.0, 0]]),
        "thinner than 0.5": Atoms("O", cell=[9.0, 9.0, 0.4]),
        "not one of less than": Atoms("O", cell=[9.0, 9.0, 1e6]),
    }
    for reason, atoms in cases.items():
        assert reason in str(doubt(atoms))


def test_frames_and_molecules(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "walk.extxyz", [silica(), silica()])
    assert len(read_frames(tmp_path / "walk.extxyz")) == 2
    with pytest.raises(ValueError, match="no such file"):
        read_frames(tmp_path / "none.xyz")
    (tmp_path / "water.xyz").write_text("3\n\nO 0 0 0\nH 0 0 nan\nH 0 1 0\n")
    with pytest.raises(UserError, match="atom 2 stands at"):
        read_molecule(str(tmp_path / "water.xyz"))


def test_a_cell_with_too_many_places_is_told() -> None:
    with pytest.raises(UserError, match="places to try"):
        largest_void(Atoms("O", cell=[5000.0] * 3, pbc=True))
