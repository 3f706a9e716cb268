"""The trajectory of an agent as it is written, and mended where its writer was killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase import Atoms

from mapmpi.errors import UserError
from mapmpi.store import durable, h5md, layout
from mapmpi.store.layout import EPISODES, FRAME_DATA, STEP
from mapmpi.store.records import EPISODE, REWARD_TERMS, Frame
from mapmpi.store.trajectory import TrajectoryReader, telling
from mapmpi.store.vetting import member


class TrajectoryWriter:
    """Writes the trajectory of one agent, an episode at a time.

    An episode's frames stay in memory (some MB) until ``write_episode``; the file is open only then, and a
    killed writer loses the present episode and nothing else. There is nothing to close.
    """

    def __init__(
        self, path: Path, atoms: Atoms, agent: int, timestep_fs: float, attributes: dict[str, Any]
    ) -> None:
        """Create the file for ``atoms``, whose cell and elements all frames have.

        ``attributes`` become attributes of the group ``mapmpi``. Raises UserError if the file exists.
        """
        if path.exists():
            raise UserError(f"{path} exists and is never overwritten; choose another run directory.")
        with durable.replacing(path) as file:
            layout.create(file, atoms, agent, timestep_fs, attributes)
        self._open(path)

    @classmethod
    def resume(cls, path: Path) -> TrajectoryWriter:
        """Go on with a file whose writer has ended, at the end of its last whole episode.

        Raises UserError for a file that is not a trajectory.
        """
        repair(path)
        writer = cls.__new__(cls)
        writer._open(path)
        return writer

    def _open(self, path: Path) -> None:
        with TrajectoryReader(path) as reader:
            self.path = path
            self._atoms = reader.atoms_template()
            self._timestep = reader.timestep_fs
            self.agent = reader.agent
            self.frames = reader.frames
            self.last_step = reader.last_step
            self.last_episode = int(reader.episodes["episode"].max(initial=0))
        self._buffer: list[Frame] = []

    def write_frame(self, frame: Frame) -> None:
        """Add a frame to the present episode. Raises ValueError if it does not fit the trajectory."""
        if frame.step <= self.last_step:
            raise ValueError(f"step {frame.step} does not come after step {self.last_step}")
        shapes = {
            "positions": (len(self._atoms), 3),
            "agent_position": (3,),
            "tagged_position": (3,),
            "reward_terms": (len(REWARD_TERMS),),
        }
        # Copies: engines hand out the same array every time.
        arrays: dict[str, Any] = {name: np.array(getattr(frame, name), dtype=float) for name in shapes}
        for name, shape in shapes.items():
            if arrays[name].shape != shape:
                raise ValueError(f"{name} of shape {arrays[name].shape}, expected {shape}")
        self._buffer.append(replace(frame, **arrays))
        self.last_step = frame.step

    def write_episode(self, row: np.void) -> np.void:
        """Write the present episode's frames, then its row (dtype EPISODE), and begin the next episode.

        Returns the row as written: with ``first_frame`` and ``frames`` filled in. An episode that the file has
        already, because a training was set back behind it and played it again, is not written twice. Raises
        ValueError if the row is another agent's, OSError when the file cannot be written.
        """
        if row["agent"] != self.agent:
            raise ValueError(f"an episode of agent {row['agent']} in the trajectory of agent {self.agent}")
        if 0 < row["episode"] <= self.last_episode:
            self._open(self.path)
            return row
        record = row.copy()
        record["first_frame"] = self.frames
        record["frames"] = len(self._buffer)
        with durable.appending(self.path) as file:
            if self._buffer:
                self._append_frames(file)
            self._append_row(file, record)
        self.frames += len(self._buffer)
        self.last_episode = int(record["episode"])
        self._buffer.clear()
        return record

    def _append_frames(self, file: h5py.File) -> None:
        frames = self._buffer
        columns = {
            path: np.array([getattr(frame, field) for frame in frames]) for field, path in FRAME_DATA.items()
        }
        edges = h5md.box_edges(self._atoms.cell.array)
        columns[layout.TIME] = columns[STEP] * self._timestep
        columns[layout.SPECIES] = np.tile(self._atoms.numbers, (len(frames), 1))
        columns[layout.EDGES] = np.repeat(edges[None], len(frames), axis=0)
        for name, rows in columns.items():
            durable.append(file[name], rows)
        durable.sync(file)

    def _append_row(self, file: h5py.File, record: np.void) -> None:
        durable.append(file[EPISODES], np.array([record], dtype=EPISODE))
        durable.sync(file)


def repair(path: Path) -> bool:
    """Make a killed writer's file an ordinary one again, cut to its whole episodes; return whether it needed it.

    Only for a file that nobody writes any more. Raises UserError for a file that is not a trajectory.
    """
    marked = durable.clear_mark(path)
    with TrajectoryReader(path) as reader:
        frames = reader.frames
    with telling(path), h5py.File(path, "r+", libver=("v110", "v110"), locking=False) as file:
        sets = [member(file, name) for name in layout.PER_FRAME]
        surplus = [one for one in sets if len(one) > frames]
        for one in surplus:
            one.resize(frames, axis=0)
    return marked or bool(surplus)
