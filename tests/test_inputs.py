"""What becomes of a structure before it is simulated: molecules across periodic faces, atoms named twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from running import write_analytic_input

from mapmpi.config import Dynamics, ForceField
from mapmpi.errors import UserError
from mapmpi.md.lammps_engine import LammpsEngine
from mapmpi.structures.inputs import make_whole, read_input

CELL = np.array([[9.0, 0.0, 0.0], [2.0, 8.0, 0.0], [1.0, -1.5, 10.0]])


def test_a_molecule_across_a_periodic_face_is_brought_together() -> None:
    chain = np.array([[0.7, 1.0, 1.0]]) + np.arange(9)[:, None] * [1.2, 0.5, -0.4]  # longer than half the cell
    atoms = Atoms("C9He", [*chain, [5.0, 5.0, 5.0]], cell=CELL, pbc=True)
    atoms.wrap()
    assert np.abs(np.diff(atoms.positions[:9], axis=0)).max() > 5.0
    stranger = atoms.positions[9].copy()
    make_whole(atoms, range(1, 10))
    np.testing.assert_allclose(atoms.positions[:9] - atoms.positions[0], chain - chain[0], atol=1e-9)
    assert np.array_equal(atoms.positions[9], stranger)
    once = atoms.positions.copy()
    make_whole(atoms, range(1, 10))
    assert np.array_equal(atoms.positions, once)  # to the bit


def test_an_open_side_has_no_images() -> None:
    atoms = Atoms("O2", [[0.5, 5.0, 5.0], [9.5, 5.0, 5.0]], cell=[10.0] * 3, pbc=[False, True, True])
    make_whole(atoms, [1, 2])
    np.testing.assert_array_equal(atoms.positions[:, 0], [0.5, 9.5])


@pytest.mark.lammps
def test_lammps_has_its_center_where_it_is() -> None:
    atoms = Atoms("O2Cu", [[0.3, 5.0, 5.0], [9.5, 5.0, 5.0], [5.0, 5.0, 5.0]], cell=[10.0] * 3, pbc=True)
    make_whole(atoms, [1, 2])
    commands = ForceField(commands=["pair_style zero 5.0", "pair_coeff * *"], units="metal", skin=1.0)
    engine = LammpsEngine(atoms, commands, Dynamics(), [1, 2], 100.0)
    np.testing.assert_allclose(engine.tagged_position(), [-0.1, 5.0, 5.0], atol=1e-9)
    np.testing.assert_allclose(engine.positions(), atoms.positions, atol=1e-9)


def test_an_atom_is_named_once(tmp_path: Path) -> None:
    path = write_analytic_input(tmp_path)
    with pytest.raises(UserError, match=r"structure.tagged_atoms: atom 1 is named twice; name each once"):
        read_input(path, ["structure.tagged_atoms=[1,1]"])
