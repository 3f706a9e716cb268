"""Exported files: ASE, MDAnalysis and LAMMPS's own readers find the same positions and energies in them."""

from __future__ import annotations

import csv
from pathlib import Path
from types import ModuleType

import ase.io
import h5py
import MDAnalysis
import numpy as np
import pytest
import reported
from ase.geometry import find_mic

from mapmpi.errors import UserError
from mapmpi.export import film
from mapmpi.export.run import main
from mapmpi.store.rundir import RunDirectory


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run that was trained and refined."""
    made = reported.make_run(tmp_path / "run")
    reported.train(made)
    reported.refine(made)
    return made


def export(run: RunDirectory, file: Path, *words: str) -> Path:
    assert main([str(run.path), "--output", str(file), *words]) == 0
    return file


EPISODE, PATHWAY = ("--episode", "1:2"), ("--pathway", "pathway-001")


def expected(run: RunDirectory, words: tuple[str, str]) -> film.Film:
    return film.episode_film(run, words[1]) if words is EPISODE else film.pathway_film(run, words[1])


@pytest.mark.parametrize("words", [EPISODE, PATHWAY], ids=["episode", "pathway"])
def test_extxyz_read_by_ase(run: RunDirectory, tmp_path: Path, words: tuple[str, str]) -> None:
    frames = ase.io.read(export(run, tmp_path / "film.extxyz", *words), ":")
    right = expected(run, words)
    assert len(frames) == len(right) > 4
    np.testing.assert_allclose([frame.positions for frame in frames], right.positions, atol=1e-7)
    np.testing.assert_allclose([frame.get_potential_energy() for frame in frames], right.energies, atol=1e-7)
    assert [frame.info["step"] for frame in frames] == right.steps.tolist()
    assert (frames[0].symbols == right.atoms.symbols).all()
    np.testing.assert_allclose(frames[0].cell.array, right.atoms.cell.array)
    if words is EPISODE:
        np.testing.assert_allclose(frames[2].info["agent_position"], right.agent[2], atol=1e-7)
    else:
        assert [frame.info["kind"] for frame in frames].count("saddle") == 2
        assert [frame.info["hop"] for frame in frames] == [0] + [1] * 6 + [2] * 6


@pytest.mark.parametrize("words", [EPISODE, PATHWAY], ids=["episode", "pathway"])
def test_a_dump_read_by_ase_and_mdanalysis(run: RunDirectory, tmp_path: Path, words: tuple[str, str]) -> None:
    file, right = export(run, tmp_path / "film.lammpstrj", *words), expected(run, words)
    frames = ase.io.read(file, ":", format="lammps-dump-text")
    np.testing.assert_allclose([frame.positions for frame in frames], right.positions, atol=1e-7)
    np.testing.assert_allclose(frames[0].cell.array, right.atoms.cell.array, atol=1e-7)
    assert frames[0].pbc.tolist() == right.atoms.pbc.tolist()
    assert (frames[0].symbols == right.atoms.symbols).all()
    universe = MDAnalysis.Universe(
        str(file),
        format="LAMMPSDUMP",
        topology_format="LAMMPSDUMP",
        lammps_coordinate_convention="unwrapped",
    )
    found = [frame.positions.copy() for frame in universe.trajectory]
    np.testing.assert_allclose(found, right.positions, atol=1e-5)  # float32
    with open(f"{file}.csv", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    np.testing.assert_allclose([float(row["energy_ev"]) for row in rows], right.energies, atol=1e-9)
    assert [int(row["step"]) for row in rows] == right.steps.tolist()
    if words is EPISODE:
        np.testing.assert_allclose([float(row["agent_x_A"]) for row in rows], right.agent[:, 0], atol=1e-9)


@pytest.mark.parametrize("words", [EPISODE, PATHWAY], ids=["episode", "pathway"])
def test_h5md_read_by_mdanalysis(run: RunDirectory, tmp_path: Path, words: tuple[str, str]) -> None:
    file, right = export(run, tmp_path / "film.h5md", *words), expected(run, words)
    universe = MDAnalysis.Universe.empty(len(right.atoms), trajectory=True)
    universe.load_new(str(file))
    found = [frame.positions.copy() for frame in universe.trajectory]
    np.testing.assert_allclose(found, right.positions, atol=1e-5)  # float32
    energies = [float(frame.data["atoms/potential_energy"]) for frame in universe.trajectory]
    np.testing.assert_allclose(energies, right.energies, atol=1e-9)
    with h5py.File(file) as handle:
        assert np.array_equal(handle["particles/atoms/position/value"], right.positions)
        assert np.array_equal(handle["particles/atoms/species/value"][0], right.atoms.numbers)
        assert np.array_equal(handle["particles/atoms/position/step"], right.steps)
        agent = handle.get("observables/atoms/agent_position/value")
        assert (agent is not None) == (words is EPISODE)
        if agent is not None:
            assert np.array_equal(agent, right.agent)


@pytest.fixture(scope="module")
def ovito() -> ModuleType:
    """OVITO's reader; on machines without a display's libraries it cannot be loaded."""
    return pytest.importorskip("ovito.io", exc_type=ImportError)


@pytest.mark.parametrize("ending", [".extxyz", ".lammpstrj"])
def test_films_read_by_ovito(run: RunDirectory, tmp_path: Path, ovito: ModuleType, ending: str) -> None:
    right = expected(run, PATHWAY)
    pipeline = ovito.import_file(str(export(run, tmp_path / f"film{ending}", *PATHWAY)))
    assert pipeline.source.num_frames == len(right)
    for number in range(len(right)):
        data = pipeline.compute(number)
        np.testing.assert_allclose(data.particles.positions, right.positions[number], atol=1e-7)
        if ending == ".extxyz":
            assert data.attributes["energy"] == pytest.approx(right.energies[number], abs=1e-9)


@pytest.mark.parametrize("ending", [".cif", ".data"])
def test_a_saddle_read_by_ovito(run: RunDirectory, tmp_path: Path, ovito: ModuleType, ending: str) -> None:
    right = film.pathway_film(run, "pathway-001")
    positions = right.positions[film.chosen_frame(right, "saddle:1")]
    data = ovito.import_file(str(export(run, tmp_path / f"s{ending}", *PATHWAY, "--frame", "saddle:1"))).compute()
    apart = data.particles.positions[:, None] - positions  # the order may differ, and a whole cell
    nearest = find_mic(apart.reshape(-1, 3), right.atoms.cell, right.atoms.pbc)[1].reshape(apart.shape[:2])
    assert sorted(nearest.argmin(axis=1)) == list(range(len(positions)))
    assert nearest.min(axis=1).max() < 1e-5


def test_a_saddle_as_cif_and_as_a_data_file(run: RunDirectory, tmp_path: Path) -> None:
    right = film.pathway_film(run, "pathway-001")
    place = film.chosen_frame(right, "saddle:1")
    assert right.told[place] == {"kind": "saddle", "way_A": pytest.approx(1.5), "hop": 1}
    for name, form in (("saddle.cif", "cif"), ("saddle.data", "lammps-data")):
        file = export(run, tmp_path / name, *PATHWAY, "--frame", "saddle:1")
        atoms = ase.io.read(file, format=form)
        assert sorted(atoms.symbols) == sorted(right.atoms.symbols)
        order = np.argsort(atoms.numbers, kind="stable"), np.argsort(right.atoms.numbers, kind="stable")
        apart = (
            atoms.get_scaled_positions()[order[0]] - right.only(place).images()[0].get_scaled_positions()[order[1]]
        )
        assert np.abs(apart - np.round(apart)).max() < 1e-6
        np.testing.assert_allclose(atoms.cell.cellpar(), right.atoms.cell.cellpar(), atol=1e-3)
        assert f"energy {right.energies[place]:.10f} eV" in file.read_text()
    universe = MDAnalysis.Universe(str(tmp_path / "saddle.data"), atom_style="id type charge x y z")
    moved = find_mic(universe.atoms.positions - right.positions[place], right.atoms.cell, right.atoms.pbc)[1]
    assert moved.max() < 1e-5


def test_the_best_pathway_is_exported_where_none_is_named(run: RunDirectory, tmp_path: Path) -> None:
    file = export(run, tmp_path / "best.xyz")
    assert ase.io.read(file, 0).get_potential_energy() == pytest.approx(-100.0)
    assert len(ase.io.read(file, ":")) == len(film.pathway_film(run, "pathway-001"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--episode", "9:9"), "no such episode"),
        (("--episode", "two"), "AGENT:EPISODE"),
        (("--pathway", "../pathways/pathway-001"), "choose one of pathway-001"),
        (("--frame", "saddle:7"), "has 2 frames of this kind"),
        (("--frame", "99"), "expected 0 to 12"),
        (("--output", "film.pdb"), "ends with one of .extxyz"),
        (("--output", "one.cif"), "holds one structure"),
    ],
)
def test_mistakes_are_told(
    run: RunDirectory, tmp_path: Path, words: tuple[str, str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run.path), "--output", str(tmp_path / "film.xyz"), *words]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.startswith("mapmpi: ")
    assert len(error.splitlines()) == 1


def test_nothing_is_overwritten_unasked(
    run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = export(run, tmp_path / "film.xyz")
    before = file.read_bytes()
    assert main([str(run.path), "--output", str(file), *EPISODE]) == 2
    assert file.read_bytes() == before
    export(run, file, *EPISODE, "--force")
    assert file.read_bytes() != before


def test_a_cell_that_lammps_has_not_is_refused(run: RunDirectory, tmp_path: Path) -> None:
    from dataclasses import replace

    from mapmpi.export.formats import write_dump

    some = film.pathway_film(run, "pathway-001")
    turned = some.atoms.copy()
    turned.rotate(30, "z", rotate_cell=True)
    with pytest.raises(UserError, match="not in LAMMPS's form"):
        write_dump(tmp_path / "film.dump", replace(some, atoms=turned))
