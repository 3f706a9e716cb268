"""A second opinion: another potential's barriers beside the first, hop by hop, in a whole job and on small cases."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import ase.io
import numpy as np
import pytest
from conftest import ROOT, Done, mpiexec
from rich.console import Console

import mapmpi
from mapmpi.calculation import Forces, solve
from mapmpi.errors import EngineError, UserError
from mapmpi.errors import told as at_command_line
from mapmpi.md.factory import make_engine
from mapmpi.pneb import drive
from mapmpi.pneb.calculator import Calculator
from mapmpi.pneb.opinion import FIELDS, Opinion, label, opinions, other_forces, refined, tell, write
from mapmpi.pneb.progress import Tally
from mapmpi.pneb.run import make_parser
from mapmpi.store.rundir import RunDirectory
from mapmpi.structures.inputs import read_input

INPUT = ROOT / "inputs" / "copper-adatom.yaml"
EAM = """forcefield:
  commands: [pair_style eam/alloy, "pair_coeff * * Cu_mishin1.eam.alloy {elements}"]
  units: metal
"""


def pneb(*words: object) -> Done:
    return mpiexec(2, "-m", "mapmpi.pneb", *words, timeout=250)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run directory of the adatom's hop, refined with EMT."""
    folder = tmp_path_factory.mktemp("opinion")
    initial = ase.io.read(INPUT.with_suffix(".extxyz"))
    final = initial.copy()
    final.positions[-1, 0] += initial.cell[0, 0] / 3
    for atoms in (initial, final):
        atoms.set_constraint()
    ase.io.write(folder / "hop.extxyz", [initial, final])
    done = pneb(folder / "run", "--input", INPUT, "--trajectory", folder / "hop.extxyz")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "run"


def rows(run: Path, other: str) -> list[dict[str, str]]:
    with open(run / "pathways" / f"second-opinion-{other}.csv", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.mpi
def test_the_same_potential_has_the_same_opinion_and_nothing_is_computed_twice(run: Path) -> None:
    done = pneb(run, "--with", "emt")
    assert done.returncode == 0, done.stderr
    assert "A second opinion on the 1 refined pathways" in done.stdout
    (row,) = rows(run, "emt")
    assert tuple(row) == FIELDS
    assert row["pathway"] == "hop"
    assert float(row["other_barrier_ev"]) == pytest.approx(float(row["barrier_ev"]), abs=1e-3)
    assert float(row["other_back_ev"]) == pytest.approx(float(row["back_ev"]), abs=1e-3)
    assert float(row["moved_A"]) < 0.01
    assert row["remark"] == ""
    again = pneb(run, "--with", "emt")
    assert " 0 force calls" in again.stdout
    assert rows(run, "emt") == [row]


@pytest.mark.mpi
@pytest.mark.lammps
def test_another_potential_stands_beside_the_first(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mishin.yaml").write_text(EAM)
    done = pneb(run, "--with", tmp_path / "mishin.yaml")
    assert done.returncode == 0, done.stderr
    assert "Cu_mishin1.eam.alloy" in done.stdout
    (row,) = rows(run, "mishin")
    assert 0.3 < float(row["other_barrier_ev"]) < 0.7
    assert abs(float(row["other_barrier_ev"]) - float(row["barrier_ev"])) > 0.005  # it is another potential
    assert 0.0 < float(row["moved_A"]) < 0.3
    refined = mapmpi.read_pathway(run)
    assert refined.barrier == pytest.approx(float(row["barrier_ev"]))  # the first is as it was


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("os:system",), "--with: forcefield.ase: 'os:system' may run any Python code"),
        (("none.yaml",), "--with none.yaml: cannot read the input file"),
        (("vasp",), "--with: forcefield.ase: 'vasp' is no calculator known here"),
        (("emt", "--top", "2"), "--with is a second opinion on all pathways that were refined"),
    ],
)
@pytest.mark.mpi
def test_mistakes_are_told_in_a_sentence(run: Path, words: tuple[str, ...], told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        drive.read(make_parser().parse_args([str(run), "--with", *words]))
    assert str(caught.value).count("\n") == 0
    assert at_command_line(caught.value).endswith("The option is --allow-commands.") == (words[0] == "os:system")


def test_names_and_files(tmp_path: Path) -> None:
    assert other_forces("emt", False).ase == "emt"
    assert other_forces("my.module:make", True).ase == "my.module:make"
    assert [label(name) for name in ("emt", "a.b:C.make", "/x/some file.yaml")] == ["emt", "C.make", "some-file"]
    (tmp_path / "config.yaml").touch()
    (tmp_path / "trajectories").mkdir()
    with pytest.raises(UserError, match="holds no refined pathway; refine first, without --with"):
        refined(RunDirectory.open(tmp_path))


@pytest.mark.mpi
def test_what_another_potential_does_not_find_is_said(run: Path) -> None:
    """In a potential without hills, and in one that fails, there is no barrier but a remark."""
    config, atoms = read_input(INPUT, [])
    pathways = refined(RunDirectory.open(run))
    home = pathways[0].basins[0].positions

    def opinion(evaluate: object) -> Opinion:
        calculator = Calculator(config, atoms, {}, None, Tally())
        (one,) = solve(opinions(pathways, calculator), evaluate)  # type: ignore[arg-type]
        return one

    def bowl(positions: np.ndarray) -> Forces:
        away = positions - home
        return Forces(2.0 * float((away**2).sum()), -4.0 * away)

    def broken(positions: np.ndarray) -> Forces:
        raise EngineError("no licence")

    flat = opinion(bowl)
    assert math.isnan(flat["other_barrier_ev"])
    assert "same basin" in flat["remark"]
    assert flat["moved_A"] > 1.0
    assert opinion(broken)["remark"] == "a minimum could not be computed"
    first = opinion(make_engine(config, atoms).evaluate)
    for name in ("barrier_ev", "back_ev"):
        assert first[f"other_{name}"] == pytest.approx(first[name], abs=1e-3)


def test_the_table_for_people(tmp_path: Path) -> None:
    found = [
        dict(zip(FIELDS, ("one", 1, 2, "H33", 0.5, 0.1, 0.45, 0.2, 0.04, ""), strict=True)),
        dict(zip(FIELDS, ("one", 2, 3, "H33", 0.6, 0.2, *[math.nan] * 3, "not converged: no pass"), strict=True)),
    ]
    console = Console(record=True, width=120)
    (tmp_path / "pathways").mkdir()
    run = RunDirectory(tmp_path)
    write(run, "emt", found)
    tell(console, found, "emt", run)
    text = console.export_text()
    assert "0.450" in text
    assert "emt" in text
    assert "not converged: no pass" in text
    assert (tmp_path / "pathways" / "second-opinion-emt.csv").read_text().splitlines()[2] == (
        "one,2,3,H33,0.6,0.2,,,,not converged: no pass"
    )
