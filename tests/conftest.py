"""What several tests share: small inputs, an analytic landscape, and a way to start MPI jobs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from analytic import AnalyticEngine, Landscape
from ase import Atoms
from ase.calculators.calculator import Calculator

from mapmpi.config import Config, Dynamics

ROOT = Path(__file__).parent.parent
MPIEXEC = Path(sys.executable).parent / "mpiexec"

Done = subprocess.CompletedProcess[str]


def mpiexec(ranks: int, *words: object, timeout: float = 120) -> Done:
    """Run Python with arguments on so many ranks; the result has its output as text."""
    start = [str(MPIEXEC if MPIEXEC.exists() else "mpiexec"), "-n", str(ranks)]
    command = [*start, sys.executable, "-m", "mpi4py", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment["TTY_COMPATIBLE"] = "0"  # Open MPI gives its ranks a terminal
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env=environment, check=False, cwd=ROOT
    )


def wall_with_a_gap() -> Landscape:
    """Return a wall of hills across x = 5 Å of a 12 Å cell, about 2.5 eV high, with a gap at y = 8.5, z = 6 Å."""
    side = np.arange(8) * 1.5
    y, z = (array.ravel() for array in np.meshgrid(side, side, indexing="ij"))
    centers = np.column_stack([np.full(len(y), 5.0), y, z])
    apart = centers[:, 1:] - [8.5, 6.0]
    apart -= 12.0 * np.round(apart / 12.0)
    centers = centers[np.linalg.norm(apart, axis=1) > 1.6]
    precisions = np.broadcast_to(np.eye(3) / 0.8**2, (len(centers), 3, 3))
    return Landscape(np.full(len(centers), 1.4), centers, precisions, np.full(3, 12.0))


def analytic_config(tmp_path: Path, **sections: object) -> Config:
    """Return a configuration for the analytic engine; sections replace or add to the defaults."""
    structure = tmp_path / "unused.xyz"
    structure.touch()
    tree: dict[str, object] = {
        "structure": {"file": structure, "tagged_atoms": [1]},
        "goal": {"distance": 6.0},
        "dynamics": {"relaxation": "md", "max_temperature": 1e5},  # of one atom, which jumps off hills
        "actions": {"directions": "forward5"},
        "state": {"points": 12, "spacing": 0.8},
        "episode": {"max_actions": 60},
        "network": {"channels": [8, 16], "hidden": 64},
    }
    for name, values in sections.items():
        old = tree.get(name)
        tree[name] = {**old, **values} if isinstance(old, dict) and isinstance(values, dict) else values
    return Config.model_validate(tree)


def planned_config(tmp_path: Path, actions: int, relaxation: str = "minimize") -> Config:
    """Return a configuration for planned exploration for so many actions, in which nothing is learned."""
    return analytic_config(
        tmp_path,
        dynamics={"relaxation": relaxation},
        actions={"directions": "all26"},
        train={"stop": {"actions": actions}},
        learning={"start": 10_000},
    )


def analytic_engine(config: Config, landscape: Landscape, comm: object = None) -> AnalyticEngine:
    """Return a tracer before the wall."""
    return AnalyticEngine(
        landscape, np.array([2.0, 6.0, 6.0]), config.dynamics, config.tether.spring_constant, comm=comm
    )


class Springs(Calculator):
    """Every atom on a spring at its place in a lattice that is free to move as a whole."""

    implemented_properties = ("energy", "forces")

    def __init__(self, places: np.ndarray) -> None:
        super().__init__()
        self.places = places

    def calculate(self, *arguments: Any, **more: Any) -> None:
        super().calculate(*arguments, **more)
        away = self.atoms.positions - self.places
        away -= away.mean(axis=0)
        self.results = {"energy": 1.5 * float((away**2).sum()), "forces": -3.0 * away}


@pytest.fixture
def water_box() -> Atoms:
    """Return 8 water molecules on a lattice in a 9 Å cell: ReaxFF in milliseconds."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * 4.5 + 1.0
    molecule = np.array([[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]])
    positions = (corners[:, None] + molecule).reshape(-1, 3)
    return Atoms("OHH" * 8, positions, cell=[9.0] * 3, pbc=True)


@pytest.fixture
def cold() -> Dynamics:
    """Return the default dynamics."""
    return Dynamics()
