"""A straight drag of the molecule in a user's own system, and what it tells of tether, step and relaxation."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from ase import Atoms
from mpi4py import MPI
from scipy.interpolate import PchipInterpolator

from mapmpi.climb import Heights
from mapmpi.config import Config, Vector
from mapmpi.env.environment import Environment
from mapmpi.env.step import Step
from mapmpi.errors import EngineError
from mapmpi.md.factory import make_engine
from mapmpi.structures.glass import with_positions

LOOSE = 50.0
"""Å: a limit of the tether that no drag comes to, so that its length can be measured."""

LONG = 10
"""How many times an action's force calls are spent on what is left over at the highest point."""

SHARES, LEAST = (0.05, 0.1, 0.2), 0.02
"""A climb is to be the reference's within the first of these shares of it that any drag keeps, or LEAST eV if more."""


@dataclass(frozen=True)
class Settings:
    """What a drag is made with: k in kcal/mol/Å², δ in Å, and force calls (or MD steps) an action."""

    spring_constant: float
    displacement: float
    calls: int

    @property
    def cost(self) -> float:
        """Force calls for each Å of the way."""
        return self.calls / self.displacement


@dataclass(frozen=True)
class Drag:
    """What a drag has shown; lengths in Å, energies in eV."""

    settings: Settings
    climb: float = np.nan
    """Largest rise of the energy from any earlier point."""
    lag: float = np.nan
    """Longest tether."""
    jump: float = np.nan
    """Longest way of the molecule in one action."""
    change: float = np.nan
    """Largest change of the energy in one action."""
    typical_change: float = np.nan
    """Median of these changes' sizes."""
    left: float = np.nan
    """By how much the energy at the highest point still changes, given ten times the force calls."""
    spread: float = np.nan
    """Largest difference between the energies there and back at the same place; nan where it did not go back."""
    failure: str = ""
    """Why the simulation broke; then nothing else is known."""


class Probe:
    """Straight drags of ``length`` Å along the goal's direction from the structure at rest.

    All ranks of ``comm`` call every method together.
    """

    def __init__(self, config: Config, atoms: Atoms, comm: MPI.Intracomm, length: float) -> None:
        self.config, self.atoms, self.comm, self.length = config, atoms, comm, length
        with closing(self._environment(Settings(100.0, 0.1, 1))) as environment:
            self.relief = environment.relief
            # from here on every environment starts at rest and has nothing to do for it
            self.atoms = with_positions(atoms, environment.start_positions)
            self.atoms.set_constraint(atoms.constraints)

    def _environment(self, settings: Settings) -> Environment:
        config = self.config.model_copy(deep=True)
        forward = config.goal.direction
        back: Vector = (-forward[0], -forward[1], -forward[2])
        config.actions.directions, config.actions.forbid_reversal = [forward, back], False
        config.actions.displacement = settings.displacement
        config.tether.spring_constant, config.tether.limit = settings.spring_constant, LOOSE
        config.dynamics.steps_per_action = settings.calls
        config.goal.distance = LOOSE  # an episode does not end there
        config.episode.max_actions = 10**6
        return Environment(config, lambda: make_engine(config, self.atoms, self.comm))

    def own_settings(self) -> Settings:
        """Return those of the input itself."""
        config = self.config
        return Settings(
            config.tether.spring_constant, config.actions.displacement, config.dynamics.steps_per_action
        )

    def drag(self, settings: Settings, and_back: bool = False) -> Drag:
        """Drag the molecule straight on, and back to the start when asked to."""
        with closing(self._environment(settings)) as environment:
            try:
                return self._dragged(environment, settings, and_back)
            except EngineError as error:
                return Drag(settings, failure=str(error))

    def _dragged(self, environment: Environment, settings: Settings, and_back: bool) -> Drag:
        actions = max(1, round(self.length / settings.displacement))
        first = environment.reset(self.config.seed)
        top, highest = environment.station(), first.rise
        steps = [first]
        for _ in range(actions):
            steps.append(_checked(environment.step(0)))
            if steps[-1].rise > highest:
                top, highest = environment.station(), steps[-1].rise
        back = [_checked(environment.step(1)) for _ in range(actions)] if and_back else []
        environment.reset(self.config.seed, top)
        environment.engine.relax(LONG * settings.calls)
        left = abs(float(environment.engine.relax(1).energies[-1]) - top.energy)
        rises = np.array([step.rise for step in steps])
        changes = np.abs(np.diff(rises))
        return Drag(
            settings=settings,
            climb=Heights.of(rises).climb,
            lag=max(float(np.linalg.norm(step.agent - step.place)) for step in steps),
            jump=max(float(np.linalg.norm(b.place - a.place)) for a, b in pairwise(steps)),
            change=float(changes.max()),
            typical_change=float(np.median(changes)),
            left=left,
            spread=_spread(steps, back),
        )


def _spread(there: list[Step], back: list[Step]) -> float:
    """Return the largest difference in eV between the energies there and back, at equal progress of the molecule."""
    places, first = np.unique([step.progress for step in there], return_index=True)
    shared = [step for step in back if places[0] <= step.progress <= places[-1]]
    if len(places) < 2 or not shared:
        return float("nan")
    energies = PchipInterpolator(places, [there[index].rise for index in first])
    return max(abs(float(energies(step.progress)) - step.rise) for step in shared)


def _checked(step: Step) -> Step:
    """Return a step. Raises EngineError where it broke the simulation."""
    if step.failure is not None:
        raise step.failure
    return step


def tolerance(reference: Drag, share: float = SHARES[0]) -> float:
    """Return in eV by how much a climb may differ from the reference's."""
    return max(LEAST, share * reference.climb)


def agrees(drag: Drag, reference: Drag, share: float = SHARES[0]) -> bool:
    """Return whether a drag climbs as the reference does, and not by chance: little is left over at its top."""
    return max(abs(drag.climb - reference.climb), drag.left) <= tolerance(reference, share)  # False for nan


def cheapest(drags: list[Drag], reference: Drag) -> tuple[Drag, float | None]:
    """Return the drag of least cost that agrees, and within which share; None for the nearest where none does."""
    sound = [drag for drag in drags if not drag.failure]
    for share in SHARES:
        if fitting := [drag for drag in sound if agrees(drag, reference, share)]:
            return min(fitting, key=lambda drag: (drag.settings.cost, drag.settings.calls)), share
    return min(sound or [reference], key=lambda drag: abs(drag.climb - reference.climb)), None


def softest(drags: list[Drag], reference: Drag) -> float:
    """Return the smallest stiffness from which on all climb as the reference does; without one the stiffest."""
    found = drags[-1].settings.spring_constant
    for drag in reversed(drags):
        if not abs(drag.climb - reference.climb) <= tolerance(reference):
            break
        found = drag.settings.spring_constant
    return found
