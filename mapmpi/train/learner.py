"""The learner's rank: takes in experience, makes gradient steps, answers for weights, keeps the books."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np

from mapmpi.config import Config
from mapmpi.parallel.messages import LearnerLink, Message, Tag, experience_dtype, pack_weights
from mapmpi.rl.dqn import Learner, UpdateStats
from mapmpi.rl.replay import Replay
from mapmpi.rl.returns import TRANSITION
from mapmpi.store.metrics import LEARNER_FIELDS, METRICS_FIELDS, CsvLog, episode_row
from mapmpi.store.records import EPISODE
from mapmpi.store.rundir import RunDirectory

_PAUSE_S = 0.001
GOODBYE_S = 20.0
"""How long agents may take over their last action and their files; who is silent longer counts as lost."""

RECENT_EPISODES = 100
"""Episodes in the means that are reported."""


class Training:
    """The loop on rank 0. ``agents`` maps the world rank of each group's first rank to the agent's number."""

    def __init__(
        self,
        config: Config,
        learner: Learner,
        replay: Replay,
        link: LearnerLink,
        directory: RunDirectory,
        began: float,
    ) -> None:
        self.config, self.learner, self.replay, self.link = config, learner, replay, link
        self.began = began
        self.numbers = {rank: number for number, rank in enumerate(link.leaders, start=1)}
        self.record = experience_dtype(replay.shape, TRANSITION, config.learning.steps)
        self.actions, self.transitions = 0, 0
        self.episodes: list[np.void] = []
        self.left: set[int] = set()
        self.lost: set[int] = set()
        self.interrupted = False
        self.stats: deque[UpdateStats] = deque(maxlen=RECENT_EPISODES)
        self._packed: tuple[int, np.ndarray] | None = None
        self._metrics = CsvLog(directory.metrics, METRICS_FIELDS)
        self._log = CsvLog(directory.learner, LEARNER_FIELDS)
        self._last_report = (began, 0, 0)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the training began."""
        return time.monotonic() - self.began

    def run(self, report: Callable[[dict[str, float]], None]) -> None:
        """Train until a limit is reached, then see every agent home. ``report`` gets a learner.csv row."""
        while not self.at_limit():
            self.turn()
            if time.monotonic() - self._last_report[0] >= self.config.train.report_interval:
                report(self._row())
        self.link.stop()
        self._see_home()
        report(self._row())

    def turn(self) -> None:
        """Take in what has come and make a gradient step if one is due; pause if there was nothing to do."""
        busy = self._take_messages()
        if not self.learn() and not busy:
            time.sleep(_PAUSE_S)

    def at_limit(self) -> bool:
        """Whether the training is to end."""
        stop = self.config.train.stop
        return (
            self.interrupted
            or (stop.actions is not None and self.actions >= stop.actions)
            or (stop.episodes is not None and len(self.episodes) >= stop.episodes)
            or (stop.wall_time is not None and self.elapsed_s >= stop.wall_time)
            or len(self.lost) == len(self.numbers)
        )

    def _see_home(self) -> None:
        """Take in what is still on its way until every agent has said goodbye."""
        deadline = time.monotonic() + GOODBYE_S
        while len(self.left | self.lost) < len(self.numbers) or not self.link.flushed():
            if self._take_messages():
                deadline = time.monotonic() + GOODBYE_S
            elif time.monotonic() > deadline:
                self.lost |= set(self.numbers.values()) - self.left
                return
            time.sleep(_PAUSE_S)

    def learn(self) -> bool:
        """Make a gradient step if one is due, and return whether it was.

        One is due once there is enough experience, until each transition has been replayed ``replay_ratio``
        times on average.
        """
        learning = self.config.learning
        samples = (self.learner.updates + 1) * learning.batch
        enough = self.transitions >= learning.start and len(self.replay) > 0
        if not enough or samples > learning.replay_ratio * self.transitions:
            return False
        self.stats.append(self.learner.update())
        return True

    def _take_messages(self) -> bool:
        """Take in all messages that wait; return whether there were any."""
        any_came = False
        while (message := self.link.look()) is not None:
            any_came = True
            self.take(message)
        return any_came

    def take(self, message: Message) -> None:
        """Take in one message of an agent."""
        number = self.numbers.get(message.source)
        if message.tag is Tag.EXPERIENCE:
            assert number is not None
            record = message.data.view(self.record)[0]
            self.replay.add_state(number - 1, int(record["sequence"]), record["state"])
            finished = record["transition"][: record["transitions"]]
            self.transitions += self.replay.add_transitions(number - 1, finished)
            self.actions += int(record["acted"])
        elif message.tag is Tag.WANT_WEIGHTS:
            self._answer(message.source, int(message.data.view("i8")[0]))
        elif message.tag is Tag.EPISODE:
            episode = message.data.view(EPISODE)[0]
            self.episodes.append(episode)
            self._metrics.write(episode_row(episode))
        elif message.tag is Tag.LOST:
            self.lost.add(int(message.data.view("i8")[0]))
        elif message.tag is Tag.GOODBYE:
            assert number is not None
            self.left.add(number)

    def _answer(self, source: int, has: int) -> None:
        """Send weights newer than version ``has``, packed once for all who ask."""
        version = self.learner.updates
        if has >= version:
            self.link.answer_weights(source, np.empty(0, dtype=np.float32))
            return
        if self._packed is None or self._packed[0] != version:
            self._packed = (version, pack_weights(version, self.learner.weights()))
        self.link.answer_weights(source, self._packed[1])

    def _row(self) -> dict[str, float]:
        """Return a row of learner.csv over the time since the last, and append it there."""
        now = time.monotonic()
        then, actions, updates = self._last_report
        self._last_report = (now, self.actions, self.learner.updates)
        span = max(now - then, 1e-9)
        recent = self.episodes[-RECENT_EPISODES:]
        mean = {name: _mean([getattr(item, name) for item in self.stats]) for name in ("loss", "td_error", "q")}
        row = {
            "elapsed_s": self.elapsed_s,
            "actions": self.actions,
            "episodes": len(self.episodes),
            "transitions": self.transitions,
            "buffer": len(self.replay),
            "updates": self.learner.updates,
            "loss": mean["loss"],
            "td_error": mean["td_error"],
            "mean_q": mean["q"],
            "actions_per_s": (self.actions - actions) / span,
            "updates_per_s": (self.learner.updates - updates) / span,
            "best_final_x": max((float(e["final_x"]) for e in self.episodes), default=np.nan),
            "best_reward": max((float(e["total_reward"]) for e in self.episodes), default=np.nan),
            "mean_reward": _mean([float(e["total_reward"]) for e in recent]),
        }
        self.stats.clear()
        self._log.write(row)
        return row


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
