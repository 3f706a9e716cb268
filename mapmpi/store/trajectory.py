"""The trajectory of an agent as it is read: all frames of its episodes in one H5MD file, laid out as in ``layout``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from ase import Atoms

from mapmpi.errors import UserError, why
from mapmpi.store import durable, layout
from mapmpi.store.layout import FRAME_DATA, STEP, EpisodeData
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.vetting import ERRORS, Unsound, attribute


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file leads to into one sentence."""
    try:
        yield
    except layout.OtherVersion:
        raise UserError(
            f"{path} was written by another version of mapmpi, whose episodes have other columns; use that version "
            "for its run, or train anew."
        ) from None
    except ERRORS as error:
        raise UserError(
            f"{path} is not a trajectory file of mapmpi, or is damaged ({why(error)}); take it out of the run "
            "directory."
        ) from None


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
        with telling(self.path):
            self._file = durable.reading(path)
        try:
            with telling(self.path):
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
        with telling(self.path):
            return int(self._file[STEP][self.frames - 1]) if self.frames else -1

    def atoms_template(self) -> Atoms:
        """Return the structure that the agent was given, with cell and periodicity."""
        return self._start.copy()

    def all_energies(self) -> np.ndarray:
        """Return the energies (frames,) eV of all episodes, one after the other, without reading positions."""
        with telling(self.path):
            energies: np.ndarray = self._file[FRAME_DATA["potential_energy"]][: self.frames]
            if not np.isfinite(energies).all():
                raise Unsound("an energy is not a number")
        return energies

    def episode(self, row: int, stop: int | None = None) -> EpisodeData:
        """Return the episode of a row of ``episodes``, its frames up to ``stop`` (not included; None: all).

        A negative row counts from the end. Raises IndexError.
        """
        record = self.episodes[row]
        first, count = int(record["first_frame"]), int(record["frames"])
        rows = slice(first, first + (count if stop is None else min(stop, count)))
        with telling(self.path):
            data = {field: self._file[name][rows] for field, name in FRAME_DATA.items()}
            for field, values in data.items():
                if not np.isfinite(values).all():
                    raise Unsound(f"{field} of episode {record['episode']} is not a number everywhere")
        return EpisodeData(
            record=record,
            cell=self._start.cell.array.copy(),
            steps=data.pop("step"),
            actions=data.pop("action"),
            positions=data.pop("positions").astype(float),
            **data,
        )


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
