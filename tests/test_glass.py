"""Glass: the random start, the melt–quench, and the report."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.geometry import get_distances
from ase.spacegroup import crystal

from mapmpi.config import Dynamics, ForceField
from mapmpi.errors import EngineError, UserError
from mapmpi.md.lammps_engine import LammpsEngine
from mapmpi.structures.analysis import analyse, density
from mapmpi.structures.glass import CONTACT, cell_length, melt_quench, random_silica, vashishta
from mapmpi.structures.insert import insert, read_molecule
from mapmpi.units import AMU_A2_PER_FS2_IN_EV, BOLTZMANN_EV_PER_K


@pytest.fixture
def cristobalite() -> Atoms:
    """Ideal β-cristobalite (Fd-3m, a = 7.16 Å): 8 SiO2 in the cell, straight Si–O–Si bridges."""
    basis = [(0, 0, 0), (0.125, 0.125, 0.125)]
    return crystal(["Si", "O"], basis, spacegroup=227, cellpar=[7.16] * 3 + [90] * 3)


def test_report_of_a_perfect_crystal(cristobalite):
    report = analyse(cristobalite)
    assert report.si_coordination == {4: 8}
    assert report.o_coordination == {2: 16}
    assert report.defect_fraction == 0.0
    assert report.si_o.count == 32
    assert report.si_o.mean == pytest.approx(np.sqrt(3) / 8 * 7.16)
    assert report.si_o.sd == pytest.approx(0.0, abs=1e-9)
    assert report.o_si_o.mean == pytest.approx(109.4712, abs=1e-3)
    assert report.si_o_si.mean == pytest.approx(180.0, abs=1e-3)
    # 8 · 60.083 g/mol in (7.16 Å)³
    assert report.density == pytest.approx(8 * 60.083 / 6.02214076e23 / (7.16e-8) ** 3, rel=1e-4)
    assert "8 × 4" in report.table()


def test_a_missing_oxygen_is_two_undercoordinated_silicons(cristobalite):
    del cristobalite[-1]
    report = analyse(cristobalite)
    assert report.si_coordination == {3: 2, 4: 6}
    assert (report.si_defects, report.o_defects) == (2, 0)
    assert report.defect_fraction == pytest.approx(2 / 23)


def test_water_is_not_part_of_the_network_and_silanol_is_no_defect(cristobalite):
    wide = cristobalite.repeat(2)
    wet = insert(wide, read_molecule("H2O")).atoms
    assert len(wet) == len(wide) + 3
    assert analyse(wet).o_coordination == analyse(wide).o_coordination == {2: 128}
    silanol = Atoms("SiOH", [(0, 0, 0), (1.6, 0, 0), (2.57, 0, 0)], cell=[20, 20, 20], pbc=True)
    assert analyse(silanol).o_coordination == {2: 1}
    alone = Atoms("SiOO", [(0, 0, 0), (1.6, 0, 0), (9, 9, 9)], cell=[20, 20, 20], pbc=True)
    assert analyse(alone).o_coordination == {0: 1, 1: 1}


def test_report_refuses_what_is_not_silica():
    with pytest.raises(UserError, match="no Si"):
        analyse(bulk("Cu", cubic=True))


def test_random_start_keeps_distances_density_and_seed():
    length = cell_length(24, 2.2)
    atoms = random_silica(24, length, seed=3)
    assert atoms.get_chemical_formula() == "O48Si24"
    assert density(atoms) == pytest.approx(2.2)
    distances = get_distances(atoms.positions, cell=atoms.cell, pbc=True)[1] + 99 * np.eye(72)
    silicon, oxygen = atoms.symbols == "Si", atoms.symbols == "O"
    assert distances[np.ix_(silicon, silicon)].min() >= CONTACT["SiSi"]
    assert distances[np.ix_(oxygen, silicon)].min() >= CONTACT["OSi"]
    assert distances[np.ix_(oxygen, oxygen)].min() >= CONTACT["OO"]
    np.testing.assert_array_equal(random_silica(24, length, seed=3).positions, atoms.positions)
    assert not np.allclose(random_silica(24, length, seed=4).positions, atoms.positions)


def test_silica_that_does_not_fit_is_refused():
    with pytest.raises(UserError, match="do not fit"):
        random_silica(24, 6.0, seed=1)


@pytest.mark.lammps
def test_anneal_goes_from_one_temperature_to_the_other():
    atoms = bulk("Si", cubic=True).repeat(3)
    forces = ForceField(commands=["pair_style zero 3.0", "pair_coeff * *"], units="metal")
    engine = LammpsEngine(atoms, forces, Dynamics(temperature=1000, timestep=1, damping=20), tagged=[1])
    seen = {}

    def note(fraction: float) -> None:
        velocities = engine.snapshot().velocities
        kinetic = 0.5 * atoms.get_masses() @ (velocities**2).sum(axis=1) * AMU_A2_PER_FS2_IN_EV
        seen[fraction] = kinetic / (1.5 * len(atoms) * BOLTZMANN_EV_PER_K)

    try:
        engine.restore(engine.snapshot(), seed=1)
        last = engine.anneal(1000.0, 20.0, 2000, note)
        # an ideal gas follows the thermostat at once; the ramp spans the pieces, it does not begin anew in each
        assert list(seen) == [0.25, 0.5, 0.75, 1.0]
        assert seen[0.25] == pytest.approx(765, rel=0.2)
        assert seen[0.75] == pytest.approx(275, rel=0.2)
        assert last < 40
        # afterwards the thermostat is at the temperature of the dynamics again
        engine.run(200)
        assert engine.run(10).temperature == pytest.approx(1000, rel=0.25)
    finally:
        engine.close()


@pytest.mark.lammps
def test_anneal_above_the_limit_is_a_failed_simulation():
    atoms = bulk("Si", cubic=True).repeat(2)
    forces = ForceField(commands=["pair_style zero 3.0", "pair_coeff * *"], units="metal")
    dynamics = Dynamics(temperature=300, timestep=1, damping=20, max_temperature=400)
    engine = LammpsEngine(atoms, forces, dynamics, tagged=[1])
    try:
        engine.restore(engine.snapshot(), seed=1)
        with pytest.raises(EngineError, match="temperature"):
            engine.anneal(300.0, 3000.0, 500)
    finally:
        engine.close()


@pytest.mark.lammps
def test_a_fast_quench_gives_a_network(monkeypatch):
    monkeypatch.setattr("mapmpi.structures.glass.MELT_PS", 1.0)
    start = random_silica(16, cell_length(16, 2.2), seed=1)
    stages = set()
    glass = melt_quench(start, 2000.0, 1, progress=lambda stage, fraction: stages.add(stage))
    before, after = analyse(start), analyse(glass)
    assert stages == {"melt", "quench"}
    assert after.defect_fraction < 0.35 < before.defect_fraction
    assert after.si_o.mean == pytest.approx(1.62, abs=0.04)
    assert after.density == pytest.approx(2.2)


def test_the_melt_needs_no_file_of_ours():
    assert "SiO.1990.vashishta" in vashishta().commands[1]
