"""Fixed atoms: what the input says of them, and that they stay where they are, to the last bit."""

from __future__ import annotations

import pickle
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.constraints import FixAtoms, FixCartesian

from mapmpi.calculation import Forces, solve
from mapmpi.check.material import read_atoms
from mapmpi.check.page import Page
from mapmpi.config import Config, Dynamics, ForceField, Pneb, QuenchSettings, SaddleSettings, load
from mapmpi.errors import UserError
from mapmpi.md.engine import Snapshot, thermal_velocities
from mapmpi.md.fixed import fix, id_ranges, is_fixed
from mapmpi.md.lammps_engine import LammpsEngine
from mapmpi.path.band import difference, interpolate, without_drift
from mapmpi.path.barrier import BarrierSearch
from mapmpi.path.curvature import lowest_modes
from mapmpi.path.matching import Matcher, StationaryPoint
from mapmpi.path.preconditioner import Metric
from mapmpi.path.quench import quench
from mapmpi.path.tst import frequencies_hz, hessian_calculation, moving_atoms, vineyard_hz
from mapmpi.pneb.choose import StoredPath, with_fixed_atoms
from mapmpi.prepare.run import main
from mapmpi.structures.inputs import read_input
from mapmpi.structures.obstacles import EPSILON, SIGMA, commands

COPPER = ForceField(
    commands=["pair_style eam/alloy", "pair_coeff * * Cu_mishin1.eam.alloy {elements}"], units="metal", skin=1.0
)


def slab() -> Atoms:
    """Return eight atoms, two each at z = 1, 3, 5 and 7 Å, of which the molecule is the last."""
    positions = [[x, x, z] for z in (1.0, 3.0, 5.0, 7.0) for x in (1.0, 5.0)]
    return Atoms("Si7O", positions, cell=[8, 8, 10], pbc=[True, True, False])


def input_of(folder: Path, atoms: Atoms, fixed: str = "", form: str = "extxyz") -> Path:
    """Write a structure and an input that drags its last atom; return the input's path."""
    name = {"extxyz": "slab.extxyz", "vasp": "POSCAR"}[form]
    ase.io.write(folder / name, atoms, format=form)
    (folder / "input.yaml").write_text(
        f"structure:\n  file: {name}\n  tagged_atoms: [{len(atoms)}]\n{fixed}goal: {{distance: 2}}\n"
    )
    return folder / "input.yaml"


@pytest.mark.parametrize(
    ("said", "ids"),
    [
        ("[3, 1, 3]", [1, 3]),
        ("[]", []),
        ("{axis: z, below: 3.5}", [1, 2, 3, 4]),
        ("{axis: x, above: 4.0, below: 0.5}", [2, 4, 6]),
    ],
)
def test_ids_and_regions(tmp_path: Path, said: str, ids: list[int]) -> None:
    atoms = slab()
    atoms.positions[7, 0] = 3.0
    config, read = read_input(input_of(tmp_path, atoms, f"  fixed_atoms: {said}\n"), [])
    assert config.structure.fixed_atoms == ids
    assert (np.flatnonzero(is_fixed(read)) + 1).tolist() == ids


@pytest.mark.parametrize("form", ["extxyz", "vasp"])
def test_a_file_that_fixes_atoms_is_heeded_unless_the_input_says_otherwise(tmp_path: Path, form: str) -> None:
    atoms = slab()
    atoms.set_constraint(FixAtoms([0, 3]))
    path = input_of(tmp_path, atoms, form=form)
    assert read_input(path, [])[0].structure.fixed_atoms == [1, 4]
    config, read = read_input(path, ["structure.fixed_atoms=[]"])
    assert config.structure.fixed_atoms == []
    assert not is_fixed(read).any()
    # what a run directory keeps is read as it was written
    again = Config.model_validate(read_input(path, [])[0].model_dump(mode="json"))
    assert again.structure.fixed_atoms == [1, 4]


def test_a_file_with_a_column_for_each_direction(tmp_path: Path) -> None:
    atoms = slab()
    atoms.set_constraint([FixCartesian(1, (True, True, True))])
    assert read_input(input_of(tmp_path, atoms), [])[0].structure.fixed_atoms == [2]
    atoms.set_constraint([FixCartesian(1, (False, False, True))])
    with pytest.raises(UserError, match=r"fixed_atoms: slab.extxyz holds some atoms in some directions only"):
        read_input(input_of(tmp_path, atoms), [])
    config, _ = read_input(input_of(tmp_path, atoms), ["structure.fixed_atoms=[2]"])
    assert config.structure.fixed_atoms == [2]


@pytest.mark.parametrize(
    ("said", "parts"),
    [
        ("[9]", ["structure.fixed_atoms", "no atom 9", "which has 8", "1 to 8"]),
        ("[1, 8]", ["structure.fixed_atoms", "atom 8 is one of the molecule", "leave it out"]),
        ("{axis: z, above: 6}", ["structure.fixed_atoms", "atom 8 is one of the molecule"]),
        ("{axis: z, below: -1}", ["structure.fixed_atoms", "no atom lies in this region"]),
        ("[0]", ["structure.fixed_atoms", "greater than or equal to 1", "0"]),
        ("{axis: z}", ["structure.fixed_atoms", "needs below or above"]),
        ("{axis: z, below: 5, above: 4}", ["structure.fixed_atoms", "above must not be smaller than below"]),
        ("{axis: w, below: 5}", ["structure.fixed_atoms", "axis", "'x', 'y' or 'z'", "w"]),
        ("{axis: z, under: 5}", ["structure.fixed_atoms", "under", "unknown key"]),
        ("[true]", ["structure.fixed_atoms", "no true or false"]),
        ("bottom", ["structure.fixed_atoms", "list", "bottom"]),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, said: str, parts: list[str]) -> None:
    path = input_of(tmp_path, slab(), f"  fixed_atoms: {said}\n")
    with pytest.raises(UserError) as refused:
        read_input(path, [])
    assert all(part in str(refused.value) for part in [str(path), *parts]), refused.value
    assert len(str(refused.value).splitlines()) == 1


def test_a_molecule_that_the_file_fixes(tmp_path: Path) -> None:
    atoms = slab()
    atoms.set_constraint(FixAtoms([0, 7]))
    with pytest.raises(UserError, match=r"atom 8 is one of the molecule .* by giving the others' ids"):
        read_input(input_of(tmp_path, atoms), [])


def test_the_check_tells_how_many_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = input_of(tmp_path, slab(), "  fixed_atoms: {axis: z, below: 3.5}\n")
    assert read_atoms(Page(), path, load(path)) is not None
    assert "4 of 8 never move: Si 1 Si 2 Si 3 Si 4" in capsys.readouterr().out
    wrong = load(path, ["structure.fixed_atoms=[9]"])
    assert read_atoms(Page(), path, wrong) is None
    assert "no atom 9" in " ".join(capsys.readouterr().out.split())


def test_a_setting_replaces_a_region(tmp_path: Path) -> None:
    path = input_of(tmp_path, slab(), "  fixed_atoms: {axis: z, below: 3.5}\n")
    assert load(path, ["structure.fixed_atoms=[4]"]).structure.fixed_atoms == [4]
    settings = ["structure.fixed_atoms={axis: z, below: 1.5}"]
    assert read_input(path, settings)[0].structure.fixed_atoms == [1, 2]


def test_ids_as_lammps_writes_them() -> None:
    assert id_ranges(np.array([1, 2, 3, 5, 7, 8])) == "1:3 5 7:8"
    assert id_ranges(np.array([4])) == "4"


def test_velocities_are_drawn_for_mobile_atoms_alone() -> None:
    masses, mobile = np.array([16.0, 28.0, 28.0]), np.array([True, False, True])
    held, free = (thermal_velocities(masses, 300.0, 5, some) for some in (mobile, np.ones(3, dtype=bool)))
    assert (held[1] == 0).all()
    # the same numbers without the net momentum taken out
    shift = held[0] - free[0]
    assert held[2] - free[2] == pytest.approx(shift)
    assert np.linalg.norm(shift) > 0


def copper(layers: int = 2) -> Atoms:
    """Return a 4³ copper crystal with a vacancy in the corner, so many planes from half its height up fixed."""
    atoms = bulk("Cu", "fcc", 3.615, cubic=True) * 4
    del atoms[0]
    height = atoms.positions[:, 2] - 7.23
    atoms.set_constraint(FixAtoms(mask=(height > -0.9) & (height < 1.8075 * layers - 0.9)))
    return atoms


@pytest.mark.lammps
def test_half_of_a_crystal_frozen_keeps_the_temperature_of_the_rest() -> None:
    atoms = bulk("Cu", "fcc", 3.615, cubic=True) * 3
    fix(atoms, range(1, 55))
    dynamics = Dynamics(temperature=300.0, timestep=2.0, damping=50.0)
    engine = LammpsEngine(atoms, COPPER, dynamics, [100], 100.0)
    engine.restore(engine.snapshot(), seed=3)
    velocities = engine.snapshot().velocities
    assert (velocities[:54] == 0).all()
    assert (velocities[54:] != 0).all()
    engine.run(400)
    kelvin = np.mean([engine.run(50).temperature for _ in range(80)])
    # 3·54 degrees of freedom spread by 300·√(2/162) = 33 K; a bath that counted all atoms would show half, or twice
    assert kelvin == pytest.approx(300.0, abs=20.0)
    assert (engine.positions()[:54] == atoms.positions[:54]).all()
    assert np.linalg.norm(engine.positions()[54:] - atoms.positions[54:], axis=1).min() > 1e-4
    assert (engine.snapshot().velocities[:54] == 0).all()
    engine.close()


@pytest.mark.lammps
def test_the_temperature_of_one_mobile_atom_worked_by_hand() -> None:
    atoms = bulk("Cu", "fcc", 3.615, cubic=True) * 3
    fix(atoms, range(2, 109))
    engine = LammpsEngine(atoms, COPPER, Dynamics(timestep=1e-6, damping=1e6), [1])
    before = engine.snapshot()
    own = np.zeros((108, 3))
    own[0] = [0.006 * 1000, 0.008 * 1000, 0.0]  # Å/ps: together 0.01 Å/fs
    engine.restore(Snapshot(before.positions, before.images, own, before.charges, 1, 0, before.time_unit_fs))
    # m v²/(3 k_B) = 63.546·103.6427 eV fs²/Å² · 1e-4 Å²/fs² / (3·8.617333e-5 eV/K) = 2547.6 K
    assert engine.run(10).temperature == pytest.approx(2547.6, abs=0.5)
    engine.close()


@pytest.mark.lammps
def test_energy_and_other_forces_are_those_of_the_potential() -> None:
    held, free = copper(), copper()
    free.set_constraint()
    shaken = held.positions + np.random.default_rng(2).normal(scale=0.05, size=held.positions.shape)
    answers = []
    for atoms in (held, free):
        engine = LammpsEngine(atoms, COPPER, Dynamics(), [1], 100.0)
        answers.append(engine.evaluate(shaken))
        engine.close()
    fixed = is_fixed(held)
    assert fixed.sum() == 64
    assert answers[0][0] == answers[1][0]
    assert (answers[0][1][fixed] == 0).all()
    assert (answers[0][1][~fixed] == answers[1][1][~fixed]).all()
    assert np.abs(answers[1][1][fixed]).max() > 0.1


@pytest.mark.lammps
def test_quenches_and_lammps_own_minimizer_leave_them_in_place() -> None:
    atoms = copper()
    fixed = is_fixed(atoms)
    shaken = atoms.positions + np.random.default_rng(2).normal(scale=0.1, size=atoms.positions.shape)
    shaken %= atoms.cell.lengths()  # the engine brings them there, which rounds
    engine = LammpsEngine(atoms, COPPER, Dynamics(), [1], 100.0)
    metric = Metric(atoms, shaken)
    found = solve(quench(shaken, metric, QuenchSettings(calls=300)), engine.evaluate)
    assert found.residual <= 0.01
    assert (found.positions[fixed] == shaken[fixed]).all()
    assert all((place[fixed] == shaken[fixed]).all() for place in found.trail)
    assert np.linalg.norm(found.positions - shaken, axis=1)[~fixed].min() > 1e-3
    assert engine.quench(0.01).residual <= 0.01
    assert (engine.positions()[fixed] == shaken[fixed]).all()
    engine.evaluate(shaken)
    engine._command("unfix tether")
    engine._command("minimize 0 0.01 200 400")
    after = engine.positions()
    assert (after[fixed] == shaken[fixed]).all()
    assert np.linalg.norm(after - shaken, axis=1)[~fixed].min() > 1e-3
    engine.close()


@pytest.mark.lammps
def test_the_barrier_of_a_vacancy_beside_fixed_planes() -> None:
    """0.689 eV without them (test_neb); the planes are three away from the hop and at their places in the crystal."""
    solid = copper(layers=1)
    fixed = is_fixed(solid)
    assert fixed.sum() == 32
    way = bulk("Cu", "fcc", 3.615, cubic=True).get_distance(0, 1, mic=True, vector=True)
    hopped = solid.positions.copy()
    hopped[0] -= way
    engine = LammpsEngine(solid, COPPER, Dynamics(), [1])
    metric = Metric(solid, solid.positions)
    ends = [
        solve(quench(place, metric, QuenchSettings(force=0.005)), engine.evaluate)
        for place in (solid.positions, hopped)
    ]
    band = interpolate(ends[0].positions, ends[1].positions, 5, solid)
    points = [StationaryPoint(band[0], ends[0].energy), StationaryPoint(band[-1], ends[1].energy)]
    matcher = Matcher(solid.numbers, solid.cell.array, solid.pbc, 0.3, 0.02, [0], held=True)
    search = BarrierSearch(*points, band, solid, matcher, Pneb(saddle=SaddleSettings(force=0.02))).run()
    asked: list[np.ndarray] = []

    def evaluate(positions: np.ndarray) -> Forces:
        asked.append(positions)
        return engine.evaluate(positions)

    found = solve(search, evaluate)
    engine.close()
    assert found.status == "converged", found.reason
    assert found.saddle is not None
    assert found.verification is not None
    assert found.verification.faults == ()
    assert found.saddle.energy - ends[0].energy == pytest.approx(0.689, abs=0.02)
    # neither bands nor searches, probes of curvatures, or ways down have moved one by a single bit
    assert len(asked) > 50
    assert all((place[fixed] == solid.positions[fixed]).all() for place in [*asked, *band, *found.band])
    assert (found.saddle.mode[fixed] == 0).all()


@pytest.mark.lammps
def test_prepare_inserts_above_a_slab_and_keeps_its_fixed_atoms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bottom = fcc111("Cu", (3, 3, 3), a=3.615, vacuum=6.0)
    bottom.pbc, bottom.info = True, {}
    bottom.positions[:9, 2] -= 0.3  # these would come back
    bottom.set_constraint(FixAtoms(range(9)))
    ase.io.write(tmp_path / "slab.extxyz", bottom)
    (tmp_path / "forces.yaml").write_text(
        "forcefield:\n  units: metal\n"
        '  commands: [pair_style eam/alloy, "pair_coeff * * Cu_mishin1.eam.alloy {elements}"]\n'
    )
    words = ["insert", tmp_path / "slab.extxyz", "--molecule", "Cu", "--axis", "z", "--start", "0.6", "0.75"]
    words += ["--forcefield", tmp_path / "forces.yaml", "--output", tmp_path / "start.data"]
    assert main([str(word) for word in words]) == 0
    assert "fixed_atoms: [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" in capsys.readouterr().out
    relaxed = ase.io.read(tmp_path / "start.extxyz")
    assert (np.flatnonzero(is_fixed(relaxed)) == np.arange(9)).all()
    assert relaxed.positions[:9, 2] == pytest.approx(bottom.positions[:9, 2], abs=1e-7)
    assert np.abs(relaxed.positions[9:27] - bottom.positions[9:27]).max() > 0.01


def test_a_metric_couples_nothing_to_fixed_atoms_also_on_another_rank() -> None:
    atoms = copper()
    fixed = is_fixed(atoms)
    metric = Metric(atoms, atoms.positions)
    forces = np.random.default_rng(1).normal(size=atoms.positions.shape)
    forces[fixed] = 0.0
    for one in (metric, pickle.loads(pickle.dumps(metric))):
        assert (one.solve(forces)[fixed] == 0).all()
        assert (one.times(forces)[fixed] == 0).all()
        assert one.times(one.solve(forces)) == pytest.approx(forces, abs=1e-9)
    whole = copper()
    whole.set_constraint()
    assert np.abs(Metric(whole, atoms.positions).solve(forces)[fixed]).max() > 1e-3


def test_modes_are_those_of_the_mobile_atoms_and_no_translation_is_left_out() -> None:
    """Atom 1 on springs of 2, 3 and -1 eV/Å² in a frozen host that would feel forces, too."""
    atoms = Atoms("OSi2", [[2, 2, 2], [5, 2, 2], [2, 5, 2]], cell=[9, 9, 9], pbc=True, constraint=FixAtoms([1, 2]))
    springs = np.array([2.0, 3.0, -1.0])

    def evaluate(positions: np.ndarray) -> Forces:
        away = positions - atoms.positions
        assert (away[1:] == 0).all()
        forces = np.zeros((3, 3))
        forces[0] = -springs * away[0]
        return Forces(float(0.5 * (springs * away[0] ** 2).sum()), forces)

    guess = np.random.default_rng(4).normal(size=(3, 3))
    metric = Metric(atoms, atoms.positions)
    found = solve(lowest_modes(atoms.positions, None, guess, metric, 2, 1e-6, 50), evaluate)
    curvatures = found.curvatures / (found.vectors**2).sum(axis=(1, 2))
    assert found.accurate
    assert len(curvatures) == 3  # three directions are all there are
    assert curvatures[0] == pytest.approx(-1.0, abs=1e-6)
    assert (found.vectors[:, 1:] == 0).all()


def test_translations_are_no_freedom_beside_fixed_atoms() -> None:
    atoms = Atoms("OSi2", np.arange(9.0).reshape(3, 3), cell=[9, 9, 9], pbc=True)
    moved = atoms.positions + [[0.9, 0, 0], [0, 0, 0], [0, 0, 0]]
    free = without_drift([atoms.positions, moved], atoms)[1] - atoms.positions
    assert free[:, 0] == pytest.approx([0.6, -0.3, -0.3])
    fix(atoms, [2, 3])
    assert (without_drift([atoms.positions, moved], atoms)[1] == moved).all()
    assert (difference(atoms.positions, moved, atoms.pbc, held=True) == moved - atoms.positions).all()
    # the same structure 0.5 Å farther on is another one: forces oppose that
    numbers, cell = atoms.numbers, atoms.cell.array
    here, there = StationaryPoint(atoms.positions, 0.0), StationaryPoint(atoms.positions + 0.5, 0.0)
    assert Matcher(numbers, cell, atoms.pbc, 0.3, 0.02).match(here, there) is not None
    assert Matcher(numbers, cell, atoms.pbc, 0.3, 0.02, held=True).match(here, there) is None
    labels = Matcher(numbers, cell, atoms.pbc, 0.3, 0.02, held=True).match(here, here)
    assert labels is not None
    assert (labels.apply(atoms.positions) == atoms.positions).all()
    shifted = Matcher(numbers, cell, atoms.pbc, 0.3, 0.02, [0], held=True).nearest_labels(atoms.positions, moved)
    assert (shifted.apply(moved) == moved).all()


def test_interpolation_leaves_them_in_place() -> None:
    atoms = copper()
    fixed = is_fixed(atoms)
    hopped = atoms.positions.copy()
    hopped[0] -= bulk("Cu", "fcc", 3.615, cubic=True).get_distance(0, 1, mic=True, vector=True)
    band = interpolate(atoms.positions, hopped, 5, atoms)
    assert (band[:, fixed] == atoms.positions[fixed]).all()
    assert np.abs(band[2, ~fixed] - 0.5 * (band[0] + band[-1])[~fixed]).max() > 0.01


def test_a_path_gets_the_exact_places_of_fixed_atoms() -> None:
    atoms = slab()
    fix(atoms, [1, 3])
    frames = np.repeat(atoms.positions[None], 3, axis=0)
    frames[:, 7, 0] += [0.0, 0.5, 1.0]
    rounded = frames + 1e-4
    rounded[:, 0] += [8.0, 0.0, 0.0]  # in another periodic image
    path = with_fixed_atoms(StoredPath("a", "a.xyz", rounded, None), atoms)
    assert (path.positions[:, [0, 2]] == atoms.positions[[0, 2]]).all()
    assert (path.positions[:, 7] == rounded[:, 7]).all()
    rounded[1, 2, 1] += 0.3
    with pytest.raises(UserError, match=r"a.xyz: atom 3 is fixed .* stands 0.30 Å from its place in frame 2"):
        with_fixed_atoms(StoredPath("a", "a.xyz", rounded, None), atoms)


def pair_stiffness(arms: np.ndarray) -> np.ndarray:
    """Return the curvatures Σ u″ r̂r̂ᵀ + (u′/r)(1 - r̂r̂ᵀ), in eV/Å², of Lennard-Jones pairs along ``arms`` (k, 3) Å."""
    total = np.zeros((3, 3))
    for arm in arms:
        r = float(np.linalg.norm(arm))
        sixth = (SIGMA / r) ** 6
        first = -24 * EPSILON / r * (2 * sixth**2 - sixth)
        second = 24 * EPSILON / r**2 * (26 * sixth**2 - 7 * sixth)
        along = np.outer(arm, arm) / r**2
        total += second * along + first / r * (np.eye(3) - along)
    return total


@pytest.mark.lammps
def test_vineyard_in_a_frozen_lattice_is_that_of_the_tracer_alone() -> None:
    """A tracer hops from the middle of a cube of frozen atoms through a face into the next."""
    side, count = 3.4, 4
    corners = side * np.stack(np.meshgrid(*[np.arange(count)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    middle, face, beyond = (np.array([x, 1.5, 1.5]) * side for x in (0.5, 1.0, 1.5))
    atoms = Atoms(["Si"] * 64 + ["O"], np.vstack([corners, middle]), cell=[side * count] * 3, pbc=True)
    fix(atoms, range(1, 65))
    engine = LammpsEngine(atoms, ForceField(commands=commands(), units="metal"), Dynamics(), [65])

    def at(place: np.ndarray) -> np.ndarray:
        return np.vstack([corners, place])

    movable = moving_atoms(at(middle), at(face), at(beyond), 0.0, is_fixed(atoms))
    assert movable.tolist() == [64]
    hertz, shifts = [], side * np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3), axis=-1).reshape(-1, 3)
    for place in (middle, face):
        hessian = solve(hessian_calculation(at(place), movable, 1e-3), engine.evaluate)
        arms = shifts - place % side
        expected = pair_stiffness(arms[np.linalg.norm(arms, axis=1) < 6.0])
        assert hessian.shape == (3, 3)
        assert hessian == pytest.approx(expected, abs=2e-3)
        hertz.append(frequencies_hz(hessian, np.array([15.999])))
        # √(λ/m)/2π: 1 eV/Å² on 1 amu is 1.56333e13 Hz
        roots = np.sign(np.linalg.eigvalsh(expected)) * np.sqrt(abs(np.linalg.eigvalsh(expected)) / 15.999)
        assert hertz[-1] == pytest.approx(1.56333e13 * roots, rel=2e-3)
    engine.close()
    assert (hertz[1] < 0).sum() == 1
    assert vineyard_hz(*hertz) == pytest.approx(hertz[0].prod() / hertz[1][1:].prod())
