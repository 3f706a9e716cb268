"""Which episodes continue which: the whole path of each from the start, as the tables alone tell it.

An episode may begin from a state that an earlier one passed through, its parent's frame, and that one from another's.
An agent killed in the middle of an episode leaves no row of it, though others may have gone on from its frames by
then: they are orphans, and have no whole path.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mapmpi.errors import UserError
from mapmpi.store.records import EPISODE

_SAME_CLIMB_DIGITS = 6
"""Decimals of a climb in eV that count: metrics.csv rounds the rest."""

Place = tuple[int, int, int]
"""A frame of a run: agent, episode, and frame of the episode from 0."""


class Orphan(UserError):
    """An episode has no whole path: what it continues is not stored."""


@dataclass(frozen=True)
class Stretch:
    """The frames from ``start`` up to ``stop`` (not included) of an episode that are a part of a whole path."""

    agent: int
    episode: int
    start: int
    stop: int

    @property
    def last(self) -> Place:
        """The place up to which a path leads that ends with this stretch."""
        return self.agent, self.episode, self.stop - 1


class Ancestry:
    """The episodes of a run by their agents and numbers, and what each continues."""

    def __init__(self, episodes: np.ndarray | Sequence[np.void]) -> None:
        """Take the rows (episodes,) of dtype EPISODE; of two with the same numbers, the first."""
        table = np.array(episodes, dtype=EPISODE)
        names = ("agent", "episode", "frames", "parent_agent", "parent_episode", "parent_frame")
        self._frames: dict[tuple[int, int], int] = {}
        self._parents: dict[tuple[int, int], Place] = {}
        for agent, episode, frames, *parent in zip(*(table[name].tolist() for name in names), strict=True):
            if (agent, episode) in self._frames:
                continue
            self._frames[agent, episode] = frames
            if parent[0] > 0:
                self._parents[agent, episode] = (parent[0], parent[1], parent[2])

    def holds(self, place: Place) -> bool:
        """Tell whether a frame is stored."""
        return 0 <= place[2] < self._frames.get(place[:2], 0)

    def parent(self, agent: int, episode: int) -> Place | None:
        """Return the frame that an episode continues; None if it begins at the start."""
        return self._parents.get((agent, episode))

    def chain(self, agent: int, episode: int) -> list[Stretch]:
        """Return the stretches of the whole path of an episode, from the start.

        The first frame of an episode that continues another shows what its parent's does, and is left out. Raises
        Orphan where an ancestor is not stored, UserError for an episode without frames or, which only a damaged file
        can cause, one that continues itself, and KeyError for one that is not there.
        """
        found: list[Stretch] = []
        seen: set[tuple[int, int]] = set()
        here, stop = (agent, episode), self._frames[agent, episode]
        while here not in seen:
            seen.add(here)
            parent = self._parents.get(here)
            if parent is None:
                if stop == 0:
                    raise UserError(f"agent {agent} episode {episode} has no frames; choose another episode.")
                return [Stretch(*here, 0, stop), *reversed(found)]
            if not self.holds(parent):
                raise Orphan(
                    f"agent {agent} episode {episode} has no beginning: no trajectory holds frame {parent[2]} of "
                    f"agent {parent[0]} episode {parent[1]}, which was lost when its writer was killed, or "
                    "is not at its end yet; choose another episode."
                )
            found.append(Stretch(*here, 1, max(stop, 1)))
            here, stop = parent[:2], parent[2] + 1
        raise UserError(
            f"agent {here[0]} episode {here[1]} would continue itself, so the table of a trajectory is damaged; take "
            "the file out of the run directory."
        )

    def frames(self, agent: int, episode: int) -> int:
        """Return the number of frames of an episode's whole path. Raises as :meth:`chain`."""
        return sum(stretch.stop - stretch.start for stretch in self.chain(agent, episode))


def standing(climb_ev: float, frames: int, agent: int, episode: int) -> tuple[float, int, int, int]:
    """Return the sort key of an episode that reached the goal, the best first, by what its whole path is.

    The smaller climb first, then the fewer frames.
    """
    return round(climb_ev, _SAME_CLIMB_DIGITS), frames, agent, episode


def best_first(episodes: Iterable[np.void]) -> list[np.void]:
    """Return the episodes that reached the goal and have a whole path, the best first, by their tables alone."""
    rows = list(episodes)
    ancestry = Ancestry(rows)
    ranked = []
    for row in rows:
        agent, episode = int(row["agent"]), int(row["episode"])
        if row["outcome"] != b"goal":
            continue
        try:
            frames = ancestry.frames(agent, episode)
        except UserError:
            continue
        ranked.append((standing(float(row["climb"]), frames, agent, episode), row))
    return [row for _, row in sorted(ranked, key=lambda pair: pair[0])]
