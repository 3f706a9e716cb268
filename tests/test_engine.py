"""The engines: forces, tether, periodic boundaries, save and restore; LAMMPS and analytic alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from analytic import AnalyticEngine
from ase import Atoms
from ase.build import bulk
from conftest import ROOT, Springs, mpiexec, wall_with_a_gap

from mapmpi.config import Dynamics, ForceField
from mapmpi.errors import FAILURES, EngineError, UserError
from mapmpi.md import library
from mapmpi.md.ase_engine import AseEngine
from mapmpi.md.engine import Engine, largest_force, thermal_velocities
from mapmpi.md.forcefield import installed_file, reaxff_elements
from mapmpi.md.lammps_engine import LammpsEngine, _kind
from mapmpi.md.library import accelerated
from mapmpi.units import BOLTZMANN_EV_PER_K, KCAL_PER_MOL_IN_EV

COPPER = ForceField(
    commands=["pair_style eam/alloy", "pair_coeff * * Cu_mishin1.eam.alloy {elements}"], units="metal", skin=1.0
)
SPRING = 100.0  # kcal/mol/Å²


def reaxff(atoms: Atoms, **more: object) -> LammpsEngine:
    return LammpsEngine(atoms, ForceField(), Dynamics(), [1], SPRING, **more)  # type: ignore[arg-type]


def copper(dynamics: Dynamics | None = None) -> LammpsEngine:
    atoms = bulk("Cu", cubic=True) * 3
    atoms.rattle(0.02, seed=1)
    return LammpsEngine(atoms, COPPER, dynamics or Dynamics(), [1], SPRING)


def analytic() -> AnalyticEngine:
    return AnalyticEngine(wall_with_a_gap(), np.array([3.6, 7.9, 6.1]), Dynamics(), SPRING)


def by_ase() -> Engine:
    atoms = bulk("Cu") * 4
    calculator = Springs(atoms.positions.copy())
    atoms.rattle(0.02, seed=1)
    return AseEngine(atoms, calculator, Dynamics(), [1], SPRING)


ENGINES = [
    pytest.param(copper, marks=pytest.mark.lammps, id="copper"),
    pytest.param(analytic, id="analytic"),
    pytest.param(by_ase, id="ase"),
]


@pytest.mark.parametrize("make", ENGINES)
def test_forces_are_the_energys_slope(make: Callable[[], Engine]) -> None:
    engine = make()
    positions = engine.positions()
    _, forces = engine.evaluate(positions)
    for axis in range(3):
        shifted = positions.copy()
        shifted[0, axis] += 1e-4
        up, _ = engine.evaluate(shifted)
        shifted[0, axis] -= 2e-4
        down, _ = engine.evaluate(shifted)
        assert -(up - down) / 2e-4 == pytest.approx(forces[0, axis], abs=2e-4)


@pytest.mark.lammps
def test_reaxff_forces_are_the_energys_slope(water_box: Atoms) -> None:
    engine = reaxff(water_box)
    positions = water_box.positions.copy()
    _, forces = engine.evaluate(positions)
    for atom, axis in ((0, 0), (1, 1), (12, 2)):
        shifted = positions.copy()
        shifted[atom, axis] += 1e-3
        up, _ = engine.evaluate(shifted)
        shifted[atom, axis] -= 2e-3
        down, _ = engine.evaluate(shifted)
        assert -(up - down) / 2e-3 == pytest.approx(forces[atom, axis], abs=5e-3)


@pytest.mark.parametrize("make", ENGINES)
def test_relaxing_under_the_tether_ends_where_spring_and_material_balance(make: Callable[[], Engine]) -> None:
    engine = make()
    engine.quench(0.005)
    agent, mass = engine.tagged_position() + [0.3, 0.1, 0.0], engine.atoms.get_masses()
    center = mass @ engine.positions() / mass.sum()
    for _ in range(4):  # the center of mass is put back each time, and the tether with it
        engine.set_tether(agent)
        energy = float(engine.relax(400).energies[-1])
    place, positions = engine.tagged_position(), engine.positions()
    if len(positions) != len(wall_with_a_gap().centers) + 1:
        np.testing.assert_allclose(mass @ positions / mass.sum(), center, atol=1e-6)
    again, forces = engine.evaluate(positions)
    assert energy == pytest.approx(again, abs=1e-6)  # the material's alone
    pull = SPRING * KCAL_PER_MOL_IN_EV * (agent - place)
    np.testing.assert_allclose(forces[0] + pull, 0.0, atol=0.1)
    assert largest_force(forces[1:]) < 0.1


@pytest.mark.parametrize("make", ENGINES)
def test_relaxing_is_repeated_to_the_bit_from_a_snapshot(make: Callable[[], Engine]) -> None:
    one, other = make(), make()
    agent = one.tagged_position() + [0.4, 0.0, 0.0]
    for engine in (one, other):
        engine.set_tether(agent)
    one.relax(20)
    snapshot = one.snapshot()
    other.restore(snapshot)
    for engine in (one, other):
        engine.set_tether(agent + 0.2)
    assert one.relax(20).energies[0] == other.relax(20).energies[0]
    np.testing.assert_array_equal(one.positions(), other.positions())
    assert not one.snapshot().velocities.any()


@pytest.mark.parametrize("make", ENGINES)
def test_the_tether_pulls_with_k_times_its_length(make: Callable[[], Engine]) -> None:
    """In the well of a stiff, cold tether the atom rests where spring and material balance."""
    engine = make()
    engine.restore(engine.snapshot(), seed=4)
    agent = engine.tagged_position() + [0.4, 0.0, 0.0]
    engine.set_tether(agent)
    engine.run(1000)
    stretched, forces = [], []
    for _ in range(40):  # the mean: each moment has thermal motion of √(kT·k) = 0.06 eV/Å
        engine.run(50)
        now = engine.snapshot()
        stretched.append(agent - engine.tagged_position())
        forces.append(engine.evaluate(now.positions)[1][0])
        engine.restore(now)
        engine.set_tether(agent)
    pull = SPRING * KCAL_PER_MOL_IN_EV * np.mean(stretched, axis=0)
    assert np.linalg.norm(pull) > 0.3  # it does pull
    np.testing.assert_allclose(np.mean(forces, axis=0), -pull, atol=0.06)


@pytest.mark.lammps
def test_the_tether_reaches_across_the_periodic_boundary(water_box: Atoms) -> None:
    engine = reaxff(water_box)
    engine.restore(engine.snapshot(), seed=1)
    agent = engine.tagged_position()
    start = agent[0]
    for _ in range(14):
        agent = agent - [0.3, 0.0, 0.0]
        engine.set_tether(agent)
        engine.run(30)
    moved = engine.tagged_position()
    assert moved[0] < start - 3.0 < 0.0  # left through the lower face, and counting on
    np.testing.assert_allclose(engine.positions()[0], moved, atol=1e-9)
    assert np.linalg.norm(moved - agent) < 1.5


def two_masses() -> Atoms:
    atoms = bulk("Cu", cubic=True) * 3
    atoms.symbols[:2] = "OH"
    return atoms


def two_masses_by_lammps() -> Engine:
    commands = ["pair_style lj/cut 6.0", "pair_coeff * * 0.4 2.3"]
    return LammpsEngine(
        two_masses(), ForceField(commands=commands, units="metal", skin=1.0), Dynamics(), [1, 2], SPRING
    )


def two_masses_by_ase() -> Engine:
    atoms = two_masses()
    return AseEngine(atoms, Springs(atoms.positions.copy()), Dynamics(), [1, 2], SPRING)


@pytest.mark.parametrize("make", [pytest.param(two_masses_by_lammps, marks=pytest.mark.lammps), two_masses_by_ase])
def test_the_tether_pulls_atoms_by_their_masses(make: Callable[[], Engine]) -> None:
    """At rest the material pulls each tagged atom back with its share of the pull, the gradient of the energy."""
    engine = make()
    engine.quench(0.005)
    agent, masses = engine.tagged_position() + [0.1, 0.15, 0.3], engine.atoms.get_masses()
    for _ in range(6):
        engine.set_tether(agent)
        engine.relax(400)
    pull = SPRING * KCAL_PER_MOL_IN_EV * (agent - engine.tagged_position())
    assert np.linalg.norm(pull) > 0.3
    _, forces = engine.evaluate(engine.positions())
    shares = masses[:2, None] / masses[:2].sum() * pull
    np.testing.assert_allclose(forces[:2] + shares, 0.0, atol=0.1)


@pytest.mark.parametrize("make", ENGINES)
def test_restore_gives_the_same_future(make: Callable[[], Engine]) -> None:
    engine = make()
    engine.restore(engine.snapshot(), seed=7)
    engine.run(20)
    saved = engine.snapshot()
    engine.restore(saved)
    first = engine.run(30).energies, engine.positions()
    engine.restore(saved)
    again = engine.run(30).energies, engine.positions()
    np.testing.assert_allclose(first[0], again[0], atol=1e-7)
    np.testing.assert_allclose(first[1], again[1], atol=1e-7)


@pytest.mark.parametrize("make", ENGINES)
def test_a_seed_gives_new_velocities(make: Callable[[], Engine]) -> None:
    engine = make()
    start = engine.snapshot()
    futures = []
    for seed in (1, 1, 2):
        engine.restore(start, seed=seed)
        engine.run(20)
        futures.append(engine.positions())
    np.testing.assert_allclose(futures[0], futures[1], atol=1e-7)
    assert not np.allclose(futures[0], futures[2], atol=1e-5)


@pytest.mark.lammps
def test_the_thermostat_holds_its_temperature_and_nothing_drifts() -> None:
    engine = copper(Dynamics(temperature=300.0, damping=50.0, timestep=2.0))
    engine.restore(engine.snapshot(), seed=3)
    engine.set_tether(engine.tagged_position() + [0.5, 0.0, 0.0])  # pulls on the whole system
    center = engine.positions().mean(axis=0)
    engine.run(500)
    temperatures = [engine.run(20).temperature for _ in range(60)]
    assert np.mean(temperatures) == pytest.approx(300.0, rel=0.05)
    # left to itself the crystal would have gone ½·F/M·t² = 17 Å after the tether
    np.testing.assert_allclose(engine.positions().mean(axis=0), center, atol=0.03)


@pytest.mark.parametrize("make", ENGINES)
def test_quench_comes_to_rest(make: Callable[[], Engine]) -> None:
    engine = make()
    before, _ = engine.evaluate(engine.positions())
    found = engine.quench(fmax=0.01)
    assert found.residual <= 0.01
    assert found.energy < before
    assert largest_force(engine.evaluate(engine.positions())[1]) == pytest.approx(found.residual, abs=1e-6)


def test_thermal_velocities_have_the_temperature_and_no_momentum() -> None:
    masses = np.tile([1.0, 16.0, 28.0], 2000)
    velocities = thermal_velocities(masses, 350.0, 1, np.ones(len(masses), dtype=bool))
    np.testing.assert_allclose((masses[:, None] * velocities).sum(axis=0), 0.0, atol=1e-9)
    kinetic = 0.5 * (masses[:, None] * velocities**2).sum() * 103.642696562
    assert kinetic / (1.5 * BOLTZMANN_EV_PER_K * 350.0) / len(masses) == pytest.approx(1.0, rel=0.03)


@pytest.mark.lammps
def test_an_explosion_is_an_engine_error_and_a_new_engine_works(water_box: Atoms) -> None:
    engine = reaxff(water_box)
    engine.restore(engine.snapshot(), seed=1)
    engine.set_tether(engine.tagged_position() + [400.0, 0.0, 0.0])
    with pytest.raises(EngineError) as caught:
        engine.run(400)
    assert caught.value.kind in ("temperature", "lost_atoms", "not_a_number", "charges")
    engine.close()
    assert np.isfinite(reaxff(water_box).run(10).energies).all()


@pytest.mark.lammps
def test_charges_that_do_not_converge_count_for_commands_too(water_box: Atoms) -> None:
    """LAMMPS only warns and goes on with wrong charges."""
    commands = [
        "pair_style reaxff NULL",
        f'pair_coeff * * "{installed_file("ffield.reax")}" {{elements}}',
        "fix q all qeq/reaxff 1 0.0 10.0 1e-6 reaxff maxiter 5",
    ]
    for most, converges in ((5, False), (200, True)):
        given = [*commands[:2], commands[2].replace("maxiter 5", f"maxiter {most}")]
        engine = LammpsEngine(water_box, ForceField(commands=given), Dynamics(), [1])
        if converges:
            assert np.isfinite(engine.run(10).energies).all()
            continue
        with pytest.raises(EngineError, match="did not converge in 5 iterations") as caught:
            engine.run(10)
        assert caught.value.kind == "charges"
        engine.close()


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Lost atoms: original 195 current 194", "lost_atoms"),
        ("Non-numeric atom coords - simulation unstable", "not_a_number"),
        ("Not enough space for bonds!", "engine"),
    ],
)
def test_what_lammps_says_is_of_a_kind(words: str, kind: str) -> None:
    assert _kind(RuntimeError(words)) == kind
    assert kind in FAILURES


def test_the_analytic_engine_reports_a_runaway() -> None:
    engine = analytic()
    engine.set_tether(np.array([1e4, 0.0, 0.0]))
    with pytest.raises(EngineError, match="temperature"):
        engine.run(200)


@pytest.mark.lammps
def test_triclinic_cells_and_open_sides() -> None:
    primitive = bulk("Cu") * 5
    from ase.calculators.lammps import Prism

    primitive.set_cell(Prism(primitive.cell.array).lammps_cell, scale_atoms=True)
    engine = LammpsEngine(primitive, COPPER, Dynamics(), [1])
    energy, forces = engine.evaluate(primitive.positions)
    assert energy / len(primitive) == pytest.approx(-3.54, abs=0.01)  # Mishin et al. 2001, cohesive energy
    assert np.abs(forces).max() < 1e-6
    slab = bulk("Cu", cubic=True) * (3, 3, 4)
    slab.pbc = (True, True, False)
    opened = LammpsEngine(slab, COPPER, Dynamics(), [1])
    assert opened.evaluate(slab.positions)[0] / len(slab) > -3.5  # surfaces cost energy


@pytest.mark.lammps
def test_reaxff_answers_depend_on_nothing_but_the_positions(water_box: Atoms) -> None:
    """To the last bit, whatever was computed before: the history of charges and neighbours leaves no trace."""
    engine = reaxff(water_box)
    random = np.random.default_rng(1)
    here = water_box.positions + random.normal(scale=0.03, size=water_box.positions.shape)
    energy, forces = engine.evaluate(here)
    others = [here + random.normal(scale=scale, size=here.shape) for scale in (1e-6, 0.01, 0.1)]
    others += [np.roll(here, 3, axis=0), here + water_box.cell[0], here + [0.0, 0.0, 4.0]]
    assert not np.array_equal(engine.evaluate(others[0])[1], forces)
    for other in others:
        engine.evaluate(other)
        again = engine.evaluate(here)
        assert again[0] == energy
        assert np.array_equal(again[1], forces)
    engine.restore(engine.snapshot(), seed=1)
    engine.run(50)
    assert engine.evaluate(here)[0] == energy
    engine.close()
    fresh = reaxff(water_box)
    assert fresh.evaluate(here)[0] == energy
    assert np.array_equal(fresh.evaluate(here)[1], forces)
    fresh.close()


@pytest.mark.lammps
def test_refusals_name_the_key(water_box: Atoms, tmp_path: Path) -> None:
    helium = water_box.copy()
    helium.symbols[0] = "He"
    with pytest.raises(UserError, match=r"no ReaxFF parameters for He .*forcefield.reaxff_file"):
        reaxff(helium)
    with pytest.raises(UserError, match=r"forcefield.commands: LAMMPS refused 'pair_style nonsense'"):
        LammpsEngine(water_box, ForceField(commands=["pair_style nonsense"]), Dynamics(), [1])
    with pytest.raises(UserError, match="not among the parameter files"):
        installed_file("no-such.file")
    rubbish = tmp_path / "rubbish"
    rubbish.write_text("hello\n")
    with pytest.raises(UserError, match="not a ReaxFF parameter file"):
        reaxff_elements(rubbish)
    assert {"Si", "O", "H"} <= set(reaxff_elements(installed_file("ffield.reax")))


@pytest.mark.lammps
@pytest.mark.mpi
def test_two_ranks_agree_with_one() -> None:
    """Energy, forces, owned atoms, tether and density grid: the script compares groups of one and of two."""
    done = mpiexec(2, ROOT / "tests" / "two_ranks.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("agree") == 2


def need(suffix: str) -> None:
    """Skip a test where LAMMPS was built without the styles of a suffix, as by the preset cpu."""
    if library.PACKAGES[suffix] not in library.installed().packages:
        pytest.skip(f"this LAMMPS was built without {library.PACKAGES[suffix]}")


@pytest.mark.lammps
@pytest.mark.parametrize("suffix", ["omp", "opt"])
def test_accelerated_styles_give_the_same_forces(monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    need(suffix)
    told: list[str] = []
    real = library.lammps
    monkeypatch.setattr(
        library, "lammps", lambda cmdargs, comm: told.extend(cmdargs) or real(cmdargs=cmdargs, comm=comm)
    )
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    atoms = bulk("Cu", cubic=True) * 3
    atoms.rattle(0.02, seed=1)
    fast = LammpsEngine(atoms, COPPER.model_copy(update={"suffix": suffix}), Dynamics(), [1], SPRING)
    energy, forces = fast.evaluate(atoms.positions)
    plain_energy, plain_forces = copper().evaluate(atoms.positions)
    assert energy == pytest.approx(plain_energy, abs=1e-9)
    np.testing.assert_allclose(forces, plain_forces, atol=1e-9)
    assert f"-sf {suffix}" in " ".join(told)


@pytest.mark.lammps
def test_reaxff_by_threads_gives_the_same_forces(water_box: Atoms, monkeypatch: pytest.MonkeyPatch) -> None:
    need("omp")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    threaded = LammpsEngine(water_box, ForceField(suffix="omp"), Dynamics(), [1], SPRING)
    _, forces = threaded.evaluate(water_box.positions)
    _, plain = reaxff(water_box).evaluate(water_box.positions)
    np.testing.assert_allclose(forces, plain, atol=1e-4)
    assert threaded.relax(5).energies[-1] < 0.0


@pytest.mark.lammps
def test_a_suffix_needs_its_package() -> None:
    atoms = bulk("Cu", cubic=True)
    with pytest.raises(UserError, match=r"forcefield.suffix: kk needs the package KOKKOS"):
        LammpsEngine(atoms, COPPER.model_copy(update={"suffix": "kk", "gpus": 2}), Dynamics(), [1], SPRING)


def test_how_lammps_is_told_of_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert accelerated(None, None) == []
    assert accelerated("kk", 2) == ["-k", "on", "g", "2", "-sf", "kk"]
    assert accelerated("kk", None) == ["-k", "on", "t", "4", "-sf", "kk"]
    assert accelerated("omp", None) == ["-pk", "omp", "4", "-sf", "omp"]
    assert accelerated("gpu", 2) == ["-pk", "gpu", "2", "-sf", "gpu"]
