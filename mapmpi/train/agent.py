"""An agent: plays episodes in its environment, keeps their trajectory, and tells the learner."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import Literal

import numpy as np

from mapmpi import logs
from mapmpi.config import Config
from mapmpi.env.step import Step
from mapmpi.errors import EngineError, UserError
from mapmpi.logs import log
from mapmpi.parallel.messages import AgentLink, Tag
from mapmpi.parallel.naps import naps
from mapmpi.rl.exploration import choose
from mapmpi.rl.inference import QFunction
from mapmpi.store.records import EPISODE, NO_ACTION, REWARD_TERMS
from mapmpi.store.writer import TrajectoryWriter
from mapmpi.train.guide import Guide, Straight
from mapmpi.train.lockstep import Lockstep
from mapmpi.train.telling import Telling

PATIENCE_S = 2.0
"""How long at least an agent waits for a learner that has fallen behind: with a fast engine it easily overtakes it."""
MOST_FAILURES = 5
"""Simulations that fail one after the other, without an action that succeeds, before a group is given up."""


class Agent:
    """Agent ``number`` (from 1) with exploration rate ``epsilon``, on the first rank of its group.

    It does not wait for the learner, except for the first weights: experience goes out unasked, weights are asked for
    every ``train.weights_interval`` actions and taken when they come. A learner that has not answered by the next time
    has fallen behind: then the agent waits, but no longer than it takes for what it does itself (or PATIENCE_S), and
    from there on tells nothing more of the episode but its row, so that what waits for the learner stays bounded. In a
    deterministic training it waits for the weights, so that they are the same each time. ``episodes`` have been played
    before, for which it has ``spent`` so many actions by each policy.
    """

    def __init__(
        self,
        number: int,
        epsilon: float,
        config: Config,
        environment: Lockstep,
        q_function: QFunction,
        link: AgentLink,
        writer: TrajectoryWriter,
        began: float,
        episodes: int = 0,
        spent: Counter[bytes] | None = None,
    ) -> None:
        self.number, self.epsilon, self.config = number, epsilon, config
        self._environment, self._q, self._link, self._writer = environment, q_function, link, writer
        self._telling = Telling(link, environment.environment.grid.shape, config.learning)
        self._episode, self._failures = episodes, 0
        self._exchanged, self._behind = time.monotonic(), False
        self._began, self._spent = began, spent or Counter()
        guided = config.exploration.kind != "random"
        self._guide = Guide(environment, link, config.exploration.advice_interval) if guided else None

    def run(self) -> None:
        """Play until the learner says stop, and tell it when all is on disk.

        Raises EngineError when the simulation fails again and again.
        """
        try:
            while not self._link.stopped:
                self._fetch_weights(wait=self._link.version < 0 or self.config.deterministic)
                if not self._link.stopped:
                    self._play()
        except (OSError, UserError) as error:
            words = str(error)
            if isinstance(error, OSError):
                place = error.filename or self._writer.path
                words = f"{place}: agent {self.number} cannot write there ({error.strerror or error})"
            self._link.send(Tag.TROUBLE, np.frombuffer(words.encode(), dtype=np.uint8))
            self._link.wait_for_stop()
        self._environment.close()
        self._link.send(Tag.GOODBYE, np.zeros(1, dtype="i8"))
        self._link.wait()

    def _fetch_weights(self, wait: bool) -> None:
        """Ask for newer weights, and wait until they are there or take them when they come."""
        self._link.ask_for_weights()
        for _ in naps():
            self._take_weights()
            if not (wait and self._link.asked):
                return

    def _keep_pace(self) -> None:
        """Wait for a learner that has fallen behind, as long as it is since the last time, and note if it still is."""
        now = time.monotonic()
        deadline = now + max(now - self._exchanged, PATIENCE_S)
        for _ in naps():
            if not self._link.asked or self._link.stopped or time.monotonic() >= deadline:
                break
            self._take_weights()
        self._behind, self._exchanged = self._link.asked, time.monotonic()

    def _take_weights(self) -> None:
        weights = self._link.look()
        if weights is not None:
            self._q.load(weights)

    def _exchange(self, actions: int) -> None:
        """Between two actions, the number of which in this episode is given: ask, and take what has come."""
        if actions % self.config.train.weights_interval == 0:
            self._keep_pace()
            self._fetch_weights(wait=self.config.deterministic)
        elif not self.config.deterministic:
            self._take_weights()

    def _play(self) -> None:
        """Play one episode. It depends on the seed, the agent's and the episode's number, and what it was sent."""
        self._episode += 1
        row = np.zeros(1, dtype=EPISODE)[0]
        row["agent"], row["episode"] = self.number, self._episode
        random = np.random.default_rng([self.config.seed, self.number, self._episode])
        started, first_step = time.monotonic(), max(self._writer.last_step, 0)

        logs.at(f"agent {self.number}, episode {self._episode}, first frame")
        step = self._begin(row, random)
        epsilon, policy = float(row["epsilon"]), bytes(row["policy"])
        straight = Straight(self._environment.environment) if policy == b"straight" else None
        q = self._q(step.state)
        self._keep(step, row, first_step)
        self._telling.begin(step, q, self._visit(step, row, self._behind), self._behind)
        ending: str = ""
        while not ending:
            logs.at(f"agent {self.number}, episode {self._episode}, action {row['actions'] + 1}")
            if straight is None:
                action, advised = self._choose(step, q, epsilon, int(row["actions"]), random)
            else:
                action, advised = straight.action, NO_ACTION
            if not self._promising or self._link.stopped:  # there are better things to do
                ending = self._broken_off()
                self._telling.cut(step, q)
                break
            step = self._environment.step(action)
            self._exchange(int(row["actions"]) + 1)
            self._keep(step, row, first_step)
            left = not self._promising or (straight is not None and straight.stalls(step))
            ending = step.ending or (self._broken_off() if left or self._link.stopped else "")
            q = self._q(step.state)
            silent = self._telling.silent
            self._telling.go_on(action, advised, step, q, ending, self._visit(step, row, silent))
            self._note_failure(step, row)
            if self._behind and not silent and not ending:
                self._telling.cut(step, q)
                self._telling.silent = True

        self._telling.end()
        self._spent[policy] += int(row["actions"])
        self._commit(row, ending, started)
        if self._failures >= MOST_FAILURES:
            raise EngineError(
                f"its simulation failed {self._failures} times in a row, the last time: {step.failure}"
            )

    def _policy(self) -> Literal["straight", "greedy", "explore"]:
        """Return how the next episode is played.

        By the network alone if there is room for an episode as long as episodes may be. In a planned exploration the
        first of all goes straight to the goal: what is found is compared with it.
        """
        if self.config.exploration.kind == "planned" and (self.number, self._episode) == (1, 1):
            return "straight"
        room = self.config.exploration.greedy_share * self._spent.total() - self._spent[b"greedy"]
        return "greedy" if room >= self.config.episode.max_actions else "explore"

    def _begin(self, row: np.void, random: np.random.Generator) -> Step:
        """Begin an episode, and note how it is played.

        If the exploration is planned, it goes on from a state of the archive with probability ε. Where that is not
        worth while any more, it is practice from the start: the network plays, and the plan's actions come between
        with an ε that changes from episode to episode, so that the network finds out what its own ways are worth, and
        better ones.
        """
        row["policy"] = policy = self._policy()
        row["epsilon"] = self.epsilon if policy == "explore" else 0.0
        seed, explore = int(random.integers(1 << 31)), bool(random.random() < row["epsilon"])
        if self._guide is None:
            return self._environment.reset(seed)
        station = self._guide.begin(explore, (self._spent[b"explore"], self._spent[b"practise"]))
        row["parent_agent"], row["parent_episode"], row["parent_frame"] = self._guide.origin
        if self._guide.practises:
            row["policy"], row["epsilon"] = "practise", random.random()
        return self._environment.reset(seed, station)

    @property
    def _promising(self) -> bool:
        return self._guide is None or self._guide.promising

    def _broken_off(self) -> str:
        return "stopped" if self._link.stopped else "left"

    def _choose(
        self, step: Step, q: np.ndarray, epsilon: float, actions: int, random: np.random.Generator
    ) -> tuple[int, int]:
        """Return the next action, and the one that the network is to learn from the plan (NO_ACTION: none).

        With probability ε it is one that explores, else the best by the network.
        """
        guide = self._guide
        if guide is None:
            return choose(q, epsilon, step.forbidden, random), NO_ACTION
        if guide.explores or not self.config.learning.imitation:
            return choose(q, epsilon, step.forbidden, random, lambda: guide.choose(step, actions)), NO_ACTION
        wish = guide.choose(step, actions)
        learned = NO_ACTION if wish is None or wish == step.forbidden or not guide.arrived else wish
        return choose(q, epsilon, step.forbidden, random, lambda: wish), learned

    def _commit(self, row: np.void, ending: str, started: float) -> None:
        """Write the episode and tell the learner, unless it was broken off and is to be played again."""
        if ending == "stopped" and not self._link.writes_last:
            return
        row["outcome"] = ending.encode()
        row["wall_time"] = time.monotonic() - started
        row["ended"] = time.monotonic() - self._began
        written = self._writer.write_episode(row)
        log.info("episode %d: %s after %d actions, %.2f Å", self._episode, ending, row["actions"], row["progress"])
        self._link.send(Tag.EPISODE, np.array([written], dtype=EPISODE))

    def _keep(self, step: Step, row: np.void, first_step: int) -> None:
        """Write a step's frame and carry it into the episode's record."""
        row["actions"] = row["actions"] + (step.frame is None or step.frame.action >= 0)
        for term, value in zip(REWARD_TERMS, step.terms, strict=True):
            row[term] += value
        row["total_reward"] += step.reward
        row["final_x"], row["progress"] = step.coordinate, step.progress
        row["highest_energy"], row["climb"] = step.heights.rise, step.heights.climb
        if step.frame is not None:
            if self._guide is not None:
                self._guide.note(step)
            self._writer.write_frame(replace(step.frame, step=first_step + step.frame.step))

    def _visit(self, step: Step, row: np.void, silent: bool) -> np.ndarray | None:
        """Return what the planner is told of a step, if there is one and the material did not fail."""
        if self._guide is None or silent or step.frame is None:
            return None
        return self._guide.visit(step, self._episode, int(row["actions"]))

    def _note_failure(self, step: Step, row: np.void) -> None:
        """Count failures that nothing comes between."""
        if step.failure is None:
            self._failures = 0
            return
        self._failures += 1
        row["failure"] = step.failure.kind
        log.info("%s: the simulation failed (%s): %s", logs.Place.doing, step.failure.kind, step.failure)
