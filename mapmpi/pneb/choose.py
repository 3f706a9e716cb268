"""Which paths are refined: the best episodes of a training, named ones, or a path that mapmpi did not make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.geometry import find_mic

from mapmpi.errors import UserError, why
from mapmpi.logs import log
from mapmpi.md.fixed import is_fixed
from mapmpi.plausible import FARTHEST
from mapmpi.store.ancestry import Orphan, Place, standing
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.wholepath import WholePaths
from mapmpi.structures.files import in_lammps_form, read_frames

_NAMED_LOST = 5
"""So many episodes without a whole path are named."""
FIXED_TOLERANCE = 0.05
"""Å: files round coordinates, and by no more than that."""


@dataclass(frozen=True)
class StoredPath:
    """A path to be refined: frames (f, n, 3) Å, unwrapped, and their energies (f,) eV where they are known.

    ``reached`` tells that it came to its goal, ``straight`` that it is the straight drag, for comparison.
    """

    name: str
    source: str
    positions: np.ndarray
    energies: np.ndarray | None
    reached: bool = True
    straight: bool = False


def choose_episodes(
    run: RunDirectory, named: Sequence[str], top: int, straight: bool = False
) -> tuple[list[StoredPath], str]:
    """Return the named episodes (``AGENT:EPISODE``), or else the ``top`` best, and a sentence on the choice.

    With ``straight`` the straight drag is among them in any case, if there is one that reached the goal.

    All are whole paths from the start. The best are those that reached the goal, ranked as a training ranks them
    (:func:`mapmpi.store.ancestry.standing`); if none did, the one that came farthest. Raises UserError for an episode
    that is not there or has no whole path, and when there is none to choose from; with ``top``, episodes without a
    whole path are left out with a warning.
    """
    paths = WholePaths(run.trajectory_files())
    rows = [row for row in paths.episodes if row["frames"] >= 2]
    if not rows:
        raise UserError(f"{run.trajectories} holds no episode of two frames or more; train longer.")
    if named:
        return [_named(run, paths, rows, name) for name in dict.fromkeys(named)], "Episodes as named."
    choice = _Choice(paths)
    found = choice.best([row for row in rows if row["outcome"] == b"goal"], top)
    if not found[0]:
        found = choice.farthest(row for row in rows if row["outcome"] != b"goal")
    if choice.lost:
        some = ", ".join(choice.lost[:_NAMED_LOST])
        more = len(choice.lost) - _NAMED_LOST
        log.warning(
            "left out, as what they continue is not stored: %s%s.", some, f" and {more} more" if more > 0 else ""
        )
    if not found[0]:
        raise UserError(f"{run.trajectories} holds no episode with a whole path from the start; train longer.")
    return choice.with_straight(rows, found) if straight else found


class _Choice:
    """Chooses among the episodes of a run; ``lost`` are names of those that have no whole path."""

    def __init__(self, paths: WholePaths) -> None:
        self._paths = paths
        self.lost: list[str] = []

    def best(self, rows: list[np.void], top: int) -> tuple[list[StoredPath], str]:
        """Return the best of the episodes that reached the goal, as whole paths, and what to say.

        Where the highest part of several is the same, an ancestor's frames, only the best of them is taken: the
        others would be refined over the same passes.
        """
        ranked = sorted(self._standings(rows))
        chosen: list[StoredPath] = []
        parts: set[tuple[Place, Place]] = set()
        passed_over = 0
        for *_, agent, episode in ranked:
            if len(chosen) == top:
                break
            part = self._paths.highest_part(agent, episode)
            if part in parts:
                passed_over += 1
            elif (path := self._read(agent, episode)) is not None:
                chosen.append(path)
                parts.add(part)
        said = (
            f"The best {len(chosen)} of {len(ranked)} episodes that reached the goal, by the largest rise of the "
        )
        said += "energy along the whole path."
        if passed_over:
            said += f" Passed over: {passed_over} that rise most over the same frames as a better one."
        return chosen, said

    def with_straight(
        self, rows: list[np.void], found: tuple[list[StoredPath], str]
    ) -> tuple[list[StoredPath], str]:
        """Return what was found with the straight drag, if it reached the goal."""
        drag = next((row for row in rows if (row["policy"], row["outcome"]) == (b"straight", b"goal")), None)
        path = None if drag is None else self._read(int(drag["agent"]), int(drag["episode"]))
        if path is None:
            return found
        others = [one for one in found[0] if one.name != path.name]
        return [*others, replace(path, straight=True)], f"{found[1]} Beside it the straight drag, for comparison."

    def _standings(self, rows: list[np.void]) -> Iterator[tuple[float, int, int, int]]:
        for row in rows:
            numbers = int(row["agent"]), int(row["episode"])
            try:
                climb = self._paths.heights(*numbers).climb
            except Orphan:
                self.lost.append(_name(*numbers))
                continue
            yield standing(climb, self._paths.ancestry.frames(*numbers), *numbers)

    def farthest(self, rows: Iterable[np.void]) -> tuple[list[StoredPath], str]:
        """Return the whole path of the episode that came farthest, if any has one, and what to say."""
        for row in sorted(rows, key=lambda row: -float(row["progress"])):
            path = self._read(int(row["agent"]), int(row["episode"]))
            if path is not None:
                said = "No episode reached the goal; refining the longest path instead, "
                return [path], f"{said}{row['progress']:.2f} Å."
        return [], ""

    def _read(self, agent: int, episode: int) -> StoredPath | None:
        try:
            return _read(self._paths, agent, episode)
        except Orphan:
            self.lost.append(_name(agent, episode))
            return None


def _name(agent: int, episode: int) -> str:
    return f"agent {agent} episode {episode}"


def _named(run: RunDirectory, paths: WholePaths, rows: list[np.void], name: str) -> StoredPath:
    for row in rows:
        if name == f"{row['agent']}:{row['episode']}":
            try:
                return _read(paths, int(row["agent"]), int(row["episode"]))
            except UserError as error:
                raise UserError(f"episode {name}: {error}") from None
    raise UserError(
        f"episode {name}: no such episode of two frames or more in {run.trajectories}; write AGENT:EPISODE as in "
        f"{run.metrics.name}, for example {rows[0]['agent']}:{rows[0]['episode']}."
    )


def _read(paths: WholePaths, agent: int, episode: int) -> StoredPath:
    """Return the whole path of an episode. Raises Orphan where it has none."""
    path = paths.path(agent, episode)
    outcome = bytes(path.record["outcome"])
    parent = paths.ancestry.parent(agent, episode)
    behind = "" if parent is None else f", behind frame {parent[2]} of {_name(*parent[:2])}"
    return StoredPath(
        f"agent-{agent:05d}-episode-{episode:05d}",
        f"{paths.file(agent, episode).name}, episode {episode} ({outcome.decode()}){behind}",
        path.positions,
        path.potential_energy,
        outcome == b"goal",
    )


def read_path(file: Path, atoms: Atoms, elements: list[str] | None) -> StoredPath:
    """Return a path from an extxyz file, a LAMMPS dump or whatever else ASE reads, unwrapped from frame to frame.

    It must have the atoms of the run in their order; ``elements`` are those of a dump's atom types. Energies that it
    brings along are another force field's and left alone. Raises UserError.
    """
    try:
        frames = read_frames(file)
    except Exception as error:
        raise UserError(f"{file}: cannot read it ({why(error)}); give an extxyz file or a dump.") from None
    if file.stem.startswith(("network", "agent-")):
        raise UserError(f"{file}: pathways of the run bear such names; rename the file.")
    if len(frames) < 2:
        raise UserError(f"{file}: {len(frames)} frame; a path needs two or more.")
    for number, frame in enumerate(frames, start=1):
        if frame.cell.rank == 3:
            in_lammps_form(frame)
        _check_frame(file, number, frame, atoms, elements)
    positions: list[np.ndarray] = []
    for frame in frames:
        here = frame.positions
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
            f"{file}: frame {number} has {len(frame)} atoms, the run {len(atoms)}; give the same system."
        )
    if not (np.abs(frame.positions) < FARTHEST).all():
        raise UserError(f"{file}: an atom of frame {number} is at no place; mend the file.")
    types = frame.arrays.get("type")
    if types is not None and elements is not None and types.min() >= 1 and types.max() <= len(elements):
        frame.set_chemical_symbols([elements[kind - 1] for kind in types])
    if types is None or elements is not None:
        wrong = np.flatnonzero(frame.numbers != atoms.numbers)
        if len(wrong):
            raise UserError(
                f"{file}: atom {wrong[0] + 1} of frame {number} is {frame.symbols[wrong[0]]}, in the run "
                f"{atoms.symbols[wrong[0]]}; give the atoms in the run's order."
            )
    if frame.cell.rank == 3 and not np.allclose(frame.cell.array, atoms.cell.array, atol=1e-3):
        raise UserError(f"{file}: frame {number} has another cell than the run; give the same system.")
