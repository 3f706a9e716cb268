"""The logs of a training: metrics.csv, a row per episode, and learner.csv, a row per reporting interval."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mapmpi.errors import UserError, why
from mapmpi.store.files import cell
from mapmpi.store.records import EPISODE

METRICS_FIELDS = EPISODE.names or ()
"""The columns of metrics.csv."""

LEARNER_FIELDS = (
    "elapsed_s",
    "actions",
    "episodes",
    "transitions",
    "buffer",
    "updates",
    "loss",
    "td_error",
    "mean_q",
    "actions_per_s",
    "updates_per_s",
    "message_share",
    "plan_share",
    "weights_age",
    "untold",
    "best_progress",
    "best_climb",
    "best_reward",
    "mean_reward",
)
"""The columns of learner.csv.

``buffer`` is the number of transitions that can be replayed, ``best_progress`` how far any episode came, in Å from
the start along the goal direction, and ``best_climb`` in eV that of the best episode that reached the goal.
``message_share`` and ``plan_share`` are the parts of the time in which the learner's processor is at messages and at
plans; ``weights_age`` the actions that an agent makes, in the median, after there are newer weights than those that it
acts by; ``untold`` the part of the actions of which a learner that had fallen behind was told no more than the
episode's row.
"""


class CsvLog:
    """A CSV file that only grows: one header, each row on the disk's side as soon as it is written."""

    def __init__(self, path: Path, fields: Sequence[str]) -> None:
        """Open a new file, or go on with one that has the same columns.

        A last line that a killed writer left unfinished is taken away. Raises UserError when the file has
        other columns.
        """
        text = _whole_lines(path) if path.exists() else b""
        header = ",".join(fields).encode()
        if text and text.splitlines()[0] != header:
            raise UserError(f"{path} has other columns than this version of mapmpi writes; move it away.")
        # not buffered: a row that a full disk refused is not tried again at the end
        self._handle = open(path, "ab", buffering=0)  # noqa: SIM115  (open as long as the log)
        self._handle.truncate(len(text))
        self._fields = fields
        if not text:
            self._handle.write(header + b"\n")

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row, all of it or nothing; floats with ten digits, what is missing or not known stays empty.

        Raises ValueError for a key that is no column, and OSError.
        """
        line = io.StringIO()
        writer = csv.DictWriter(line, self._fields, lineterminator="\n")
        writer.writerow({name: cell(value) for name, value in row.items()})
        data, begin = line.getvalue().encode(), os.fstat(self._handle.fileno()).st_size
        try:
            while data:
                data = data[self._handle.write(data) :]
        except OSError:
            self._handle.truncate(begin)  # or the next row would go on where this one was cut off
            raise

    def close(self) -> None:
        """Close the file."""
        self._handle.close()


def episode_row(record: np.void) -> dict[str, Any]:
    """Return an episode (dtype EPISODE) as a row of metrics.csv."""
    return {name: record[name] for name in METRICS_FIELDS}


def read_metrics(path: Path) -> np.ndarray:
    """Return metrics.csv as an array (episodes,) of dtype EPISODE. Raises UserError when it cannot be read."""
    return _read(path, EPISODE)


def read_learner(path: Path) -> np.ndarray:
    """Return learner.csv as an array (rows,) with LEARNER_FIELDS as float fields; NaN where a row has nothing.

    Raises UserError when it cannot be read.
    """
    return _read(path, np.dtype([(name, "f8") for name in LEARNER_FIELDS]))


def _read(path: Path, dtype: np.dtype) -> np.ndarray:
    """Return the whole lines of a CSV file as a structured array."""
    try:
        reader = csv.DictReader(io.StringIO(_whole_lines(path).decode()), strict=True)
        rows, expected = list(reader), dtype.names or ()
        missing = [name for name in expected if name not in (reader.fieldnames or ())]
        if 0 < len(missing) < len(expected) / 2:
            raise UserError(
                f"{path} was written by another version of mapmpi (it has no {', '.join(missing)}); use that version "
                "for its run, or train anew."
            )
        table = np.zeros(len(rows), dtype)
        for name in dtype.names or ():
            empty = "nan" if dtype[name].kind == "f" else ""
            table[name] = np.array([row[name] or empty for row in rows]).astype(dtype[name])
    except OSError as error:
        raise UserError(f"{path}: cannot read it ({error.strerror}); give the folder of a training.") from None
    except (KeyError, ValueError, OverflowError, csv.Error) as error:
        raise UserError(f"{path} is not a log of mapmpi ({why(error)}); give the folder of a training.") from None
    return table


def _whole_lines(path: Path) -> bytes:
    """Return a file's text up to its last line end."""
    text = path.read_bytes()
    return text[: text.rfind(b"\n") + 1]
