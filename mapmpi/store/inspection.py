"""Whether a trajectory is whole: what its table names is there, and can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mapmpi.errors import UserError
from mapmpi.store.trajectory import TrajectoryReader

_ADVICE = "restore the file from a copy, or move it out of the run directory"


def inspect(path: Path, every_frame: bool = False) -> tuple[int, np.ndarray]:
    """Return the agent of a trajectory and its table of episodes, (episodes,) of dtype EPISODE.

    Reads the table, and the frames of the last episode that has
    any, which a killed writer or a full disk hurts first; with ``every_frame`` those of all. Raises UserError with
    what is wrong.
    """
    with TrajectoryReader(path) as reader:
        agent, table = reader.agent, reader.episodes
        _check_table(path, agent, table)
        _check_steps(path, reader, every_frame)
    return agent, table


def _check_table(path: Path, agent: int, table: np.ndarray) -> None:
    """Refuse a table whose episodes are another agent's, or come twice."""
    if (table["agent"] != agent).any() or agent < 1:
        other = table["agent"][table["agent"] != agent]
        raise UserError(f"{path} is agent {agent}'s and has episodes of agent {other[:1].tolist()}; {_ADVICE}.")
    numbers, counts = np.unique(table["episode"], return_counts=True)
    if (counts > 1).any():
        raise UserError(f"{path} has episode {numbers[counts > 1][0]} more than once; {_ADVICE}.")


def _check_steps(path: Path, reader: TrajectoryReader, every_frame: bool) -> None:
    """Read frames, whose reader refuses what are no numbers, and refuse steps that do not increase."""
    filled = np.nonzero(reader.episodes["frames"])[0]
    before = -1
    for row in filled if every_frame else filled[-1:]:
        data = reader.episode(int(row))
        if not (np.diff([before, *data.steps]) > 0).all():
            number = data.record["episode"]
            raise UserError(f"{path} is damaged: episode {number} has steps that do not increase; {_ADVICE}.")
        before = int(data.steps[-1])
