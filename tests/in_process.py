"""Learner and one agent in one process, message by message: the real rooms, repeatable to the bit."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mpi4py import MPI

from mapmpi.config import Config
from mapmpi.env.environment import Environment
from mapmpi.md.engine import Engine
from mapmpi.parallel.messages import Message, Tag, unpack_weights
from mapmpi.rl.dqn import Learner
from mapmpi.rl.inference import QFunction
from mapmpi.rl.replay import Replay
from mapmpi.store.checkpoint import Checkpoints
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.writer import TrajectoryWriter
from mapmpi.train.agent import Agent
from mapmpi.train.books import Books
from mapmpi.train.guidance import make_guidance
from mapmpi.train.learner import Training
from mapmpi.train.lockstep import Lockstep


class DirectLink:
    """Both ends of the line: what the agent sends, the learner takes in at once, and learns what is due."""

    leaders, groups = (1,), [(1,)]

    def __init__(self) -> None:
        self.training: Training | None = None
        self.version, self.stopped, self.writes_last, self.asked = -1, False, True, False
        self._mail: np.ndarray | None = None
        self._advice: np.ndarray | None = None

    def send(self, tag: Tag, record: np.ndarray) -> None:
        assert self.training is not None
        self.training.take(Message(tag, 1, np.atleast_1d(record).view(np.uint8)))
        while self.training.learn():
            pass
        self.stopped = self.training.at_limit()

    def ask_for_weights(self) -> None:
        self.send(Tag.WANT_WEIGHTS, np.array([self.version, 1], dtype="i8"))

    def answer(self, destination: int, tag: Tag, buffer: np.ndarray) -> None:
        assert destination == 1
        if tag is Tag.WEIGHTS:
            self._mail = buffer
        else:
            self._advice = buffer

    def ask_for_advice(self, question: np.ndarray) -> np.ndarray | None:
        self.send(Tag.WANT_ADVICE, question)
        return self._advice

    def start(self) -> None:
        pass

    def look(self) -> np.ndarray | None:
        mail, self._mail = self._mail, None
        if mail is None or not len(mail):
            return None
        self.version, weights = unpack_weights(mail)
        return weights

    def wait(self) -> None:
        pass


def train(
    config: Config, make_engine: Callable[[], Engine], folder: Path, epsilon: float
) -> tuple[Training, QFunction]:
    """Train to the configuration's limit; return the learner's books and the learned Q function."""
    directory, began = RunDirectory.create(folder), time.monotonic()
    environment = Environment(config, make_engine)
    shape, actions = environment.grid.shape, len(environment.vectors)
    replay = Replay(shape, config.replay, 1)
    learner = Learner(shape, actions, config.network, config.learning, replay, config.seed)
    link = DirectLink()
    books, checkpoints = Books(directory), Checkpoints(directory.checkpoints)
    guidance = make_guidance(config, environment.engine.atoms, 1) if config.exploration.kind != "random" else None
    training = Training(config, learner, link, books, checkpoints, began, np.inf, guidance)  # type: ignore[arg-type]
    link.training = training
    writer = TrajectoryWriter(directory.trajectory(1), environment.engine.atoms, 1, config.dynamics.timestep, {})
    lockstep = Lockstep(environment, MPI.COMM_SELF)
    q_function = QFunction(shape, actions, config.network)
    Agent(1, epsilon, config, lockstep, q_function, link, writer, began).run()  # type: ignore[arg-type]
    q_function.load(learner.weights())
    return training, q_function
