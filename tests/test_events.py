"""Event files for TensorBoard: what is in the tables, each row once, whatever is killed, resumed or asked for late."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reported
from conftest import ROOT, mpiexec
from running import write_analytic_input

from mapmpi.errors import UserError
from mapmpi.store.events import EventLog
from mapmpi.store.metrics import LEARNER_FIELDS, CsvLog, read_learner, read_metrics
from mapmpi.store.rundir import RunDirectory

event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")


def crc32c(data: bytes) -> int:
    """Return the masked checksum of a record (RFC 3720's polynomial, bit by bit, and TensorFlow's mask)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events(folder: Path) -> list[Any]:
    """Return all events of a folder in the order in which TensorBoard reads them."""
    found = []
    for file in sorted(folder.iterdir()):
        data, begin, own = file.read_bytes(), 0, []
        while begin < len(data):
            (length, check) = struct.unpack_from("<QI", data, begin)
            record = data[begin + 12 : begin + 12 + length]
            assert check == crc32c(data[begin : begin + 8])
            assert struct.unpack_from("<I", data, begin + 12 + length)[0] == crc32c(record)
            own.append(event_pb2.Event.FromString(record))
            begin += length + 16
        assert own[0].file_version == "brain.Event:2"
        found += own[1:]
    return found


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [
        (one.step, value.simple_value) for one in events(folder) for value in one.summary.value if value.tag == tag
    ]


def expected(run: RunDirectory, group: str, name: str) -> list[tuple[int, float]]:
    """Return steps and numbers of a column of the tables, as they should be in the event files."""
    if group == "episode":
        return [(step, float(row[name])) for step, row in enumerate(read_metrics(run.metrics), 1)]
    found, last = [], -1
    for row in read_learner(run.learner):
        if row["actions"] > last:
            last = int(row["actions"])
            found.append((last, float(row[name])))
    return [(step, value) for step, value in found if np.isfinite(value)]


COLUMNS = [("learner", name) for name in LEARNER_FIELDS]
COLUMNS += [("episode", name) for name in ("agent", "total_reward", "climb", "final_x", "epsilon", "energy")]


def check(run: RunDirectory, columns: list[tuple[str, str]] = COLUMNS) -> None:
    """See that the event files have just what the tables have."""
    for group, name in columns:
        found, right = scalars(run.events, f"{group}/{name}"), expected(run, group, name)
        assert [step for step, _ in found] == [step for step, _ in right], name
        np.testing.assert_allclose([value for _, value in found], [value for _, value in right], rtol=1e-6)


@pytest.mark.mpi
def test_a_training_its_resumption_and_what_was_killed(tmp_path: Path) -> None:
    source, run = write_analytic_input(tmp_path), RunDirectory(tmp_path / "run")
    program = ROOT / "tests" / "analytic_train.py"
    words = ("--set", "train.tensorboard=true", "--set", "train.report_interval=0.2s")
    done = mpiexec(3, program, source, "--run-dir", run.path, *words, "--set", "train.stop.episodes=4")
    assert done.returncode == 0, done.stderr
    check(run)
    assert len(list(run.events.iterdir())) == 1
    (file,) = run.events.iterdir()
    before = scalars(run.events, "learner/actions")
    file.write_bytes(file.read_bytes()[:-7])  # killed while it wrote
    done = mpiexec(3, program, "--resume", run.path, "--set", "train.stop.episodes=8", *words)
    assert done.returncode == 0, done.stderr
    file.write_bytes(file.read_bytes()[: sum(16 + one.ByteSize() for one in whole(file))])
    check(run)
    steps = [step for step, _ in scalars(run.events, "learner/actions")]
    assert steps == sorted(set(steps))
    assert steps[-1] > before[-1][0]
    assert len(list(run.events.iterdir())) == 2


def whole(file: Path) -> list[Any]:
    """Return the events of a file whose last record is unfinished."""
    data, begin, found = file.read_bytes(), 0, []
    while True:
        (length,) = struct.unpack_from("<Q", data, begin)
        if begin + length + 16 > len(data):
            return found
        found.append(event_pb2.Event.FromString(data[begin + 12 : begin + 12 + length]))
        begin += length + 16


def test_events_that_are_asked_for_late_have_what_was_before(tmp_path: Path) -> None:
    run = reported.make_run(tmp_path / "run")
    reported.train(run)
    EventLog(run).close()
    check(run)
    EventLog(run).close()
    check(run)
    assert len(scalars(run.events, "episode/climb")) == len(read_metrics(run.metrics)) > 3


def test_a_row_without_more_actions_is_left_out(tmp_path: Path) -> None:
    run = reported.make_run(tmp_path / "run")
    log, table = EventLog(run), CsvLog(run.learner, LEARNER_FIELDS)
    for actions, loss in ((10, 0.5), (30, np.nan), (20, 0.3), (30, 0.2), (40, 0.1)):  # set back by a restart
        row = dict.fromkeys(LEARNER_FIELDS, 1.0) | {"actions": float(actions), "loss": loss}
        table.write(row)
        log.report(row)
    log.close()
    check(run, COLUMNS[: len(LEARNER_FIELDS)])
    assert [step for step, _ in scalars(run.events, "learner/loss")] == [10, 40]
    assert [step for step, _ in scalars(run.events, "learner/mean_q")] == [10, 30, 40]


def test_tensorboard_itself_finds_the_same(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = reported.make_run(tmp_path / "run")
    reported.train(run)
    EventLog(run).close()
    read = accumulator.EventAccumulator(str(run.events), size_guidance={"scalars": 0})
    read.Reload()
    for group, name in COLUMNS:
        right = expected(run, group, name)
        if right:
            found = [(one.step, one.value) for one in read.Scalars(f"{group}/{name}")]
            np.testing.assert_allclose(found, right, rtol=1e-6)


def test_what_is_missing_or_no_event_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = reported.make_run(tmp_path / "run")
    run.events.mkdir()
    bad = run.events / "events.out.tfevents.0000000001.mapmpi"
    bad.write_bytes(struct.pack("<QI", 4, 0) + b"\xff\xff\xff\xff" + b"1234")
    with pytest.raises(UserError, match=r"is no event file, or is damaged; move it away"):
        EventLog(run)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "mapmpi.store.events.find_spec", lambda name: None if "tensorboard" in name else find(name)
    )
    with pytest.raises(
        UserError, match=r"train\.tensorboard: .* is not installed; pip install mapmpi\[tensorboard\]"
    ):
        EventLog(run)


@pytest.mark.mpi
def test_a_training_without_the_package_does_not_begin(tmp_path: Path) -> None:
    source = write_analytic_input(tmp_path)
    program = tmp_path / "without.py"
    program.write_text(
        "import sys, runpy\nimport mapmpi.store.events\nmapmpi.store.events.find_spec = lambda name: None\n"
        f"sys.path.insert(0, {str(ROOT / 'tests')!r})\nsys.argv = sys.argv[:1] + sys.argv[1:]\n"
        f"runpy.run_path({str(ROOT / 'tests' / 'analytic_train.py')!r}, run_name='__main__')\n"
    )
    done = mpiexec(2, program, source, "--run-dir", tmp_path / "run", "--set", "train.tensorboard=true")
    assert done.returncode == 2
    assert "train.tensorboard: the package tensorboardX" in done.stderr
    assert not (tmp_path / "run").exists()
