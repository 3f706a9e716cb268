"""An agent's side of planned exploration: asks the planner, follows its ways, tells it what was seen."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np

from mapmpi.env.environment import Environment
from mapmpi.env.station import Station
from mapmpi.env.step import Step
from mapmpi.parallel.messages import AgentLink
from mapmpi.search.pursuit import Pursuit
from mapmpi.train.advice import KINDS, QUESTION, Answer, Kind, visit_dtype
from mapmpi.train.lockstep import Lockstep

STALLED_ACTIONS, STALLED_A, STALLED_SHARE = 10, 1.0, 0.25
"""A straight drag stalls that has come no farther than so many Å in so many actions, or than a share of their
length."""
ASTRAY = 1.0
"""Å off its way beyond which one who does not follow it asks for another."""


class Straight:
    """The straight drag: always the ``action`` that leads nearest to the goal's direction."""

    def __init__(self, environment: Environment) -> None:
        self.action = int((environment.vectors @ environment.direction).argmax())
        self._progress = [0.0]
        length = STALLED_ACTIONS * float(np.linalg.norm(environment.vectors[self.action]))
        self._least = min(STALLED_A, STALLED_SHARE * length)

    def stalls(self, step: Step) -> bool:
        """Note a step's progress, and tell whether it has got stuck."""
        self._progress.append(step.progress)
        before = self._progress[-1 - STALLED_ACTIONS] if len(self._progress) > STALLED_ACTIONS else -np.inf
        return step.progress - before < self._least


class Guide:
    """Guides one agent, whose displacements are ``vectors`` (actions, 3) Å; it asks every ``interval`` actions.

    ``origin`` is where the present episode goes on from (agent, episode, frame), zeros at the start. ``promising``
    tells whether the episode is worth going on with; always, where it is not one of the search. ``explores`` tells
    that it is one, ``practises`` that the planner thinks little of searching on.
    """

    def __init__(self, environment: Lockstep, link: AgentLink, interval: int) -> None:
        self._environment, self._link, self._interval = environment, link, interval
        self._vectors = environment.environment.vectors
        self._atoms = len(environment.environment.engine.atoms)
        self._record = visit_dtype(self._atoms)
        self._leave_at(0, Answer())

    def _leave_at(self, actions: int, answer: Answer) -> None:
        self._asked_at, self._answer = actions, answer
        self._pursuit = None if answer.way is None else Pursuit(answer.way, self._vectors)

    def begin(self, explore: bool, spent: tuple[int, int]) -> Station | None:
        """Return the state that an exploring episode goes on from; None for one that begins at the start.

        ``spent`` are the agent's actions so far, those of the search and those of practice.
        """
        self.origin, self.promising = (0, 0, 0), True
        self._leave_at(0, self._ask("begin", spent=spent) if explore else Answer())
        self.practises = not self._answer.go
        self.explores = explore and not self.practises
        self.origin = self._answer.origin
        return None if self._answer.station is None else Station.of(self._answer.station)

    def choose(self, step: Step, actions: int) -> int | None:
        """Return the plan's action after ``actions`` of the episode; None where there is no plan."""
        due = actions - self._asked_at >= self._interval or (actions == 0 and self._pursuit is None)
        if due or self._astray(step):
            answer = self._ask("go_on" if self.explores and actions else "way", step)
            self.promising = answer.go
            self._leave_at(actions, answer)
        if self._pursuit is None:
            return None
        return self._pursuit.choose(step.place, step.agent)

    def _astray(self, step: Step) -> bool:
        """Tell whether the network, not the plan, has led so far off the way that another one leads on from there."""
        return not self.explores and self._pursuit is not None and self._pursuit.off(step.place) > ASTRAY

    @property
    def arrived(self) -> bool:
        """Whether the plan that was last asked for knows of a path to the goal."""
        return bool(np.isfinite(self._answer.limit))

    def visit(self, step: Step, episode: int, frame: int) -> np.ndarray:
        """Return what the planner is told of the state that an episode is in, a record of ``visit_dtype`` (1,)."""
        record = np.zeros(1, dtype=self._record)
        record["episode"], record["frame"], record["place"] = episode, frame, step.place
        record["station"] = self._environment.station().record()
        return record

    def note(self, step: Step) -> None:
        """Note whether an episode can still become the best path."""
        if self.explores and step.heights.climb >= self._answer.limit:
            self.promising = False

    def _ask(self, kind: Kind, step: Step | None = None, spent: tuple[int, int] = (0, 0)) -> Answer:
        question = np.zeros(1, dtype=QUESTION)
        question["kind"], question["spent"] = KINDS.index(kind), spent
        if step is not None:
            question["place"], question["heights"] = step.place, astuple(step.heights)
        advice = self._link.ask_for_advice(question)
        return Answer() if advice is None else Answer.unpack(advice, self._atoms)
