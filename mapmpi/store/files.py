"""Files that are replaced as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO


def replace_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file beside ``path``, bring it to the disk, and only then give it the name ``path``."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        with open(temporary, "wb") as handle:
            write(handle)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)  # on a full disk its room is needed
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Bring a folder to the disk, so that the names in it outlive the machine."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
