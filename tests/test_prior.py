"""Priors of the energy map: what one training saw helps in another structure, and files that are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from conftest import analytic_config, analytic_engine, planned_config, wall_with_a_gap
from in_process import train

from mapmpi.config import load
from mapmpi.errors import UserError
from mapmpi.search.energymap import EnergyMap
from mapmpi.search.prior import MOST_PLACES, Prior
from mapmpi.search.region import Region
from mapmpi.store.rundir import RunDirectory
from mapmpi.train.guidance import make_guidance
from mapmpi.train.prior import main

AXES = np.eye(3)


def glass(seed: int) -> Atoms:
    random = np.random.default_rng(seed)
    return Atoms("Si20O40", random.random((60, 3)) * 14.0, cell=[14.0] * 3, pbc=True)


def energies(atoms: Atoms, places: np.ndarray) -> np.ndarray:
    """Return the energies of a probe among atoms that repel it, those of O less than those of Si; eV."""
    apart = places[:, None] - atoms.positions
    apart -= 14.0 * np.round(apart / 14.0)
    sizes = np.where(atoms.numbers == 14, 2.0, 1.0)
    return (sizes * np.exp(-np.linalg.norm(apart, axis=2) / 0.8)).sum(axis=1)


def region(atoms: Atoms) -> Region:
    return Region(atoms, np.array([2.0, 7.0, 7.0]), AXES, 8.0)


def visits(atoms: Atoms, count: int, seed: int) -> np.ndarray:
    places = np.random.default_rng(seed).random((count, 3)) * np.array([8.0, 12.0, 12.0]) + 1.0
    return np.column_stack([places, energies(atoms, places)])


def test_a_prior_knows_a_structure_that_was_never_visited(tmp_path: Path) -> None:
    donors = [glass(1), glass(2)]
    prior = Prior.of([region(one) for one in donors], [visits(one, 1500, 3) for one in donors])
    assert len(prior.rises) == MOST_PLACES
    prior.save(tmp_path / "prior.npz")
    prior = Prior.load(tmp_path / "prior.npz")
    other, few = glass(7), visits(glass(7), 12, 8)
    exact = energies(other, region(other).places)
    left = {}
    for name, known in (("with", prior), ("without", None)):
        learned = EnergyMap(region(other), known)
        learned.fit(few[:, :3], few[:, 3], 0.3)
        left[name] = np.median(np.abs(learned.energies() - exact))
    assert left["with"] < 0.5 * left["without"], left


def test_visits_outweigh_a_prior_that_is_wrong() -> None:
    atoms = glass(1)
    wrong = visits(atoms, 500, 3)
    wrong[:, 3] = wrong[:, 3].max() - wrong[:, 3]
    prior = Prior.of([region(atoms)], [wrong])
    own = visits(atoms, 1500, 4)
    exact, alike = energies(atoms, region(atoms).places), []
    for known in (prior, None):
        learned = EnergyMap(region(atoms), known)
        learned.fit(own[:, :3], own[:, 3], 0.3)
        alike.append(np.corrcoef(learned.energies(), exact)[0, 1])
    assert alike[0] > alike[1] - 0.03, alike
    assert alike[1] > 0.85


def test_a_prior_is_made_from_a_training_and_taken_by_another(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    config = planned_config(tmp_path, 120)
    training, _ = train(config, lambda: analytic_engine(config, wall_with_a_gap()), tmp_path / "run", 1.0)
    training.save()
    RunDirectory(tmp_path / "run").write_config(config, {})
    file = tmp_path / "prior.npz"
    assert main([str(tmp_path / "run"), "--output", str(file)]) == 0
    atoms = analytic_engine(config, wall_with_a_gap()).atoms
    config.exploration.prior = file
    planner = make_guidance(config, atoms, 1).planner
    assert planner._prior is not None
    assert training.guidance is not None
    np.testing.assert_allclose(
        np.sort(planner._prior.rises), np.sort([rise for _, rise in training.guidance.planner.visited]), atol=1e-5
    )


def test_what_is_no_prior_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(UserError, match=r"exploration\.prior: .* is no prior"):
        Prior.load(bad)
    prior = Prior.of([region(glass(1))], [visits(glass(1), 20, 1)])
    prior.features[0, 0] = np.nan
    prior.save(bad)
    with pytest.raises(UserError, match="not numbers"):
        Prior.load(bad)
    with pytest.raises(ValueError, match="different elements"):
        Prior.of([region(glass(1)), region(glass(1)[:20])], [visits(glass(1), 20, 1)] * 2)
    assert not prior.suits(region(glass(1)[:20]))
    assert main([str(tmp_path), "--output", str(bad)]) == 2
    assert "mapmpi: " in capsys.readouterr().err
    config = analytic_config(tmp_path)
    prior.features[0, 0] = 0.0
    prior.save(bad)
    config.exploration.prior = bad
    with pytest.raises(UserError, match=r"other elements \(O, Si\)"):
        make_guidance(config, analytic_engine(config, wall_with_a_gap()).atoms, 1)


def test_an_input_names_its_prior_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "glass.data").write_text("")
    text = (
        "structure: {file: glass.data, tagged_atoms: [1]}\ngoal: {distance: 5}\nexploration: {prior: here.npz}\n"
    )
    (tmp_path / "input.yaml").write_text(text)
    with pytest.raises(UserError, match=r"exploration\.prior: no file"):
        load(tmp_path / "input.yaml")
    (tmp_path / "here.npz").write_text("")
    assert load(tmp_path / "input.yaml").exploration.prior == tmp_path / "here.npz"


@pytest.mark.parametrize(("name", "value"), [("rises", np.empty(0)), ("elements", np.array([8, 999]))])
def test_a_prior_without_places_or_of_no_elements_is_refused(tmp_path: Path, name: str, value: np.ndarray) -> None:
    prior = Prior.of([region(glass(1))], [visits(glass(1), 20, 1)])
    replace(prior, **{name: value}).save(tmp_path / "bad.npz")
    with pytest.raises(UserError, match="no places, or no elements"):
        Prior.load(tmp_path / "bad.npz")
