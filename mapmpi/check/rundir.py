"""Check of a run directory: every file of it, and that they agree; what a killed writer left is mended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

from mapmpi.check.files import Look, Looker
from mapmpi.check.page import Page, some
from mapmpi.config import load
from mapmpi.errors import UserError
from mapmpi.store.checkpoint import Checkpoints
from mapmpi.store.journal import count_entries
from mapmpi.store.metrics import read_learner, read_metrics
from mapmpi.store.rundir import RunDirectory
from mapmpi.units import duration_text

_DIGITS = 1e-9
"""Relative difference that the ten digits of metrics.csv allow."""


def check_run(folder: Path, every_frame: bool) -> int:
    """Print the page for a run directory (on one rank); return the exit code. Raises UserError when it is none."""
    directory = RunDirectory(folder)
    if not (directory.config.is_file() or directory.trajectories.is_dir()):
        RunDirectory.open(folder)  # refuses it
    page = Page()
    page.heading(f"Run directory {folder}")
    _config(page, directory)
    with ExitStack() as stack:
        alone = _alone(page, directory, stack)
        # first, because a training writes an episode's row here after that of the trajectory
        trained = bool(directory.metrics.exists() or directory.trajectory_files())  # not only refined
        rows = _metrics(page, directory) if trained else None
        looker = stack.enter_context(closing(Looker(mend=alone, every_frame=every_frame)))
        looks = _trajectories(page, directory, looker, every_frame)
        if rows is not None:
            _compare(page, rows, looks)
        _parents(page, looker, looks)
        if trained:
            with page.attempt("learner.csv"):
                page.ok("learner.csv", f"{len(read_learner(directory.learner)):,} rows")
        _checkpoint(page, directory)
        if directory.pathways.is_dir():
            _pathways(page, directory, looker)
    return page.end()


def _alone(page: Page, directory: RunDirectory, stack: ExitStack) -> bool:
    """Keep trainings out of the directory as long as ``stack``; return whether that was possible, or say why not."""
    try:
        stack.enter_context(directory.lock())
    except UserError:
        page.note(
            "running", "a training is at work here; nothing is mended, and some files may be ahead of others."
        )
    except OSError as error:
        page.note("folder", f"cannot be written ({error.strerror}); nothing is mended.")
    else:
        return True
    return False


def _config(page: Page, directory: RunDirectory) -> None:
    with page.attempt("config.yaml"):
        config = load(directory.config, structure_needed=False, allow_commands=True)  # none is issued
        head = [line[2:] for line in directory.config.read_text(encoding="utf-8").splitlines() if line[:2] == "# "]
        facts = [fact for fact in head if fact.split(":")[0] in ("mapmpi", "date", "ranks", "agents")]
        page.ok("config.yaml", ", ".join([f"mode {config.mode}", *facts]))


def _trajectories(page: Page, directory: RunDirectory, looker: Looker, every_frame: bool) -> list[Look]:
    """Look at all trajectories; return what was found in those that are whole."""
    files, whole = directory.trajectory_files(), []
    for path in files:
        with page.attempt("trajectory"):
            whole.append(looker.trajectory(path))
    mended = [look.path.name for look in whole if look.mended]
    if mended:
        page.ok(
            "mended",
            f"{some(mended)}: a killed writer's mark and unfinished episode are gone; any program opens it",
        )
    episodes = sum(len(look.episodes) for look in whole)
    frames = sum(int(look.episodes["frames"].sum()) for look in whole)
    finding = f"{len(whole)} whole, with {episodes:,} episodes and {frames:,} frames"
    finding += " (all were read)" if every_frame else " (the last episode of each was read)"
    if whole:
        page.ok("trajectories", finding)
    elif not files:
        page.note("trajectories", "none: the training ended before an agent began.")
    names = Counter(look.agent for look in whole)
    twice = [f"agent {agent}" for agent, count in names.items() if count > 1]
    if twice:
        page.fails("agents", f"{some(twice)} in more than one file, so episodes come twice; move the copies away.")
    for look in whole:
        if directory.trajectory(look.agent) != look.path and names[look.agent] == 1:
            expected = directory.trajectory(look.agent).name
            page.fails("agents", f"{look.path} is the trajectory of agent {look.agent}; rename it to {expected}.")
    return whole


def _metrics(page: Page, directory: RunDirectory) -> np.ndarray | None:
    """Return the rows of metrics.csv; None when it cannot be read."""
    with page.attempt("metrics.csv"):
        return read_metrics(directory.metrics)
    return None


def _compare(page: Page, rows: np.ndarray, looks: Sequence[Look]) -> None:
    """Compare the rows of metrics.csv with the tables of the trajectories."""
    stored = {(int(row["agent"]), int(row["episode"])): row for look in looks for row in look.episodes}
    logged = [(int(row["agent"]), int(row["episode"])) for row in rows]
    twice = [_name(key) for key, count in Counter(logged).items() if count > 1]
    strays = [_name(key) for key in logged if key not in stored]
    pairs = [(key, row, stored[key]) for key, row in zip(logged, rows, strict=True) if key in stored]
    other = [_name(key) for key, row, right in pairs if _differs(row, right)]
    for names, wrong in (
        (twice, "more than once; remove the second row of each."),
        (strays, "in no whole trajectory; restore the trajectory, or remove the rows."),
        (other, "differs from the trajectory's table, which is right; mend the rows."),
    ):
        if names:
            page.fails("metrics.csv", f"{some(names)} {wrong}")
    missing = [_name(key) for key in sorted(set(stored) - set(logged))]
    if missing:
        page.note(
            "metrics.csv", f"{some(missing)} not in it, as the learner was killed; their trajectories have them."
        )
    if not (twice or strays or other):
        page.ok("metrics.csv", f"{len(rows):,} rows, each as in its trajectory")


def _parents(page: Page, looker: Looker, looks: Sequence[Look]) -> None:
    """Say how many episodes continue others, and of which what they continue is not stored."""
    children = sum(int((look.episodes["parent_agent"] > 0).sum()) for look in looks)
    if not children:
        return
    orphans = []
    with page.attempt("parents"):
        orphans = looker.orphans([look.path for look in looks])
        page.ok(
            "parents", f"{children - len(orphans):,} episodes continue others, with whole paths from the start"
        )
    if orphans:
        names = some([_name(key) for key in orphans])
        page.note(
            "orphans",
            f"{names}: what they continue was lost with its writer, or is not at its end yet; phase 2 leaves them "
            "out.",
        )


def _name(key: tuple[int, int]) -> str:
    return f"agent {key[0]} episode {key[1]}"


def _differs(row: np.void, stored: np.void) -> bool:
    """Return whether a row of metrics.csv, with its ten digits, is not that of the table."""
    for name in row.dtype.names or ():
        if row.dtype[name].kind == "f":
            if not np.isclose(row[name], stored[name], rtol=_DIGITS, atol=1e-12, equal_nan=True):
                return True
        elif row[name] != stored[name]:
            return True
    return False


def _checkpoint(page: Page, directory: RunDirectory) -> None:
    checkpoints = Checkpoints(directory.checkpoints)
    if not checkpoints.files():
        page.note("checkpoint", "none was saved; --resume learns anew and goes on with the trajectories.")
    for path in checkpoints.files():
        with page.attempt("checkpoint"):
            found = checkpoints.read(path)
            states = sum(ring.written - ring.first for ring in found.rings.values())
            elapsed = duration_text(float(found.facts["elapsed_s"]))
            page.ok("checkpoint", f"{path.name}: whole, after {elapsed}, with {states:,} states to replay")


def _pathways(page: Page, directory: RunDirectory, looker: Looker) -> None:
    """Look at the files of phase 2."""
    whole = []
    for path in sorted(directory.pathways.glob("*.h5")):
        with page.attempt("pathway"):
            looker.pathway(path)
            whole.append(path.stem)
    page.ok("pathways", f"{len(whole)} whole: {some(whole)}" if whole else "none yet")
    journal = directory.pathways / "journal"
    if journal.exists():
        with page.attempt("journal"):
            entries, surplus = count_entries(journal)
            finding = f"{entries:,} results"
            if surplus:
                finding += f", and {surplus} bytes of one that was not finished, which the next run cuts off"
            page.ok("journal", finding)
    parts = len(list((directory.pathways / "parts").glob("*")))
    if parts:
        page.note("parts", f"{parts} calculations were under way; start mapmpi.pneb again to go on with them.")
