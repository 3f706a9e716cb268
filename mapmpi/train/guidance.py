"""The learner's side of planned exploration: the planner behind the messages of the agents, and in checkpoints."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from ase import Atoms

from mapmpi.climb import Heights
from mapmpi.config import Config
from mapmpi.env.actions import goal_frame
from mapmpi.env.station import station_dtype
from mapmpi.errors import UserError
from mapmpi.logs import log
from mapmpi.search.archive import Visit
from mapmpi.search.planner import Planner, table
from mapmpi.search.prior import Prior
from mapmpi.search.region import Region
from mapmpi.store.wholepath import WholePaths
from mapmpi.train.advice import KINDS, QUESTION, Answer, visit_dtype
from mapmpi.units import KCAL_PER_MOL_IN_EV


def make_guidance(config: Config, atoms: Atoms, agents: int) -> Guidance:
    """Return the guidance of a training whose episodes begin with ``atoms``. Raises UserError for an unfit prior."""
    region, file = make_region(config, atoms), config.exploration.prior
    prior = None if file is None else Prior.load(file)
    if prior is not None and not prior.suits(region):
        raise UserError(
            f"exploration.prior: {file} is of other elements ({prior.symbols}) than the structure; leave it out, or "
            "make one from trainings in such structures with python -m mapmpi.train.prior."
        )
    if config.exploration.kind == "planned":
        region.prepare()  # while the agents are still being made
    planner = Planner(region, agents, config.exploration.kind == "planned", prior)
    at_rest = config.dynamics.relaxation == "minimize"
    return Guidance(planner, atoms, config.tether.spring_constant * KCAL_PER_MOL_IN_EV if at_rest else None)


def make_region(config: Config, atoms: Atoms) -> Region:
    """Return the region of the search in a structure at rest."""
    tagged = np.array(config.structure.tagged_atoms) - 1
    start = np.average(atoms.positions[tagged], axis=0, weights=atoms.get_masses()[tagged])
    host = atoms[np.setdiff1d(np.arange(len(atoms)), np.array(config.structure.molecule) - 1)]
    return Region(host, start, goal_frame(config.goal.direction), config.goal.distance)


class Guidance:
    """What the learner does with a planner for agents whose episodes begin with ``atoms``; a part of a checkpoint.

    The tether's spring constant is in eV/Å²; None where actions do not end at rest under it.
    """

    def __init__(self, planner: Planner, atoms: Atoms, spring_constant: float | None) -> None:
        self.planner, self._positions, self._spring_constant = planner, atoms.positions, spring_constant
        self._visit, self._station = visit_dtype(len(atoms)), station_dtype(len(atoms))

    def take(self, agent: int, data: np.ndarray) -> None:
        """Take up an agent's visit, the bytes of a record of ``visit_dtype``."""
        record = data.view(self._visit)[0]
        station = record["station"]  # a view: each message has its own memory
        origin = agent, int(record["episode"]), int(record["frame"])
        visit = _visit(record["place"].copy(), origin, station)
        if self._spring_constant is not None:
            pull = 0.5 * self._spring_constant * float(((station["agent"] - visit.place) ** 2).sum())
            visit.beyond = station["agent"].copy(), visit.energy + pull
        self.planner.add(visit)

    def answer(self, agent: int, data: np.ndarray) -> np.ndarray:
        """Return the answer to a WANT_ADVICE message of an agent, both as bytes."""
        mapped = self.planner.mapped
        answer = self._answer(agent, data.view(QUESTION)[0])
        if mapped and not self.planner.mapped:
            log.warning(
                "visits to the same place differ by %.2f eV: the energy is no function of the place here; as long as "
                "that is so agents go on from the archive without a plan. Relax longer (dynamics.steps_per_action).",
                self.planner.spread(),
            )
        return answer.pack()

    def _answer(self, agent: int, question: np.void) -> Answer:
        kind, place, heights = KINDS[question["kind"]], question["place"], Heights(*question["heights"])
        if not self.planner.archive.cells:  # nothing is known yet: begin at the start
            return Answer()
        if kind == "begin":
            searched, practised = (int(actions) for actions in question["spent"])
            begun = self.planner.begin(searched, practised, agent)
            if begun is None:
                return Answer(go=False)
            visit, advice = begun
            return Answer(True, advice.way, advice.limit, visit.origin, visit.station)
        go_on = kind == "go_on"
        found = self.planner.go_on(place, heights, agent) if go_on else self.planner.advice(place, agent)
        return Answer(go=False) if found is None else Answer(True, found.way, found.limit)

    def drop_after(self, agent: int, episode: int) -> None:
        """Forget the states of an agent's later episodes: it is lost, and they will never be stored."""
        self.planner.archive.drop(lambda visit: visit.origin[0] == agent and visit.origin[1] > episode)

    def forget_lost(self, paths: WholePaths) -> None:
        """Forget the states and the best path to which no stored path leads. Raises UserError for damaged files."""
        orphans, planner = set(paths.orphans()), self.planner
        planner.archive.drop(lambda visit: not paths.ancestry.holds(visit.origin) or visit.origin[:2] in orphans)
        arrived = paths.episodes[paths.episodes["outcome"] == b"goal"]
        climbs = [
            float(row["climb"]) for row in arrived if (int(row["agent"]), int(row["episode"])) not in orphans
        ]
        planner.best = max(planner.best, min(climbs, default=np.inf))
        if not np.isfinite(planner.best):
            planner.got_on_at = 0

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return all that the planner knows; who goes on, here or from the checkpoint, plans anew."""
        planner, visits = self.planner, self.planner.archive.visits
        planner.plan_anew()
        return {
            "best": np.array(planner.best),
            "scale": np.array(planner.scale),  # follows from the best; for those who fit the map again
            "seen": np.array([planner.seen, planner.got_on_at]),
            "begun": np.array(sorted(planner.begun.items()), dtype="i8").reshape(-1, 2),
            "goal": self._goal(),
            "mapped": np.array(planner.mapped),
            "positions": self._positions,
            "visited": table(planner.visited),
            "bounds": table(planner.bounds),
            "places": np.array([visit.place for visit in visits]).reshape(-1, 3),
            "origins": np.array([[*visit.origin, visit.tries] for visit in visits], dtype="i8").reshape(-1, 4),
            "stations": np.array([visit.station for visit in visits], dtype=self._station).view(np.uint8),
        }

    def _goal(self) -> np.ndarray:
        """Return the goal's direction and its distance in Å, (4,)."""
        return np.array([*self.planner.region.axes[0], self.planner.region.distance])

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what another planner knew."""
        planner = self.planner
        planner.best = float(state["best"])
        planner.mapped = bool(state["mapped"])
        planner.seen, planner.got_on_at = (int(value) for value in state["seen"])
        planner.begun = Counter({int(agent): int(count) for agent, count in state.get("begun", ())})
        if not np.allclose(state.get("goal", self._goal()), self._goal()):  # the best path led to another
            planner.best, planner.got_on_at = np.inf, 0
        planner.visited, planner.bounds = (
            [(row[:3].copy(), float(row[3])) for row in rows]
            for rows in (state["visited"], state.get("bounds", ()))
        )
        stations = np.ascontiguousarray(state["stations"]).view(self._station).ravel()
        planner.archive.cells = {}
        for place, (agent, episode, frame, tries), station in zip(
            state["places"], state["origins"], stations, strict=True
        ):
            visit = _visit(place.copy(), (int(agent), int(episode), int(frame)), station.copy())
            visit.tries = int(tries)
            planner.archive.keep(visit)


def _visit(place: np.ndarray, origin: tuple[int, int, int], station: np.void) -> Visit:
    heights = Heights(*station["heights"].tolist())
    return Visit(place, float(station["energy"]), heights, origin, station)
