"""Runs in which episodes continue others, written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from mapmpi.climb import Heights
from mapmpi.store.records import EPISODE, Frame
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.writer import TrajectoryWriter

START = Atoms(
    "SiOOH", [[1.0, 1.0, 1.0], [9.8, 5.0, 5.0], [5.0, 5.0, 2.0], [3.0, 8.0, 6.0]], cell=[10.0] * 3, pbc=True
)


@dataclass(frozen=True)
class Episode:
    """An episode to be written: its numbers, the energies in eV of its frames, and the frame that it continues.

    ``way``: where its first frame is, in Å along x; each further one 0.1 Å farther. ``climb``: eV, as the table has
    it; None: of its own energies.
    """

    agent: int
    number: int
    energies: Sequence[float]
    parent: tuple[int, int, int] = (0, 0, 0)
    way: float = 0.0
    climb: float | None = None
    outcome: bytes = b"goal"
    progress: float = 6.0


def write(run: RunDirectory, *episodes: Episode) -> None:
    """Write episodes into a run directory, those of an agent in their order."""
    for agent in sorted({one.agent for one in episodes}):
        write_file(run.trajectory(agent), *(one for one in episodes if one.agent == agent))


def write_file(path: Path, *episodes: Episode) -> None:
    """Write the episodes of one agent; steps go by 10."""
    agent = episodes[0].agent
    writer = TrajectoryWriter(path, START, agent, 0.5, {})
    for one in episodes:
        for index, energy in enumerate(one.energies):
            place = one.way + 0.1 * index
            writer.write_frame(
                Frame(
                    step=writer.last_step + (10 if writer.frames or index else 1),
                    positions=START.positions + [place, 0.0, 0.0],
                    potential_energy=energy,
                    temperature=10.0,
                    agent_position=np.array([place, 0.0, 0.0]),
                    tagged_position=np.zeros(3),
                    action=index - 1,
                    reward_terms=np.full(6, agent),
                )
            )
        row = np.zeros((), EPISODE)
        row["agent"], row["episode"] = agent, one.number
        row["outcome"], row["progress"] = one.outcome, one.progress
        row["parent_agent"], row["parent_episode"], row["parent_frame"] = one.parent
        own = Heights.of(np.array(one.energies)).climb if len(one.energies) else 0.0
        row["climb"] = own if one.climb is None else one.climb
        writer.write_episode(row[()])


# Agent 1's first episode passes a barrier; agent 2 continues it from frame 2 while it goes on to a step limit, and
# agent 1 continues that of agent 2 from its frame 1:
#
#   1:1   0.0  2.0  0.5  3.0          0.5 = frame 2
#   2:1             0.5 -1.0  1.5     -1.0 = frame 1
#   1:2                 -1.0  0.0  0.2
#
FAMILY = (
    Episode(1, 1, [0.0, 2.0, 0.5, 3.0], outcome=b"step_limit"),
    Episode(2, 1, [0.5, -1.0, 1.5], (1, 1, 2), 0.2, climb=2.5),
    Episode(1, 2, [-1.0, 0.0, 0.2], (2, 1, 1), 0.3, climb=2.0),
)
