"""Hops in and on crystals: the structures, their inputs, and barriers that are known from elsewhere."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path

import ase.build
import numpy as np
import pytest
from ase import Atoms
from conftest import ROOT, mpiexec

import mapmpi
from mapmpi.config import Config, unit
from mapmpi.errors import UserError
from mapmpi.md.fixed import is_fixed
from mapmpi.prepare.run import main
from mapmpi.structures import crystals
from mapmpi.structures.files import read_structure
from mapmpi.structures.inputs import read_input

INPUTS = ROOT / "inputs"
NAMES = ("nickel-hydrogen", "copper-vacancy", "copper-slab", "copper-111")
OCTAHEDRAL_TO_TETRAHEDRAL, VACANCY, ADATOM, ADATOM_111 = 0.4679, 0.6889, 0.5101, 0.0451
"""eV, by ASE's own NEB on the same potentials (benchmarks/materials.py). Y. Mishin et al., Phys. Rev. B 63, 224106
(2001) have 0.69 eV for the vacancy."""


def start_of(name: str) -> tuple[Config, Atoms, np.ndarray]:
    """Return a committed input, its structure, and the way (3,) Å that its atom is to hop."""
    config, atoms = read_input(INPUTS / f"{name}.yaml", [])
    return config, atoms, unit(config.goal.direction) * config.goal.distance / crystals.SHARE


def test_a_vacancy_and_the_neighbour_that_hops_into_it() -> None:
    start = crystals.vacancy("Cu", 3.6, 4)
    assert len(start.atoms) == 255
    assert start.hop == pytest.approx(3.6 / np.sqrt(2))
    hopped = start.atoms.copy()
    hopped.positions[start.tagged - 1] += unit(start.direction) * start.hop
    whole = ase.build.bulk("Cu", a=3.6, cubic=True) * 4
    missing = [place for place in whole.positions if np.abs(hopped.positions - place).sum(axis=1).min() > 1e-6]
    assert len(missing) == 1  # the site that the neighbour has left
    assert missing[0] == pytest.approx(start.atoms.positions[start.tagged - 1], abs=1e-9)


@pytest.mark.parametrize(("host", "apart", "neighbours"), [("Ni", 1.76, 6), ("Fe", 1.60, 4)])
def test_an_interstitial_hops_between_places_alike(host: str, apart: float, neighbours: int) -> None:
    """Octahedral sites of fcc lie a/2 from six atoms, tetrahedral ones of bcc a·√5/4 from four."""
    constant = {"Ni": 3.52, "Fe": 1.60 * 4 / np.sqrt(5)}[host]
    start = crystals.interstitial(host, "H", constant, 3)
    for share in (0.0, 1.0):
        moved = start.atoms.copy()
        moved.positions[-1] += share * unit(start.direction) * start.hop
        lengths = moved.get_distances(-1, range(len(moved) - 1), mic=True)
        assert (lengths < apart + 1e-6).sum() == neighbours
        assert lengths.min() == pytest.approx(apart)


@pytest.mark.parametrize(("facet", "neighbours"), [("100", 4), ("111", 3)])
def test_an_adatom_on_a_slab_whose_lowest_layers_are_fixed(facet: str, neighbours: int) -> None:
    start = crystals.slab("Cu", facet, 3.6, 4, 4, 2)
    fixed = is_fixed(start.atoms)
    heights = start.atoms.positions[:, 2]
    assert fixed.sum() == 32
    assert heights[fixed].max() < heights[~fixed].min()
    for share in (0.0, 1.0):
        moved = start.atoms.copy()
        moved.positions[-1] += share * unit(start.direction) * start.hop
        lengths = np.sort(moved.get_distances(-1, range(len(moved) - 1), mic=True))
        assert lengths[:neighbours] == pytest.approx(3.6 / np.sqrt(2), abs=0.01)
        assert lengths[neighbours] > 2.8


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: crystals.vacancy("Zn", 3.0, 2), r"Zn.* hcp, expected fcc"),
        (lambda: crystals.vacancy("Cx", 3.0, 2), r"'Cx' is not a chemical element"),
        (lambda: crystals.interstitial("Si", "H", 5.43, 2), r"Si: its crystal is diamond"),
        (lambda: crystals.interstitial("Ni", "Hx", 3.5, 2), r"guest 'Hx'"),
        (lambda: crystals.slab("Fe", "111", 2.87, 3, 4, 2), r"facet 111 of Fe"),
        (lambda: crystals.slab("Cu", "100", 3.6, 3, 2, 2), r"fixed 2: expected 1 to 1"),
    ],
)
def test_what_cannot_be_built_is_one_sentence(make: object, words: str) -> None:
    with pytest.raises(UserError, match=words):
        make()  # type: ignore[operator]


@pytest.mark.lammps
@pytest.mark.parametrize("name", NAMES)
def test_the_committed_inputs_are_what_their_first_line_makes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = (INPUTS / f"{name}.yaml").read_text(encoding="utf-8").partition("\n")[0]
    words = shlex.split(first)
    assert words[:4] == ["#", "python", "-m", "mapmpi.prepare"]
    (tmp_path / "inputs").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(words[4:]) == 0
    made, kept = tmp_path / "inputs" / name, INPUTS / name
    assert made.with_suffix(".yaml").read_text() == kept.with_suffix(".yaml").read_text()
    again, atoms = (read_structure(file.with_suffix(".data")) for file in (made, kept))
    assert again.get_chemical_symbols() == atoms.get_chemical_symbols()
    assert again.positions == pytest.approx(atoms.positions, abs=1e-3)
    assert main(words[4:]) == 2  # the files are there


@pytest.mark.lammps
@pytest.mark.parametrize(
    ("name", "way", "barrier", "tolerance"),
    [
        ("nickel-hydrogen", [0.88, 0.88, 0.88], OCTAHEDRAL_TO_TETRAHEDRAL, 0.01),
        ("copper-vacancy", None, VACANCY, 0.005),
        ("copper-slab", None, ADATOM, 0.005),
        ("copper-111", [1.278, -0.738, 0.0], ADATOM_111, 0.002),
    ],
)
def test_barriers_are_those_of_an_independent_neb(
    name: str, way: list[float] | None, barrier: float, tolerance: float
) -> None:
    config, atoms, hop = start_of(name)
    final = atoms.copy()
    final.positions[config.structure.tagged_atoms[0] - 1] += hop if way is None else way
    path = mapmpi.find_barrier(atoms, final, config.forcefield, settings={"saddle": {"force": 0.01}})
    assert path.barrier == pytest.approx(barrier, abs=tolerance)
    # the fixed layers of the slab are where they were
    fixed = is_fixed(atoms)
    assert (path.transition_state.positions[fixed] == atoms.positions[fixed]).all()


@pytest.mark.mpi
@pytest.mark.lammps
def test_a_training_finds_the_tetrahedral_site_beside_the_straight_way(tmp_path: Path) -> None:
    """Straight on, between two Ni atoms, are 0.574 eV; the way through a tetrahedral site has 0.468 eV."""
    done = mpiexec(3, "-m", "mapmpi.train", INPUTS / "nickel-hydrogen.yaml", "--run-dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    done = mpiexec(2, "-m", "mapmpi.pneb", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "run" / "pathways" / "pathways.csv", newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["hops"], row["verified"]) == ("2", "2")
    (table,) = (tmp_path / "run" / "pathways").glob("agent-*-hops.csv")
    with open(table, newline="") as file:
        first = next(csv.DictReader(file))
    assert float(first["barrier_forward_ev"]) == pytest.approx(OCTAHEDRAL_TO_TETRAHEDRAL, abs=0.01)
