"""The roll of the agents: who has left, who is lost, and from whom nothing has come for too long."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from mapmpi.logs import log
from mapmpi.units import duration_text

GOODBYE_S = 20.0
"""How long, at least, agents may take over their last action and their files; who is silent longer is lost."""
AWAY_S = 5.0
"""A learner that has not looked for so long was held up itself, by a slow file system for example."""


class Roll:
    """``ranks`` are the world ranks of each agent's group, by its number; the first leads it.

    An agent that is silent for ``limit_s`` is given up, but taken back when something comes from it after all.
    """

    def __init__(self, ranks: Mapping[int, Sequence[int]], limit_s: float) -> None:
        self.ranks, self.limit_s = ranks, limit_s
        self.left: set[int] = set()
        self.retired: set[int] = set()
        self.silent: set[int] = set()
        self._longest_s = 0.0  # longest time that an agent took between two messages
        self.begin()

    def begin(self) -> None:
        """Begin to listen."""
        self._looked = time.monotonic()
        self._heard = dict.fromkeys(self.ranks, self._looked)

    def heard(self, agent: int) -> None:
        """Note that something has come from an agent."""
        now = time.monotonic()
        if agent in self.silent:
            log.warning("agent %d (%s) is back.", agent, self.place(agent))
            self.silent.discard(agent)
        else:
            self._longest_s = max(self._longest_s, now - self._heard[agent])
        self._heard[agent] = now

    @property
    def lost(self) -> set[int]:
        """Agents that cannot go on, and those from which nothing comes."""
        return self.retired | self.silent

    def place(self, agent: int) -> str:
        """Return an agent's ranks in words."""
        ranks = self.ranks[agent]
        return f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {ranks[0]}–{ranks[-1]}"

    @property
    def lost_places(self) -> str:
        """The lost agents and their ranks in words; empty if there are none."""
        return ", ".join(f"agent {agent} ({self.place(agent)})" for agent in sorted(self.lost))

    def call(self) -> None:
        """Give up the agents from which nothing has come for too long; looks once a second."""
        now = time.monotonic()
        away = now - self._looked
        if away < 1.0:
            return
        self._looked = now
        if away > AWAY_S:  # it was the learner of whom nothing was heard
            self._heard = {agent: heard + away for agent, heard in self._heard.items()}
        for agent, heard in self._heard.items():
            if now - heard > self.limit_s and agent not in self.left | self.lost:
                log.warning(
                    "nothing has come from agent %d (%s) for %s (train.silence_limit); going on without it.",
                    agent, self.place(agent), duration_text(self.limit_s),
                )  # fmt: skip
                self.silent.add(agent)

    @property
    def all_gone(self) -> bool:
        """Whether every agent has left or is lost."""
        return len(self.left | self.lost) == len(self.ranks)

    @property
    def all_lost(self) -> bool:
        """Whether there is no agent left to go on with."""
        return len(self.lost) == len(self.ranks)

    @property
    def patience_s(self) -> float:
        """How long to wait for who has not said goodbye: an action takes as long as actions took before."""
        return max(GOODBYE_S, 2.0 * self._longest_s)

    def give_up_the_rest(self) -> None:
        """Count as lost whoever has not left."""
        self.silent |= set(self.ranks) - self.left - self.retired
