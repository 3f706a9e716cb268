"""The trajectory of an agent: every frame of every episode in one H5MD file, laid out as in ``layout``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase import Atoms

from mapmpi.errors import UserError
from mapmpi.store import durable, h5md, layout
from mapmpi.store.layout import EPISODES, FRAME_DATA, STEP, EpisodeData
from mapmpi.store.records import EPISODE, REWARD_TERMS, Frame
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.vetting import ERRORS, Unsound, attribute, member


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file leads to into one sentence."""
    try:
        yield
    except layout.OtherVersion:
        raise UserError(
            f"{path} was written by another version of mapmpi, whose episodes have other columns; use that version "
            "for its run, or train anew."
        ) from None
    except ERRORS as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} is not a trajectory file of mapmpi, or is damaged ({reason}); take it out of the run directory."
        ) from None


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
        durable.create(path, lambda file: layout.create(file, atoms, agent, timestep_fs, attributes))
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
            self.episodes = len(reader.episodes)
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
        self.episodes += 1
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


def start_structure(run: RunDirectory) -> Atoms:
    """Return the structure at the start of every episode of a run. Raises UserError where nothing was trained yet."""
    files = run.trajectory_files()
    if not files:
        raise UserError(f"{run.trajectories} holds no trajectory; give the folder of a training that ran.")
    with TrajectoryReader(files[0]) as reader:
        return reader.atoms_template()


class TrajectoryReader:
    """Reads the whole episodes of a trajectory, also while it is being written. Use it as a context.

    ``episodes`` is the table as of the opening, (episodes,) of dtype EPISODE.
    """

    def __init__(self, path: Path | str) -> None:
        """Open the file. Raises UserError when it is not there, not a trajectory of mapmpi, or damaged."""
        self.path = path = Path(path)
        if not path.is_file():
            raise UserError(f"{path}: no such file; give a trajectory of a run directory.")
        with _telling(self.path):
            self._file = durable.reading(path)
        try:
            with _telling(self.path):
                self.episodes, self._start = layout.read_frame_table(self._file), layout.read_start(self._file)
                self.agent = int(attribute(self._file["mapmpi"], "agent"))
                self.timestep_fs = float(attribute(self._file["mapmpi"], "timestep"))
        except UserError:
            self._file.close()
            raise

    def __enter__(self) -> TrajectoryReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def frames(self) -> int:
        """Number of frames of all whole episodes."""
        return int(self.episodes[-1]["first_frame"] + self.episodes[-1]["frames"]) if len(self.episodes) else 0

    @property
    def last_step(self) -> int:
        """MD step of the last frame; -1 before the first."""
        with _telling(self.path):
            return int(self._file[STEP][self.frames - 1]) if self.frames else -1

    def atoms_template(self) -> Atoms:
        """Return the structure that the agent was given, with cell and periodicity."""
        return self._start.copy()

    def all_energies(self) -> np.ndarray:
        """Return the energies (frames,) eV of all episodes, one after the other, without reading positions."""
        with _telling(self.path):
            energies: np.ndarray = self._file[FRAME_DATA["potential_energy"]][: self.frames]
            if not np.isfinite(energies).all():
                raise Unsound("an energy is not a number")
        return energies

    def episode(self, row: int, stop: int | None = None) -> EpisodeData:
        """Return the episode of a row of ``episodes``, its frames up to ``stop`` (not included; None: all).

        A negative row counts from the end. Raises IndexError.
        """
        data = self._rows(row, stop)
        return EpisodeData(
            record=self.episodes[row],
            cell=self._start.cell.array.copy(),
            steps=data.pop("step"),
            actions=data.pop("action"),
            positions=data.pop("positions").astype(float),
            **data,
        )

    def _rows(self, row: int, stop: int | None) -> dict[str, np.ndarray]:
        """Return the rows of an episode, up to ``stop``, from the data sets of all fields of a frame."""
        record = self.episodes[row]
        count = int(record["frames"]) if stop is None else min(stop, int(record["frames"]))
        rows = slice(int(record["first_frame"]), int(record["first_frame"]) + count)
        with _telling(self.path):
            data = {field: self._file[name][rows] for field, name in FRAME_DATA.items()}
            for field, values in data.items():
                if not np.isfinite(values).all():
                    raise Unsound(f"{field} of episode {record['episode']} is not a number everywhere")
        return data


def repair(path: Path) -> bool:
    """Make a killed writer's file an ordinary one again, cut to its whole episodes; return whether it needed it.

    Only for a file that nobody writes any more. Raises UserError for a file that is not a trajectory.
    """
    marked = durable.clear_mark(path)
    with TrajectoryReader(path) as reader:
        frames = reader.frames
    with _telling(path), h5py.File(path, "r+", libver=("v110", "v110"), locking=False) as file:
        sets = [member(file, name) for name in layout.PER_FRAME]
        surplus = [one for one in sets if len(one) > frames]
        for one in surplus:
            one.resize(frames, axis=0)
    return marked or bool(surplus)


def episode_atoms(template: Atoms, episode: EpisodeData) -> list[Atoms]:
    """Return an episode's frames as structures for extxyz and other formats; unwrapped positions.

    ``template`` is ``TrajectoryReader.atoms_template()``; ``episode`` may be a whole path from the start
    (:meth:`mapmpi.store.wholepath.WholePaths.path`). Each frame has its energy in eV (a calculator's, and
    so in the file), and in ``info`` its step, action, and agent position in Å.
    """
    from ase.calculators.singlepoint import SinglePointCalculator  # loads what an agent does without

    images = []
    for index, positions in enumerate(episode.positions):
        atoms = template.copy()
        atoms.positions = positions
        atoms.info = {
            "step": int(episode.steps[index]),
            "action": int(episode.actions[index]),
            "agent_position": episode.agent_position[index],
            "tagged_position": episode.tagged_position[index],
        }
        atoms.calc = SinglePointCalculator(atoms, energy=float(episode.potential_energy[index]))
        images.append(atoms)
    return images
