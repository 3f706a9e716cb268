"""The engine over ASE calculators: against LAMMPS, its dynamics, its refusals, and who may name which calculator."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from conftest import Springs

from mapmpi import calculators
from mapmpi.config import Dynamics, ForceField, load, load_forcefield
from mapmpi.errors import ConsentError, EngineError, UserError
from mapmpi.md.ase_engine import AseEngine
from mapmpi.md.factory import forces_engine
from mapmpi.md.forcefield import describe, fingerprint, installed_file

POTENTIAL = "NiAlH_jea.eam.alloy"
BY_ASE = {"ase": "eam", "arguments": {"potential": POTENTIAL}}
BY_LAMMPS = {"commands": ["pair_style eam/alloy", f"pair_coeff * * {POTENTIAL} {{elements}}"], "units": "metal"}


def nickel(*fixed: int) -> Atoms:
    """Return nickel with hydrogen near an octahedral site, 33 atoms."""
    atoms = bulk("Ni", "fcc", 3.52, cubic=True) * 2
    atoms.append("H")
    atoms.positions[-1] = [1.76, 0.1, 0.0]
    atoms.rattle(0.03, seed=1)
    atoms.set_constraint(FixAtoms(list(fixed)))
    return atoms


def copper(dynamics: Dynamics | None = None, *fixed: int) -> AseEngine:
    """Return eight atoms of copper with EMT, those of some indices fixed."""
    atoms = bulk("Cu") * 2
    atoms.rattle(0.02, seed=1)
    atoms.set_constraint(FixAtoms(list(fixed)) if fixed else None)
    return AseEngine(atoms, EMT(), dynamics or Dynamics(), [1], 100.0)


@pytest.mark.lammps
def test_ase_and_lammps_compute_the_same_forces_from_one_file() -> None:
    atoms = nickel(0, 5)
    ase, lammps = (
        forces_engine(atoms, load_forcefield(one), Dynamics(), [33], spring_constant=100.0)
        for one in (BY_ASE, BY_LAMMPS)
    )
    theirs, ours = lammps.evaluate(atoms.positions), ase.evaluate(atoms.positions)
    assert ours.energy == pytest.approx(theirs.energy, abs=1e-6)
    np.testing.assert_allclose(
        ours.forces, theirs.forces, atol=2e-5
    )  # each interpolates the tables in its own way
    assert not ours.forces[[0, 5]].any()
    for engine in (ase, lammps):
        engine.set_tether(engine.tagged_position() + [0.3, 0.0, 0.0])
    assert ase.relax(200).energies[0] == pytest.approx(lammps.relax(200).energies[0], abs=2e-3)
    np.testing.assert_allclose(ase.tagged_position(), lammps.tagged_position(), atol=0.01)
    lammps.close()


@pytest.mark.parametrize("fixed", [(), (2, 3)])
def test_the_thermostat_holds_its_temperature_and_nothing_drifts(fixed: tuple[int, ...]) -> None:
    atoms = bulk("Cu") * 3
    atoms.set_constraint(FixAtoms(list(fixed)) if fixed else None)
    dynamics = Dynamics(temperature=300.0, damping=20.0, timestep=4.0)
    engine = AseEngine(atoms, Springs(atoms.positions.copy()), dynamics, [1], 100.0)
    engine.restore(engine.snapshot(), seed=3)
    engine.set_tether(engine.tagged_position() + [0.3, 0.0, 0.0])  # pulls on the whole system
    engine.run(100)
    temperatures = [engine.run(10).temperature for _ in range(200)]
    assert np.mean(temperatures) == pytest.approx(300.0, rel=0.06)  # five standard deviations of the mean
    if fixed:
        np.testing.assert_array_equal(engine.positions()[list(fixed)], atoms.positions[list(fixed)])
    else:
        np.testing.assert_allclose(engine.positions().mean(axis=0), atoms.positions.mean(axis=0), atol=1e-9)


def test_answers_depend_on_nothing_but_the_positions() -> None:
    engine = copper()
    here = engine.positions()
    first = engine.evaluate(here)
    for scale in (1e-6, 0.01, 0.2):
        engine.evaluate(here + np.random.default_rng(1).normal(scale=scale, size=here.shape))
        engine.run(5)
        again = engine.evaluate(here)
        assert again.energy == first.energy
        np.testing.assert_array_equal(again.forces, first.forces)


def test_a_tether_at_several_atoms_pulls_on_their_center() -> None:
    atoms = bulk("Cu") * 2
    engine = AseEngine(atoms, EMT(), Dynamics(), [1, 2], 100.0)
    engine.quench(0.001)
    agent = engine.tagged_position() + [0.2, 0.0, 0.0]
    engine.set_tether(agent)
    engine.relax(400)
    pull = 100.0 * 0.0433641153 * (agent - engine.tagged_position())
    forces = engine.evaluate(engine.positions()).forces
    # half of it on each; all eight together hold against it, for the center of mass stays
    np.testing.assert_allclose(forces[:2], [pull / 8 - pull / 2] * 2, atol=0.04)
    np.testing.assert_allclose(forces[2:], [pull / 8] * 6, atol=0.04)
    assert np.linalg.norm(pull) > 0.2


def test_a_snapshot_of_another_engine_is_taken() -> None:
    engine = copper()
    there = engine.snapshot()
    moved = AseEngine(engine.atoms, EMT(), Dynamics(), [1])
    images = there.images.copy()
    images[3] = [1, 0, -1]
    lammps_like = type(there)(there.positions, images, there.own_velocities + 1.0, there.charges, 5, 2, 1000.0)
    moved.restore(lammps_like)
    np.testing.assert_allclose(
        moved.positions()[3], there.positions[3] + engine.atoms.cell[0] - engine.atoms.cell[2]
    )
    np.testing.assert_allclose(moved.snapshot().velocities, 1e-3)
    assert (moved.snapshot().seed, moved.snapshot().runs) == (5, 2)


class Broken(EMT):
    """EMT that fails in one way or another."""

    answer: Any = None

    def calculate(self, *arguments: Any, **more: Any) -> None:
        super().calculate(*arguments, **more)
        if self.answer is None:
            raise RuntimeError("not\nconverged")
        self.results.update(self.answer)


@pytest.mark.parametrize(
    ("answer", "words", "kind"),
    [
        (None, "Broken: not converged", "engine"),
        ({"energy": np.nan, "free_energy": np.nan}, "the potential energy is nan", "not_a_number"),
        ({"forces": np.full((8, 3), np.inf)}, "a force is not a number", "not_a_number"),
    ],
)
def test_what_a_calculator_does_wrong_is_an_engine_error(answer: Any, words: str, kind: str) -> None:
    calculator = Broken()
    calculator.answer = answer
    engine = AseEngine(bulk("Cu") * 2, calculator, Dynamics(), [1])
    with pytest.raises(EngineError, match=words) as caught:
        engine.evaluate(engine.positions())
    assert caught.value.kind == kind


def test_a_runaway_is_an_engine_error() -> None:
    engine = copper()
    engine.set_tether(engine.tagged_position() + [60.0, 0.0, 0.0])
    with pytest.raises(EngineError) as caught:
        engine.run(400)
    assert caught.value.kind in ("temperature", "not_a_number", "engine")


class TwoRanks:
    size = 2


@pytest.mark.parametrize(
    ("section", "words", "comm"),
    [
        ({"ase": "emt"}, "emt does not compute this structure .*No EMT-potential for Si", None),
        ({"ase": "emt"}, "computes on one rank, and this group has 2; set train.ranks_per_agent", TwoRanks()),
        (
            {"ase": "eam", "arguments": {"potential": "none.eam.alloy"}},
            "none.eam.alloy: not among the param",
            None,
        ),
        ({"ase": "eam", "arguments": {"wrong": 1}}, "eam refuses them .*wrong.*; mend them", None),
        ({"ase": "no_such_module:make"}, "cannot be loaded .*install or correct it", None),
        ({"ase": "ase.build:none"}, "cannot be loaded .*has no attribute", None),
        ({"ase": "ase.build:bulk", "arguments": {"name": "Cu"}}, "gives a Atoms, and no ASE calculator", None),
    ],
)
def test_refusals_name_the_key(section: dict[str, Any], words: str, comm: Any) -> None:
    forcefield = load_forcefield(section, allow_commands=True)
    with pytest.raises(UserError, match=words):
        forces_engine(bulk("Si"), forcefield, Dynamics(), [1], comm)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"ase": "os:system", "arguments": {"command": "touch here"}}, "'os:system' may run any Python code"),
        ({"ase": "ase.calculators.emt:EMT"}, "may run any Python code; give one of emt, eam"),
        ({"ase": "chgnet", "arguments": {"model": "weights.pth"}}, "argument 'model' is not among"),
        ({"ase": "eam", "arguments": {"potential": ["a"]}}, "argument 'potential' is not among"),
        ({"ase": "vasp"}, "'vasp' is no calculator known here; give emt"),
    ],
)
def test_what_runs_code_needs_consent(section: dict[str, Any], words: str, tmp_path: Path) -> None:
    (tmp_path / "s.xyz").touch()
    tree = {"structure": {"file": "s.xyz", "tagged_atoms": [1]}, "goal": {"distance": 5}, "forcefield": section}
    path = tmp_path / "input.yaml"
    path.write_text(yaml.safe_dump(tree))
    for read in (lambda: load(path), lambda: load_forcefield(path), lambda: load_forcefield(section)):
        with pytest.raises(UserError, match=f"forcefield.ase: .*{words}") as caught:
            read()
        assert isinstance(caught.value, ConsentError) == (section["ase"] != "vasp")
    if section["ase"] != "vasp":
        assert load(path, allow_commands=True).forcefield.ase == section["ase"]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"arguments": {"x": 1}}, "arguments are those of an ASE calculator"),
        ({"ase": "emt", "suffix": "omp"}, "suffix has no part in that"),
        ({"ase": "emt", "commands": ["pair_style zero 5"]}, "commands has no part in that"),
        ({"ase": "emt", "simulated": {}}, "simulated has no part in that"),
    ],
)
def test_one_force_field_computes(section: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        load_forcefield(section)


@pytest.mark.parametrize("name", calculators.KNOWN)
def test_a_name_leads_to_a_factory_that_takes_its_arguments(name: str) -> None:
    known = calculators.KNOWN[name]
    module, _, function = known.factory.partition(":")
    made = getattr(pytest.importorskip(module), function)
    accepted = set(signature(made).parameters) | set(getattr(made, "default_parameters", {}))
    assert known.arguments <= accepted
    assert known.files <= known.arguments


@pytest.mark.lammps
def test_a_potential_file_is_found_and_its_contents_count(tmp_path: Path) -> None:
    own = tmp_path / "own.eam.alloy"
    own.write_text(installed_file(POTENTIAL).read_text())
    path = tmp_path / "forces.yaml"
    path.write_text("forcefield: {ase: eam, arguments: {potential: own.eam.alloy}}\n")
    forcefield = load_forcefield(path)
    assert forcefield.arguments == {"potential": str(own)}  # relative to the input, as other files are
    assert describe(forcefield) == f"Forces: ASE calculator eam(potential={str(own)!r})."
    before = fingerprint(forcefield)
    assert before["ase"].startswith("mapmpi")
    own.write_text(own.read_text() + " ")
    assert fingerprint(forcefield) != before
    assert len(fingerprint(load_forcefield(BY_ASE))["files"]) == 1
    assert fingerprint(ForceField(ase="emt"))["ase"].startswith("ase 3.")
