"""What a training has done so far: its counters, its episodes, and the rows of metrics.csv and learner.csv."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Any

import numpy as np

from mapmpi.rl.dqn import UpdateStats
from mapmpi.store.events import EventLog
from mapmpi.store.metrics import LEARNER_FIELDS, METRICS_FIELDS, CsvLog, episode_row, read_metrics
from mapmpi.store.rundir import RunDirectory

RECENT_EPISODES = 100
"""Episodes in the means that are reported."""
VERSIONS = 10_000
"""Gradient steps of which it is remembered after how many actions they were made."""


class Books:
    """The books of a training in its run directory, gone on with where they were left."""

    def __init__(self, directory: RunDirectory, agents: int = 1, tensorboard: bool = False) -> None:
        """Open the logs, with ``tensorboard`` event files, too. Raises OSError, or UserError for other logs."""
        self._agents = agents
        self.actions, self.transitions = 0, 0
        self.episodes: list[np.void] = list(read_metrics(directory.metrics)) if directory.metrics.exists() else []
        self._numbers: dict[int, set[int]] = defaultdict(set)  # of each agent's episodes
        for episode in self.episodes:
            self._note(episode)
        self.stats: deque[UpdateStats] = deque(maxlen=RECENT_EPISODES)
        self._metrics = CsvLog(directory.metrics, METRICS_FIELDS)
        self._log = CsvLog(directory.learner, LEARNER_FIELDS)
        self._events = EventLog(directory) if tensorboard else None
        self._last = (0.0, 0, 0)
        self.message_s, self.plan_s = 0.0, 0.0
        """Processor time spent on messages, and on plans, since the last report."""
        self._untold = 0
        self._ages: list[int] = []
        self._first_version, self._made_at = 0, deque([0], maxlen=VERSIONS)

    def add(self, episode: np.void) -> bool:
        """Take an episode (dtype EPISODE) into metrics.csv; return whether it was new. Raises OSError."""
        if int(episode["episode"]) in self._numbers[int(episode["agent"])]:
            return False
        self._metrics.write(episode_row(episode))
        if self._events is not None:
            self._events.episode(episode)
        self._note(episode)
        self.episodes.append(episode)
        return True

    def _note(self, episode: np.void) -> None:
        self._numbers[int(episode["agent"])].add(int(episode["episode"]))

    def catch_up(self, episodes: Iterable[np.void], count_actions: bool) -> None:
        """Add the episodes that are in trajectories and were not written here. Raises OSError.

        With ``count_actions``, actions that are newer than the checkpoint count, too: they need not be made again.
        """
        for episode in episodes:
            self.add(episode)
        if count_actions:
            self.actions = max(self.actions, sum(int(episode["actions"]) for episode in self.episodes))

    def begin(self, elapsed_s: float, updates: int) -> None:
        """Say where the rates of the first report are counted from."""
        self._first_version = updates
        self._made_at = deque([self.actions], maxlen=VERSIONS)
        self._last = (elapsed_s, self.actions, updates)

    def last_episode(self, agent: int) -> int:
        """Return the highest number of an agent's episodes; 0 before the first."""
        return max(self._numbers[agent], default=0)

    def add_action(self, acted: int, version: int) -> None:
        """Count an action (1; 0 for the start of an episode) by an agent that acts by weights of a version."""
        self.actions += acted
        later = max(version + 1 - self._first_version, 0)  # as old as is remembered, where it is older
        if acted:
            self._ages.append(self.actions - self._made_at[later] if later < len(self._made_at) else 0)

    def add_untold(self, actions: int) -> None:
        """Count actions of which their agent told nothing else."""
        self.actions += actions
        self._untold += actions

    def add_update(self, stats: UpdateStats) -> None:
        """Note a gradient step, and when there were newer weights."""
        self.stats.append(stats)
        self._first_version += len(self._made_at) == VERSIONS
        self._made_at.append(self.actions)

    def report(self, elapsed_s: float, updates: int, buffered: int) -> dict[str, float]:
        """Return a row of learner.csv over the time since the last, and append it there. Raises OSError.

        elapsed_s: of the whole training; updates and ``buffered`` transitions: as of now.
        """
        then, actions, earlier_updates = self._last
        self._last = (elapsed_s, self.actions, updates)
        span = max(elapsed_s - then, 1e-9)
        recent = self.episodes[-RECENT_EPISODES:]
        mean = {name: _mean([getattr(item, name) for item in self.stats]) for name in ("loss", "td_error", "q")}
        row = {
            "elapsed_s": elapsed_s,
            "actions": self.actions,
            "episodes": len(self.episodes),
            "transitions": self.transitions,
            "buffer": buffered,
            "updates": updates,
            "loss": mean["loss"],
            "td_error": mean["td_error"],
            "mean_q": mean["q"],
            "actions_per_s": (self.actions - actions) / span,
            "updates_per_s": (updates - earlier_updates) / span,
            "message_share": self.message_s / span,
            "plan_share": self.plan_s / span,
            "weights_age": float(np.median(self._ages)) / self._agents if self._ages else np.nan,
            "untold": self._untold / max(self.actions - actions, 1),
            "best_progress": max((float(e["progress"]) for e in self.episodes), default=np.nan),
            "best_climb": min(
                (float(e["climb"]) for e in self.episodes if e["outcome"] == b"goal"), default=np.nan
            ),
            "best_reward": max((float(e["total_reward"]) for e in self.episodes), default=np.nan),
            "mean_reward": _mean([float(e["total_reward"]) for e in recent]),
        }
        self.stats.clear()
        self.message_s, self.plan_s, self._untold = 0.0, 0.0, 0
        self._ages.clear()
        self._log.write(row)
        if self._events is not None:
            self._events.report(row)
        return row

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return the counters for a checkpoint; the episodes are in metrics.csv."""
        return {"actions": np.array(self.actions), "transitions": np.array(self.transitions)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the counters of a checkpoint."""
        self.actions, self.transitions = int(state["actions"]), int(state["transitions"])


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
