"""Event files for TensorBoard: the rows of learner.csv and metrics.csv as scalars, each once, whatever is restarted.

The tables are the truth. Whoever opens the log finds the last step of every group in the files that are there, and
writes the rows of the tables that come behind into a new one. So nothing is written twice, what a killed job had not
written yet is made good, and a training that asks for events in the middle gets those before, too.
"""

from __future__ import annotations

import math
import re
import struct
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from mapmpi.errors import UserError
from mapmpi.store.metrics import LEARNER_FIELDS, METRICS_FIELDS, read_learner, read_metrics
from mapmpi.store.records import EPISODE
from mapmpi.store.rundir import RunDirectory

LEARNER, EPISODES = "learner", "episode"
"""Groups of scalars, and what their tags begin with. Steps are actions, and numbers of rows of metrics.csv."""

_NAME = re.compile(r"events\.out\.tfevents\.(\d{1,14})\.")
_HEAD, _TAIL = struct.Struct("<QI"), struct.Struct("<I")
_NUMBERS = [name for name in METRICS_FIELDS if EPISODE[name].kind in "fiu"]


def check_events() -> None:
    """Raise UserError where the package that writes event files is missing."""
    if find_spec("tensorboardX") is None:
        raise UserError(
            "train.tensorboard: the package tensorboardX, which writes event files, is not installed; "
            "pip install mapmpi[tensorboard], or leave the key out."
        )


class EventLog:
    """The event files of a run, in RUN_DIR/events."""

    def __init__(self, directory: RunDirectory) -> None:
        """Go on behind the files that are there, with what the tables have and they have not.

        Raises UserError without tensorboardX, for a file there that is none, or a table that cannot be read; OSError.
        """
        check_events()
        from tensorboardX.record_writer import RecordWriter

        directory.events.mkdir(exist_ok=True)
        self._last = _last_steps(directory.events)
        self._writer = RecordWriter(str(_new_file(directory.events)))
        self._write(file_version="brain.Event:2")
        if directory.learner.exists():
            for row in read_learner(directory.learner):
                self._add_learner(row)
        self._rows = 0
        if directory.metrics.exists():
            for row in read_metrics(directory.metrics):
                self.episode(row)
        self._writer.flush()

    def report(self, row: Mapping[str, float]) -> None:
        """Add a row of learner.csv, unless it has no more actions than an earlier one. Raises OSError."""
        self._add_learner(row)
        self._writer.flush()

    def _add_learner(self, row: Mapping[str, float] | np.void) -> None:
        self._add(LEARNER, int(row["actions"]), {name: float(row[name]) for name in LEARNER_FIELDS})

    def episode(self, row: np.void) -> None:
        """Add the next row of metrics.csv, an episode (dtype EPISODE). Raises OSError."""
        self._rows += 1
        self._add(EPISODES, self._rows, {name: float(row[name]) for name in _NUMBERS})

    def _add(self, group: str, step: int, values: Mapping[str, float]) -> None:
        if step <= self._last.get(group, -1):
            return
        from tensorboardX.proto.summary_pb2 import Summary

        self._last[group] = step
        known = {f"{group}/{name}": value for name, value in values.items() if math.isfinite(value)}
        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in known.items()]
        self._write(step=step, summary=Summary(value=scalars))

    def _write(self, **what: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._writer.write(Event(wall_time=time.time(), **what).SerializeToString())

    def close(self) -> None:
        """Close the file."""
        self._writer.flush()
        self._writer.close()


def _new_file(folder: Path) -> Path:
    """Return a name behind those that are there: TensorBoard reads event files by the order of their names."""
    names = (_NAME.match(file.name) for file in folder.glob("events.out.tfevents.*"))
    number = max([int(time.time()), *(int(name[1]) + 1 for name in names if name)])
    return folder / f"events.out.tfevents.{number:010d}.mapmpi"


def _last_steps(folder: Path) -> dict[str, int]:
    """Return the last step of each group in the event files of a folder. Raises UserError for a file that is none."""
    from google.protobuf.message import DecodeError
    from tensorboardX.proto.event_pb2 import Event

    last: dict[str, int] = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        try:
            for record in _records(file.read_bytes()):
                event = Event.FromString(record)
                for value in event.summary.value[:1]:
                    group = value.tag.partition("/")[0]
                    last[group] = max(event.step, last.get(group, -1))
        except DecodeError:
            raise UserError(f"{file} is no event file, or is damaged; move it away.") from None
    return last


def _records(data: bytes) -> Iterator[bytes]:
    """Yield the records of an event file; the last one, if a killed writer left it unfinished, is left out."""
    begin = 0
    while begin + _HEAD.size <= len(data):
        length, _ = _HEAD.unpack_from(data, begin)
        end = begin + _HEAD.size + length
        if end + _TAIL.size > len(data):
            return
        yield data[begin + _HEAD.size : end]
        begin = end + _TAIL.size
