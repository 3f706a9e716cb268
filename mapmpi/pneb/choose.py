"""Which paths are refined: the best episodes of a training, named ones, or a path that mapmpi did not make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.geometry import find_mic

from mapmpi.errors import UserError
from mapmpi.md.fixed import is_fixed
from mapmpi.path.segments import profile_segments
from mapmpi.path.tst import log_rate, prefactor_hz
from mapmpi.plausible import FARTHEST
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.trajectory import TrajectoryReader
from mapmpi.structures.files import read_frames, why

FIXED_TOLERANCE = 0.05
"""Å: files round coordinates, and by no more than that."""


@dataclass(frozen=True)
class StoredPath:
    """A path to be refined: frames (f, n, 3) Å, unwrapped, and their energies (f,) eV where they are known.

    ``reached`` tells that it came to its goal.
    """

    name: str
    source: str
    positions: np.ndarray
    energies: np.ndarray | None
    reached: bool = True


@dataclass(frozen=True)
class _Candidate:
    """An episode in a trajectory file: row of its table, and what ranks it (lower is better)."""

    file: Path
    row: int
    agent: int
    episode: int
    outcome: bytes
    progress: float
    log_time: float

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key: goal reached, then the estimated time; the others by how far they came."""
        return (0.0, self.log_time) if self.outcome == b"goal" else (1.0, -self.progress)


def log_time_estimate(energies: np.ndarray, prominence_ev: float, temperature_k: float) -> float:
    """Return ln(time/s) of a path from its raw energy profile (f,) eV, to rank paths.

    Eq. 3 with the climbs from every minimum of the profile to the next peak; they hold thermal noise and the strain
    of the tether, so only their order means anything.
    """
    climbs = [energies[s.top] - energies[s.first] for s in profile_segments(energies, prominence_ev)]
    climbs = climbs or [max(float(energies.max() - energies[0]), 0.0)]
    logs = -log_rate(np.array(climbs), temperature_k, prefactor_hz("hbar", temperature_k))
    return float(np.logaddexp.reduce(logs))


def choose_episodes(
    run: RunDirectory, named: Sequence[str], top: int, prominence_ev: float, temperature_k: float
) -> tuple[list[StoredPath], str]:
    """Return the named episodes (``AGENT:EPISODE``), or else the ``top`` best, and a sentence on the choice.

    The best are those that reached the goal, by :func:`log_time_estimate`; if none did, the one that came
    farthest. Raises UserError for an episode that is not there, and when there is none to choose from.
    """
    candidates = _candidates(run, prominence_ev, temperature_k)
    if not candidates:
        raise UserError(f"{run.trajectories} holds no episode of two frames or more; train longer.")
    if named:
        return [_read(_named(run, candidates, name)) for name in dict.fromkeys(named)], "Episodes as named."
    best = sorted(candidates, key=lambda candidate: candidate.rank)
    reached = [candidate for candidate in best if candidate.outcome == b"goal"]
    if reached:
        count = min(top, len(reached))
        said = f"The best {count} of {len(reached)} episodes that reached the goal, by the time that their raw profile"
        return [_read(candidate) for candidate in reached[:count]], f"{said} suggests."
    return [_read(best[0])], (
        f"No episode reached the goal; refining the longest path instead, {best[0].progress:.2f} Å."
    )


def _candidates(run: RunDirectory, prominence_ev: float, temperature_k: float) -> list[_Candidate]:
    """Return all episodes of a run that have a path at all."""
    found = []
    for file in run.trajectory_files():
        with TrajectoryReader(file) as reader:
            for row, record in enumerate(reader.episodes):
                if record["frames"] < 2:
                    continue
                numbers = int(record["agent"]), int(record["episode"])
                outcome, progress, log_time = bytes(record["outcome"]), float(record["progress"]), np.inf
                if outcome == b"goal":
                    log_time = log_time_estimate(reader.potential_energy(row), prominence_ev, temperature_k)
                found.append(_Candidate(file, row, *numbers, outcome, progress, log_time))
    return found


def _named(run: RunDirectory, candidates: list[_Candidate], name: str) -> _Candidate:
    for candidate in candidates:
        if name == f"{candidate.agent}:{candidate.episode}":
            return candidate
    raise UserError(
        f"--episode {name}: no such episode of two frames or more in {run.trajectories}; write AGENT:EPISODE as in "
        f"{run.metrics.name}, for example {candidates[0].agent}:{candidates[0].episode}."
    )


def _read(candidate: _Candidate) -> StoredPath:
    with TrajectoryReader(candidate.file) as reader:
        episode = reader.episode(candidate.row)
    return StoredPath(
        f"agent-{candidate.agent:05d}-episode-{candidate.episode:05d}",
        f"{candidate.file.name}, episode {candidate.episode} ({candidate.outcome.decode()})",
        episode.positions,
        episode.potential_energy,
        candidate.outcome == b"goal",
    )


def read_path(file: Path, atoms: Atoms, elements: list[str] | None) -> StoredPath:
    """Return a path from an extxyz file, a LAMMPS dump or whatever else ASE reads, unwrapped from frame to frame.

    It must have the atoms of the run in their order; ``elements`` are those of a dump's atom types. Energies that it
    brings along are another force field's and left alone. Raises UserError.
    """
    try:
        frames = read_frames(file)
    except Exception as error:
        raise UserError(
            f"--trajectory {file}: cannot read it ({why(error)}); give an extxyz file or a dump."
        ) from None
    if file.stem == "network" or file.stem.startswith("agent-"):
        raise UserError(f"--trajectory {file}: pathways of the run bear such names; rename the file.")
    if len(frames) < 2:
        raise UserError(f"--trajectory {file}: {len(frames)} frame; a path needs two or more.")
    for number, frame in enumerate(frames, start=1):
        _check_frame(file, number, frame, atoms, elements)
    positions: list[np.ndarray] = []
    for frame in frames:
        here = frame.positions - frame.get_celldisp().ravel()  # the box of a dump need not begin at zero
        before = positions[-1] if positions else here
        positions.append(before + find_mic(here - before, atoms.cell, atoms.pbc)[0])
    return StoredPath(file.stem, str(file.name), np.array(positions), None)


def with_fixed_atoms(path: StoredPath, atoms: Atoms) -> StoredPath:
    """Return a path with the fixed atoms exactly where the structure has them: files round.

    Raises UserError where one is farther from there than FIXED_TOLERANCE.
    """
    fixed = np.flatnonzero(is_fixed(atoms))
    if not len(fixed):
        return path
    positions = path.positions.copy()
    apart = find_mic((positions[:, fixed] - atoms.positions[fixed]).reshape(-1, 3), atoms.cell, atoms.pbc)[1]
    frame, worst = np.unravel_index(int(np.argmax(apart)), (len(positions), len(fixed)))
    if apart.max() > FIXED_TOLERANCE:
        raise UserError(
            f"{path.source}: atom {fixed[worst] + 1} is fixed (structure.fixed_atoms) and stands {apart.max():.2f} Å "
            f"from its place in frame {frame + 1}; give a path in which it rests, or other fixed atoms."
        )
    positions[:, fixed] = atoms.positions[fixed]
    return replace(path, positions=positions)


def _check_frame(file: Path, number: int, frame: Atoms, atoms: Atoms, elements: list[str] | None) -> None:
    """Refuse a frame of another system; give a dump's types their elements."""
    if len(frame) != len(atoms):
        raise UserError(
            f"--trajectory {file}: frame {number} has {len(frame)} atoms, the run {len(atoms)}; give the same system."
        )
    if not (np.abs(frame.positions) < FARTHEST).all():
        raise UserError(f"--trajectory {file}: an atom of frame {number} is at no place; mend the file.")
    types = frame.arrays.get("type")
    if types is not None and elements is not None and types.min() >= 1 and types.max() <= len(elements):
        frame.set_chemical_symbols([elements[kind - 1] for kind in types])
    if types is None or elements is not None:
        wrong = np.flatnonzero(frame.numbers != atoms.numbers)
        if len(wrong):
            raise UserError(
                f"--trajectory {file}: atom {wrong[0] + 1} of frame {number} is {frame.symbols[wrong[0]]}, in the run "
                f"{atoms.symbols[wrong[0]]}; give the atoms in the run's order."
            )
    if frame.cell.rank == 3 and not np.allclose(frame.cell.array, atoms.cell.array, atol=1e-3):
        raise UserError(
            f"--trajectory {file}: frame {number} has another cell than the run; give the same system."
        )
