"""An agent: plays episodes in its environment, keeps their trajectory, and tells the learner."""

from __future__ import annotations

import time
from typing import Literal

import numpy as np

from mapmpi.config import Config
from mapmpi.env.environment import TERMINAL, Step
from mapmpi.parallel.messages import AgentLink, Tag, experience_dtype
from mapmpi.rl.exploration import choose
from mapmpi.rl.inference import QFunction
from mapmpi.rl.returns import TRANSITION, NStep
from mapmpi.store.records import EPISODE, REWARD_TERMS
from mapmpi.store.trajectory import TrajectoryWriter
from mapmpi.train.lockstep import Lockstep

_PAUSE_S = 0.005


def how_ended(ending: str) -> Literal["", "terminal", "truncated"]:
    """Return what an episode's ending means for its returns."""
    if not ending:
        return ""
    return "terminal" if ending in TERMINAL else "truncated"


class Agent:
    """Agent ``number`` (from 1) with exploration rate ``epsilon``, on the first rank of its group.

    It never waits for the learner except for the first weights: experience goes out unasked, weights are asked
    for every ``train.weights_interval`` actions and taken when they come.
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
    ) -> None:
        self.number, self.epsilon, self.config = number, epsilon, config
        self._environment, self._q, self._link, self._writer = environment, q_function, link, writer
        self._returns = NStep(config.learning.steps, config.learning.discount)
        self._random = np.random.default_rng([config.seed, number])
        self._record = experience_dtype(environment.environment.grid.shape, TRANSITION, config.learning.steps)
        self._sequence, self._episode, self._actions = 0, 0, 0
        self._began = began

    def run(self) -> None:
        """Play until the learner says stop, and tell it when all is on disk."""
        self._link.ask_for_weights()
        while self._link.version < 0 and not self._link.stopped:
            self._take_weights()
            time.sleep(_PAUSE_S)
        while not self._link.stopped:
            self._play()
        self._environment.close()
        self._link.send(Tag.GOODBYE, np.zeros(1, dtype="i8"))
        self._link.wait()

    def _take_weights(self) -> None:
        weights = self._link.look()
        if weights is not None:
            self._q.load(weights)

    def _tell(self, step: Step, transitions: np.ndarray, acted: bool) -> None:
        """Send a state under a new number, with the transitions that it completes."""
        record = np.zeros(1, dtype=self._record)
        record["sequence"], record["acted"] = self._sequence, acted
        record["transitions"] = len(transitions)
        record["transition"][0, : len(transitions)] = transitions
        record["state"] = step.state
        self._link.send(Tag.EXPERIENCE, record)

    def _play(self) -> None:
        """Play one episode."""
        greedy_every = self.config.exploration.greedy_every
        self._episode += 1
        epsilon = 0.0 if greedy_every and self._episode % greedy_every == 0 else self.epsilon
        row = np.zeros(1, dtype=EPISODE)[0]
        row["agent"], row["episode"], row["epsilon"] = self.number, self._episode, epsilon
        started = time.monotonic()

        step = self._environment.reset(int(self._random.integers(1 << 31)))
        q = self._q(step.state)
        self._sequence += 1
        self._returns.start(self._sequence, q)
        self._tell(step, np.empty(0, dtype=TRANSITION), acted=False)
        self._keep(step, row)
        ending: str = ""
        while not ending:
            action, _ = choose(q, epsilon, step.forbidden, self._random)
            step = self._environment.step(action)
            self._take_weights()
            ending = step.ending or ("stopped" if self._link.stopped else "")
            q = self._q(step.state)
            self._sequence += 1
            finished = self._returns.step(
                action, step.reward, self._sequence, q, step.forbidden, how_ended(ending)
            )
            self._tell(step, finished, acted=True)
            self._keep(step, row)
            self._actions += 1
            if self._actions % self.config.train.weights_interval == 0:
                self._link.ask_for_weights()

        row["outcome"] = ending.encode()
        row["wall_time"] = time.monotonic() - started
        row["ended"] = time.monotonic() - self._began
        written = self._writer.write_episode(row)
        self._link.send(Tag.EPISODE, np.array([written], dtype=EPISODE))

    def _keep(self, step: Step, row: np.void) -> None:
        """Write a step's frame and carry it into the episode's record."""
        row["actions"] = row["actions"] + (step.frame is None or step.frame.action >= 0)
        for term, value in zip(REWARD_TERMS, step.terms, strict=True):
            row[term] += value
        row["total_reward"] += step.reward
        row["final_x"], row["progress"] = step.coordinate, step.progress
        row["highest_energy"] = step.highest_rise
        if step.frame is not None:
            self._writer.write_frame(step.frame)
