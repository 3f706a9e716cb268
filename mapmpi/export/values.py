"""What the training had learned of a film's frames: the energy map at the tagged atoms' place, and Q."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mapmpi.config import Config
from mapmpi.env.actions import action_vectors
from mapmpi.env.state import DensityGrid
from mapmpi.errors import UserError
from mapmpi.export.film import Film
from mapmpi.md.engine import LocalAtoms, element_order
from mapmpi.path.pathway import center
from mapmpi.report.energymap import learned_map
from mapmpi.rl.inference import QFunction
from mapmpi.store.checkpoint import Checkpoints
from mapmpi.store.rundir import RunDirectory
from mapmpi.structures.inputs import check_atoms

MAP, BEST_Q, BEST_ACTION = "map_ev", "q", "q_action"


def with_values(film: Film, run: RunDirectory, config: Config) -> tuple[Film, str]:
    """Return the film with what the last checkpoint knows of its frames, and a sentence on that.

    ``map_ev`` is what the energy map expects at the place of the tagged atoms, in eV above the start (NaN outside its
    region); ``q`` is the network's value of its best action there and ``q_action`` that action's number from 0. The
    state is that around the agent, of a pathway that around the tagged atoms. Raises UserError where the checkpoint
    has neither, or is damaged.
    """
    check_atoms(run.config, config, film.atoms)
    checkpoint = Checkpoints(run.checkpoints).newest()
    if checkpoint is None:
        raise UserError(f"--values: {run.checkpoints} holds no checkpoint; leave the option out.")
    values = _of_network(film, run, config, checkpoint.arrays)
    if run.trajectory_files() and (found := learned_map(run, config, checkpoint.arrays)) is not None:
        values = {MAP: (found.at(_places(film, config)), "eV"), **values}
    if not values:
        raise UserError(
            f"--values: the last checkpoint in {run.checkpoints} has no energy map, and its network has not learned "
            "yet; leave the option out."
        )
    what = [name for name, there in (("the energy map", MAP in values), ("Q", BEST_Q in values)) if there]
    return replace(film, values={**film.values, **values}), f"Values of the last checkpoint: {' and '.join(what)}."


def _places(film: Film, config: Config) -> np.ndarray:
    """Return the center of mass of the tagged atoms in every frame, (f, 3) Å."""
    return center(film.positions, film.atoms, [number - 1 for number in config.structure.tagged_atoms])


def _of_network(
    film: Film, run: RunDirectory, config: Config, arrays: Mapping[str, np.ndarray]
) -> dict[str, tuple[np.ndarray, str]]:
    """Return Q of the best action and its number; nothing of a network without a gradient step."""
    weights, updates = arrays.get("learner.behaviour"), arrays.get("learner.updates")
    if weights is None or updates is None or not updates.size or updates.flat[0] <= 0:
        return {}
    atoms, elements = film.atoms, element_order(film.atoms, config.structure.elements)
    grid = DensityGrid(config.state, elements, atoms.cell.array, atoms.pbc)
    q_function = QFunction(grid.shape, len(action_vectors(config.actions, config.goal)), config.network)
    try:
        q_function.load(weights)
    except ValueError as error:
        raise UserError(f"{run.checkpoints}: the last checkpoint does not fit config.yaml ({error}).") from None
    kinds = np.array([elements.index(symbol) for symbol in atoms.symbols])
    ids, agents = np.arange(len(atoms)) + 1, _places(film, config) if film.agent is None else film.agent
    q = np.array(
        [
            q_function(grid(LocalAtoms(ids, positions, kinds), agent))
            for positions, agent in zip(film.positions, agents, strict=True)
        ],
        dtype=float,
    )
    return {BEST_Q: (q.max(axis=1), ""), BEST_ACTION: (q.argmax(axis=1).astype(float), "")}
