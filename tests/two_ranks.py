"""Run on two ranks: a LAMMPS over both must agree with one on each alone."""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from mapmpi.config import Config, Dynamics, ForceField
from mapmpi.env.environment import Environment
from mapmpi.md.lammps_engine import LammpsEngine
from mapmpi.structures.files import read_structure

world = MPI.COMM_WORLD
config = Config.model_validate(
    {
        "structure": {
            "file": "inputs/silica-small.data",
            "tagged_atoms": [193],
            "molecule_atoms": [193, 194, 195],
        },
        "goal": {"distance": 9.0},
    }
)
atoms = read_structure(config.structure.file)


def environment(comm: MPI.Comm | None) -> Environment:
    return Environment(
        config, lambda: LammpsEngine(atoms, ForceField(), Dynamics(), [193], 100.0, comm=comm, seed=1)
    )


both, alone = environment(world), environment(None)
energy, forces = both.engine.evaluate(atoms.positions)
energy_alone, forces_alone = alone.engine.evaluate(atoms.positions)
assert abs(energy - energy_alone) < 1e-3, (energy, energy_alone)
np.testing.assert_allclose(forces, forces_alone, atol=2e-3)

owned = both.engine.local_atoms().ids
assert sorted(np.concatenate(world.allgather(owned))) == list(range(1, len(atoms) + 1))

for center in (atoms.positions[192], np.zeros(3), np.array([30.0, -3.0, 7.0])):
    shared = both.grid.density(both.engine.local_atoms(), center)
    np.testing.assert_allclose(shared, alone.grid.density(alone.engine.local_atoms(), center), atol=1e-9)

first, first_alone = both.reset(5), alone.reset(5)
for action in (0, 0, 1, 0):
    step, step_alone = both.step(action), alone.step(action)
    # thermostat noise differs between decompositions: the two follow the same path only nearly
    assert abs(step.coordinate - step_alone.coordinate) < 1e-9
    assert abs(step.progress - step_alone.progress) < 0.3
    rewards = world.allgather(step.reward)
    assert rewards[0] == rewards[1]
    states = world.allgather(step.state)
    assert (states[0] == states[1]).all()
print(f"rank {world.rank} agree")
