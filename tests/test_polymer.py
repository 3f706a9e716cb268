"""Amorphous polyethylene: its chains, their places, and what compression leaves whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mapmpi.config import ForceField, load_forcefield
from mapmpi.errors import UserError
from mapmpi.md.forcefield import reaxff_elements, reaxff_file
from mapmpi.structures import polymer
from mapmpi.structures.analysis import density


def test_a_chain_is_a_paraffin() -> None:
    one = polymer.chain(5)
    assert one.get_chemical_formula() == "C5H12"
    assert one.get_distance(0, 3) == pytest.approx(1.53)  # the carbons are 0, 3, 6 …
    assert one.get_angle(0, 3, 6) == pytest.approx(112.0)
    one.set_cell([30] * 3)
    assert polymer.bond_count(one) == (4, 12)
    apart = one.get_all_distances()[np.triu_indices(len(one), 1)]
    assert apart.min() == pytest.approx(1.09)
    assert np.sort(apart)[16] > 1.7  # nothing else is nearer than two hydrogens of a carbon


def test_chains_at_random_places_do_not_touch() -> None:
    atoms = polymer.dilute(4, 6, seed=2)
    assert density(atoms) == pytest.approx(polymer.DILUTE, rel=1e-3)
    assert polymer.bond_count(atoms) == (20, 56)
    numbers = atoms.get_array("chain")
    lengths = atoms.get_all_distances(mic=True)[numbers[:, None] != numbers[None]]
    assert lengths.min() > polymer.APART
    with pytest.raises(UserError, match="a straight one does not fit"):
        polymer.dilute(1, 40, seed=1)


@pytest.mark.lammps
def test_compression_keeps_the_chains_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polymer, "STEPS", 20)
    monkeypatch.setattr(polymer, "REST_STEPS", 20)
    forces = ForceField(reaxff_file=Path("ffield.reax.cho"))
    atoms = polymer.dilute(4, 4, seed=1)
    stages: list[float] = []
    dense = polymer.compress(atoms, 0.3, forces, 1, None, lambda _, done: stages.append(done))
    assert density(dense) == pytest.approx(0.3, rel=1e-3)
    assert polymer.bond_count(dense) == polymer.bond_count(atoms)
    assert stages[-1] == 1.0


def test_a_reaxff_file_of_the_installed_lammps_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "forces.yaml").write_text("forcefield: {reaxff_file: ffield.reax.cho}\n")
    assert reaxff_elements(reaxff_file(load_forcefield(tmp_path / "forces.yaml"))) == ["C", "H", "O"]
    (tmp_path / "ffield.reax.cho").write_text("mine\n")  # a file beside the input goes before
    assert reaxff_file(load_forcefield(tmp_path / "forces.yaml")) == (tmp_path / "ffield.reax.cho").resolve()
    (tmp_path / "forces.yaml").write_text("forcefield: {reaxff_file: ffield.reax.none}\n")
    with pytest.raises(UserError, match="not among the parameter files"):
        reaxff_file(load_forcefield(tmp_path / "forces.yaml"))
