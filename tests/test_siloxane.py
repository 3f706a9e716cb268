"""Water beside a strained siloxane: the structure, the input that prepare writes, and that the ring can be opened."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from ase.data import chemical_symbols
from ase.neighborlist import neighbor_list
from conftest import ROOT

from mapmpi.config import unit
from mapmpi.errors import UserError
from mapmpi.md.fixed import is_fixed
from mapmpi.prepare.run import main
from mapmpi.structures import siloxane
from mapmpi.structures.inputs import read_input

INPUT = ROOT / "inputs" / "siloxane-water.yaml"


@pytest.mark.parametrize("members", [2, 3])
def test_a_ring_of_siloxane_and_what_is_bound_to_it(members: int) -> None:
    atoms = siloxane.ring(members)
    assert atoms.get_chemical_formula() == f"H{2 * members}O{3 * members}Si{members}"
    first, second = neighbor_list("ij", atoms, {("Si", "O"): 2.0, ("O", "H"): 1.2})
    kinds = [
        sorted(chemical_symbols[atoms.numbers[other]] for other in second[first == one])
        for one in range(len(atoms))
    ]
    assert kinds[: 2 * members] == [["O"] * 4, ["Si", "Si"]] * members
    assert kinds[2 * members :] == [["H", "Si"], ["O"]] * (2 * members)
    apart = atoms.get_all_distances()
    bonds = apart[first, second][atoms.numbers[first] == 14]
    assert bonds == pytest.approx(siloxane.SI_O)
    assert atoms.get_angle(0, 1, 2) == pytest.approx(siloxane.BRIDGE[members])
    assert atoms.get_angle(0, 2 * members, 2 * members + 1) == pytest.approx(siloxane.BEND)
    assert np.abs(atoms.positions[: 2 * members, 2]).max() < 1e-9  # planar


@pytest.mark.parametrize("members", [2, 3])
def test_the_water_points_to_the_ring_and_the_far_end_is_held(members: int) -> None:
    start = siloxane.attack(members)
    atoms, (oxygen, hydrogen, other) = start.atoms, (number - 1 for number in start.water)
    assert atoms[[oxygen, hydrogen, other]].get_chemical_formula() == "H2O"
    assert atoms.get_angle(hydrogen, oxygen, other) == pytest.approx(siloxane.WATER_BEND)
    assert atoms.get_angle(oxygen, hydrogen, start.bridge - 1) == pytest.approx(180.0)
    assert atoms.get_distance(hydrogen, start.bridge - 1) == pytest.approx(siloxane.HYDROGEN_BOND)
    others = atoms.get_distances(oxygen, range(oxygen), mic=True)
    assert others.min() > 2.2
    fixed = np.flatnonzero(is_fixed(atoms))
    assert atoms[fixed].get_chemical_formula() == "O2Si"
    assert atoms.get_distances(fixed[0], fixed[1:]) == pytest.approx([siloxane.SI_O] * 2)
    assert start.silicon - 1 not in fixed
    silicon = np.flatnonzero(atoms.numbers == 14)
    assert set(fixed) & set(silicon) == {silicon[atoms.get_distances(oxygen, silicon, mic=True).argmax()]}
    assert np.linalg.norm(start.way) == pytest.approx(atoms.get_distance(oxygen, 0) - siloxane.BEFORE)
    moved = atoms.positions[oxygen] + start.way
    assert np.linalg.norm(moved - atoms.positions[0]) == pytest.approx(siloxane.BEFORE)


def test_larger_rings_are_refused() -> None:
    with pytest.raises(UserError, match="a ring of 4 silicon atoms: expected 2 or 3"):
        siloxane.ring(4)


@pytest.mark.lammps
def test_prepare_writes_the_committed_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inputs").mkdir()
    first = INPUT.read_text().splitlines()[0]
    words = shlex.split(first.removeprefix("# python -m mapmpi.prepare "))
    assert main(words) == 0
    config, atoms = read_input(tmp_path / f"{words[1]}.yaml", [])
    commands = INPUT.read_text().splitlines()[:3]  # which work where the first was given
    assert (tmp_path / f"{words[1]}.yaml").read_text().splitlines()[:3] == commands
    right, known = read_input(INPUT, [])
    assert (atoms.symbols == known.symbols).all()
    np.testing.assert_allclose(atoms.positions, known.positions, atol=0.05)
    assert config.structure.fixed_atoms == right.structure.fixed_atoms
    np.testing.assert_allclose(unit(config.goal.direction), unit(right.goal.direction), atol=0.02)
    assert main(words) == 2  # nothing is overwritten unasked
