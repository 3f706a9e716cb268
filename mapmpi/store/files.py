"""Files that are replaced as a whole, or that one process has for itself."""

from __future__ import annotations

import csv
import fcntl
import io
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from mapmpi.errors import UserError


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


def write_rows(path: Path, fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV file in place of the old one; what is not known stays empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    replace_file(path, lambda handle: handle.write(text.getvalue().encode()))


def cell(value: Any) -> str:
    """Return a value as it stands in a CSV file: ten digits, and nothing for what is not known."""
    if isinstance(value, (float, np.floating)):
        return "" if math.isnan(value) else f"{value:.10g}"
    return value.decode() if isinstance(value, bytes) else str(value)


def sync_folder(path: Path) -> None:
    """Bring a folder to the disk, so that the names in it outlive the machine."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def lock(handle: IO[Any], sentence: str) -> None:
    """Keep others from locking a file as long as it is open here, whatever becomes of this process.

    Raises UserError with the sentence while another one has it. On a file system without locks nobody is kept out.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        raise UserError(sentence) from None
    except OSError:
        pass
