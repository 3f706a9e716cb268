"""The lines on the file system of the run directory: it is tried with what a training does there."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from ase import Atoms

from mapmpi.check.page import Page, size_text
from mapmpi.errors import UserError
from mapmpi.store.files import replace_file
from mapmpi.store.records import EPISODE, REWARD_TERMS, Frame
from mapmpi.store.trajectory import TrajectoryReader
from mapmpi.store.writer import TrajectoryWriter

FRAMES = 20
"""Frames in the trajectory that is written to try the file system and to see what a frame takes."""

SIGHT_S = 5.0
"""How long a folder that another node has made may take to be seen; NFS looks only every few seconds."""


@contextmanager
def trial_folder(run_dir: Path) -> Iterator[Path]:
    """Make a folder where the run directory will be, and remove it behind the block.

    Raises UserError when there is a run already, or when none can be made there.
    """
    parent = run_dir.absolute()
    if parent.is_dir() and any(parent.iterdir()):
        raise UserError(
            f"{run_dir} is not empty, and an existing run directory is never overwritten; choose another."
        )
    while not parent.exists():
        parent = parent.parent
    try:
        folder = Path(tempfile.mkdtemp(prefix=".mapmpi-check-", dir=parent))
    except OSError as error:
        raise UserError(
            f"{parent}: cannot make the run directory here ({error.strerror}); choose another."
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def seen(folder: Path) -> bool:
    """Return whether this rank sees a folder that rank 0 has made."""
    deadline = time.monotonic() + SIGHT_S
    while not folder.is_dir():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def try_files(page: Page, folder: Path) -> None:
    """Write, bring to the disk, rename and lock a file in the folder, and say how that went."""
    try:
        began = time.monotonic()
        for content in (b"old", b"new"):
            replace_file(folder / "file", lambda handle, content=content: handle.write(content))  # type: ignore[misc]
        took = (time.monotonic() - began) / 2
        if (folder / "file").read_bytes() != b"new":
            raise OSError(None, "a renamed file has its old content")
    except OSError as error:
        page.fails(
            "files", f"{folder.parent}: cannot write and rename a file ({error.strerror}); choose another folder."
        )
        return
    finding = f"{folder.parent} ({_kind(folder)}): writable, a file is replaced at once and is on the disk in"
    finding += f" {1000 * took:.0f} ms"
    if _locks(folder / "file"):
        page.ok("files", f"{finding}; locks work")
    else:
        page.note(
            "files", f"{finding}; no locks: mapmpi does without, but never start two jobs in one run directory."
        )


def _locks(file: Path) -> bool:
    with open(file, "rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def _kind(folder: Path) -> str:
    """Return the type of the file system that a folder lies on, as Linux names it."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return "file system unknown"
    under = [(len(point), kind) for point, kind in mounts if folder.resolve().is_relative_to(point)]
    return max(under, default=(0, "file system unknown"))[1]


def try_trajectory(folder: Path, atoms: Atoms) -> float:
    """Write and read a trajectory in the folder; return the bytes a frame takes. Raises UserError, OSError."""
    path, random = folder / "trajectory.h5", np.random.default_rng(1)
    writer = TrajectoryWriter(path, atoms, 1, 0.5, {})
    empty = path.stat().st_size
    for number in range(FRAMES):
        positions = atoms.positions + random.normal(scale=0.05, size=(len(atoms), 3))
        spot, terms = np.zeros(3), np.zeros(len(REWARD_TERMS))
        writer.write_frame(Frame(number, positions, random.normal(), 10.0, spot, spot, 0, terms))
    row = np.zeros(1, EPISODE)[0]
    row["agent"], row["episode"] = 1, 1
    writer.write_episode(row)
    with TrajectoryReader(path) as reader:
        if len(reader.episode(0).positions) != FRAMES:
            raise OSError(None, "a trajectory does not read back as it was written")
    return (path.stat().st_size - empty) / FRAMES


def describe_space(
    page: Page, folder: Path, frame_bytes: float, actions: float, ranks: int, checkpoint_bytes: float
) -> None:
    """Say what the training will write in ``actions`` actions by ``ranks`` ranks, and whether there is room.

    ``checkpoint_bytes`` is what the checkpoints come to beside the trajectories.
    """
    free, needed = shutil.disk_usage(folder).free, actions * frame_bytes + checkpoint_bytes
    finding = (
        f"{size_text(frame_bytes)} a frame and {size_text(checkpoint_bytes)} of checkpoints, {size_text(needed)} "
    )
    finding += f"for {actions:,.0f} actions ({ranks} ranks)"
    finding += f"; {size_text(free)} free"
    if needed > free:
        page.fails("space", f"{finding}: too little; make room, choose another --run-dir, or lower train.stop.")
    elif needed > free / 2:
        page.note("space", f"{finding}: more than half of it.")
    else:
        page.ok("space", finding)
