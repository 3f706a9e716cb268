"""Checkpoints: arrays and a few plain values in one file, either whole or not there.

The file is NumPy's .npz with JSON beside the arrays; nothing in it is pickled, so reading one runs no code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from mapmpi.errors import UserError
from mapmpi.store.arrays import read_archive, write_archive

_METADATA = "metadata.json"


def replace_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file beside ``path``, bring it to the disk, and only then give it the name ``path``."""
    temporary = path.with_name(f".{path.name}.new")
    with open(temporary, "wb") as handle:
        write(handle)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name, too, outlives the machine
    finally:
        os.close(folder)


def save(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write arrays of any numeric dtype, and metadata that JSON can hold, in place of the last checkpoint.

    Raises ValueError for an array of Python objects and TypeError for metadata that JSON cannot hold; the
    last checkpoint is then still there.
    """

    texts = {_METADATA: json.dumps(dict(metadata))}
    # Not compressed: weights and stored states do not shrink, and the learner is waiting.
    replace_file(path, lambda handle: write_archive(handle, arrays, texts))


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and the metadata of a checkpoint. Raises UserError when there is none to be read."""
    try:
        with open(path, "rb") as handle:
            arrays, texts = read_archive(handle)
        return arrays, dict(json.loads(texts[_METADATA]))
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint; give a run directory whose training saved one.") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{path} is not a checkpoint of mapmpi or is damaged; restore it from a copy.") from None
