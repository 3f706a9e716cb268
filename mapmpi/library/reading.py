"""What a training and a refinement have left, for a notebook."""

from __future__ import annotations

import csv
from pathlib import Path

from ase import Atoms

from mapmpi.errors import UserError
from mapmpi.library.result import RefinedPath
from mapmpi.pneb.choose import choose_episodes
from mapmpi.pneb.record import load as load_pathway
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.trajectory import episode_atoms, start_structure
from mapmpi.store.wholepath import WholePaths


def read_episode(run_dir: Path | str, agent: int | None = None, episode: int | None = None) -> list[Atoms]:
    """Return the whole path of an episode from the start, by default of the best that reached the goal.

    Each frame has its energy; ``info`` has its step, its action, and where the agent was (Å). Positions are
    unwrapped. Raises UserError for an episode that is not there, or has no whole path.
    """
    run = RunDirectory.open(run_dir)
    if (agent is None) != (episode is None):
        raise UserError("read_episode: give agent and episode, or neither for the best of all.")
    if agent is None or episode is None:
        best = choose_episodes(run, [], 1)[0][0].name.split("-")  # agent-00001-episode-00002
        agent, episode = int(best[1]), int(best[3])
    start = start_structure(run)
    try:
        return episode_atoms(start, WholePaths(run.trajectory_files()).path(agent, episode))
    except KeyError:
        raise UserError(
            f"{run.trajectories} holds no episode {episode} of agent {agent}; give one it has."
        ) from None


def read_pathway(source: Path | str, name: str | None = None) -> RefinedPath:
    """Return a refined pathway: that of a file, or of a run directory the first of pathways.csv, or the one of a name.

    Names are those of ``pathways/*.h5``, such as ``agent-00001-episode-00002`` or ``network``. Raises UserError where
    there is none.
    """
    if Path(source).is_file():
        return RefinedPath(load_pathway(Path(source)))
    run = RunDirectory.open(source)
    if name is not None:
        return RefinedPath(load_pathway(run.pathways / f"{name}.h5"))
    files = {file.stem: file for file in run.pathways.glob("*.h5")}
    try:
        with open(run.pathways / "pathways.csv", encoding="utf-8", newline="") as table:
            fastest = files[next(csv.DictReader(table, strict=True))["name"]]
    except (OSError, StopIteration, KeyError, ValueError, csv.Error):
        raise UserError(
            f"{run.pathways} holds no refined pathway; run python -m mapmpi.pneb {source} first."
        ) from None
    return RefinedPath(load_pathway(fastest))
