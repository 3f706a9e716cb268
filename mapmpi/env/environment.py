"""The Markov decision process: an agent drags a molecule through a material, one short MD run per action."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mapmpi.climb import Heights
from mapmpi.config import Config, unit
from mapmpi.env.actions import action_vectors, reversals
from mapmpi.env.guards import check_change, guarded, mean_energy
from mapmpi.env.rewards import Outcome, failure_terms, reward_terms
from mapmpi.env.state import DensityGrid, Surroundings
from mapmpi.env.station import Station
from mapmpi.env.step import Ending, Step
from mapmpi.errors import EngineError, EngineLost, UserError
from mapmpi.md.engine import SAMPLE_STEPS, Engine, Segment
from mapmpi.store.records import NO_ACTION, REWARD_TERMS, Frame

REST_CALLS = 500
"""Force calls, at most, that bring a structure to rest before a training."""

RESET_TRIES = 3
"""New engines tried before a start that always fails is given up."""


@dataclass
class _Episode:
    """What an episode remembers from action to action."""

    agent: np.ndarray
    energies: deque[float]
    energy: float
    heights: Heights
    place: np.ndarray
    state: np.ndarray
    steps: int
    actions: int = 0


def _engine_maker(config: Config) -> Callable[[], Engine]:
    from mapmpi.md.factory import make_engine
    from mapmpi.structures.inputs import read_atoms

    atoms = read_atoms(config.structure.file, config)
    return lambda: make_engine(config, atoms)


class Environment:
    """One material and one agent in it. All ranks of the engine's group call every method together.

    ``make_engine`` makes a new engine; it is called again when a simulation breaks. By default it is the one that the
    configuration asks for, of the structure in its file, which :func:`mapmpi.load` has seen; a UserError says what is
    wrong with them.
    """

    def __init__(self, config: Config, make_engine: Callable[[], Engine] | None = None) -> None:
        self.config = config
        self._make_engine = make_engine or _engine_maker(config)
        self.engine = self._make_engine()
        self.vectors = action_vectors(config.actions, config.goal)
        self.undoes = reversals(self.vectors)
        self.direction = unit(config.goal.direction)
        cell, pbc, comm = self.engine.atoms.cell.array, self.engine.atoms.pbc, self.engine.comm
        self.grid = DensityGrid(config.state, self.engine.elements, cell, pbc, comm)
        self._near = Surroundings(cell, pbc, config.rewards.density.radius)
        self.relief = self._rest()
        """By how many eV the energy fell when the structure was brought to rest."""
        self.start_positions = self.engine.positions()
        """(n, 3) Å, of the structure at rest."""
        self._start, place = self.engine.snapshot(), self.engine.tagged_position()
        self._origin = float(place @ self.direction)
        self._samples = max(1, config.rewards.energy.average_steps // SAMPLE_STEPS)
        self._minimize = config.dynamics.relaxation == "minimize"  # then an action has one energy, that at its end
        self._reference = 1 if self._minimize else max(1, config.rewards.energy.reference_steps // SAMPLE_STEPS)

    def _rest(self) -> float:
        """Bring the structure to rest in its force field; return by how many eV that lowered its energy."""
        with guarded(self.engine.comm):
            before, _ = self.engine.evaluate(self.engine.positions())
            self.engine.set_tether(self.engine.tagged_position())
            after = float(self.engine.relax(REST_CALLS).energies[-1])
        return before - after

    def reset(self, seed: int, station: Station | None = None) -> Step:
        """Begin an episode: at the start, velocities and thermostat noise from the seed, or from a station on.

        On one rank the episode depends on these and the actions alone, to the last bit.
        """
        for tries_left in reversed(range(RESET_TRIES)):
            try:
                with guarded(self.engine.comm):
                    return self._begin(seed) if station is None else self._continue(station)
            except EngineError:
                self._renew()
                if not tries_left:
                    raise
        raise AssertionError("unreachable")

    def _begin(self, seed: int) -> Step:
        engine = self.engine
        engine.restore(self._start, seed)
        agent = engine.tagged_position()
        engine.set_tether(agent)
        steps = max(SAMPLE_STEPS, self.config.dynamics.equilibration_steps)
        segment = self._follow(steps)
        energy = mean_energy(segment, self._samples)
        return self._first(agent, segment, energy, Heights.of(energy), steps)

    def _continue(self, station: Station) -> Step:
        self.engine.restore(station.snapshot)
        self.engine.set_tether(station.agent)
        known = Segment(np.array([station.energy]), 0.0)
        return self._first(station.agent.copy(), known, station.energy, station.heights, 1)

    def _first(self, agent: np.ndarray, before: Segment, energy: float, heights: Heights, steps: int) -> Step:
        """Return the first state of an episode, with what is known of the dynamics before it."""
        place, state = self.engine.tagged_position(), self.grid(self.engine.local_atoms(), agent)
        window = deque(before.energies.tolist(), maxlen=self._reference)
        self._now = _Episode(agent, window, energy, heights, place, state, steps)
        terms = np.zeros(len(REWARD_TERMS))
        return self._step(terms, "", self._frame(energy, before.temperature, NO_ACTION, terms), NO_ACTION)

    def station(self) -> Station:
        """Return the present state, for an episode that is to go on from here."""
        now = self._now
        return Station(self.engine.snapshot(), now.agent.copy(), now.energy, now.heights)

    def _step(
        self,
        terms: np.ndarray,
        ending: Ending,
        frame: Frame | None,
        forbidden: int,
        failure: EngineError | None = None,
    ) -> Step:
        now = self._now
        return Step(
            state=now.state,
            terms=terms,
            ending=ending,
            frame=frame,
            forbidden=forbidden,
            coordinate=float(now.agent @ self.direction),
            progress=self._progress(),
            heights=now.heights,
            agent=now.agent,
            place=now.place,
            rise=now.energy - now.heights.first,
            failure=failure,
        )

    def _progress(self) -> float:
        return float(self._now.place @ self.direction) - self._origin

    def _follow(self, steps: int) -> Segment:
        """Let the material follow the agent."""
        return self.engine.relax(steps) if self._minimize else self.engine.run(steps)

    def _renew(self) -> None:
        """Replace a broken engine. Raises EngineError where that fails: no LAMMPS, no room for its files."""
        self.engine.close()
        try:
            self.engine = self._make_engine()
        except (UserError, OSError) as error:
            alone = self.engine.comm is None or self.engine.comm.size == 1
            words = f"the engine could not be made anew: {error}"
            raise (EngineError if alone else EngineLost)(words) from error  # other ranks may have made theirs

    def step(self, action: int) -> Step:
        """Move the agent by an action, let the material follow, and say what that is worth."""
        now = self._now
        now.actions += 1
        try:
            with guarded(self.engine.comm):
                return self._advance(action)
        except EngineError as error:
            self._renew()
            terms = failure_terms(self.config.rewards, self.config.episode.max_actions - now.actions)
            return self._step(terms, "failed", None, NO_ACTION, error)

    def _advance(self, action: int) -> Step:
        config, engine, now = self.config, self.engine, self._now
        before = float(now.agent @ self.direction) - self._origin
        now.agent = self._clamped(now.agent + self.vectors[action])
        engine.set_tether(now.agent)
        segment = self._follow(config.dynamics.steps_per_action)
        energy = mean_energy(segment, self._samples)
        check_change(energy - now.energy, config.dynamics.max_energy_step)
        now.place = engine.tagged_position()
        tether_length = float(np.linalg.norm(now.agent - now.place))
        atoms = engine.local_atoms()
        outcome = Outcome(
            coordinate_before=before,
            coordinate=float(now.agent @ self.direction) - self._origin,
            energy=energy,
            reference_energy=float(np.mean(now.energies)),
            highest_energy=now.heights.high,
            distances=self._near.distances(atoms, now.agent, config.structure.molecule, engine.comm),
            tether_length=tether_length,
        )
        terms = reward_terms(config.rewards, outcome)
        now.energies.extend(segment.energies.tolist())
        now.energy, now.heights = energy, now.heights.after(energy)
        now.steps += config.dynamics.steps_per_action
        now.state = self.grid(atoms, now.agent)
        frame = self._frame(energy, segment.temperature, action, terms)
        forbidden = int(self.undoes[action]) if config.actions.forbid_reversal else NO_ACTION
        return self._step(terms, self._ending(tether_length), frame, forbidden)

    def _clamped(self, agent: np.ndarray) -> np.ndarray:
        """Hold an agent that ran ahead at the tether's limit."""
        tether = self.config.tether
        ahead = agent - self.engine.tagged_position()
        length = float(np.linalg.norm(ahead))
        if tether.at_limit == "end" or length <= tether.limit:
            return agent
        return agent - ahead * (1.0 - tether.limit / length)

    def _ending(self, tether_length: float) -> Ending:
        config = self.config
        if self._progress() >= config.goal.distance:
            return "goal"
        if config.tether.at_limit == "end" and tether_length > config.tether.limit:
            return "tether"
        return "step_limit" if self._now.actions >= config.episode.max_actions else ""

    def _frame(self, energy: float, temperature: float, action: int, terms: np.ndarray) -> Frame:
        positions = self.engine.positions()
        if not np.isfinite(positions).all():
            raise EngineError("positions are not numbers", "not_a_number")
        return Frame(
            positions=positions,
            potential_energy=energy,
            temperature=temperature,
            agent_position=self._now.agent.copy(),
            tagged_position=self._now.place.copy(),
            action=action,
            reward_terms=terms,
            step=self._now.steps,
        )

    def close(self) -> None:
        """Close the engine."""
        self.engine.close()
