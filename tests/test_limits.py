"""Limits of time and memory: a small file cannot take minutes or gigabytes, and afterwards all is as before."""

from __future__ import annotations

import resource
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from mapmpi import limits, memory
from mapmpi.config import Config, capacity
from mapmpi.config.capacity import check_replay, replay_bytes
from mapmpi.errors import UserError
from mapmpi.limits import TooCostly, limited
from mapmpi.memory import free_memory


def never_end() -> None:
    while True:
        with suppress(Exception):  # as readers do that try one format after another
            sum(range(1000))


def test_an_endless_loop_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BASE_S", 0.1)
    before = signal.getsignal(signal.SIGPROF)
    began = time.process_time()
    with pytest.raises(TooCostly, match=r"takes more than 0\.1 s"), limited(0):
        never_end()
    assert time.process_time() - began < 2.0
    assert signal.getsignal(signal.SIGPROF) == before
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_memory_is_limited_and_given_free_again() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(TooCostly, match="memory"), limited(0):
        np.ones(4 * limits.BASE_BYTES // 8)
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_a_large_file_may_take_more() -> None:
    with limited(limits.BASE_BYTES // 8):
        assert np.zeros(2 * limits.BASE_BYTES, "u1").nbytes == 2 * limits.BASE_BYTES


def test_outside_the_main_thread_only_the_memory_is_limited() -> None:
    caught: list[TooCostly] = []

    def read() -> None:
        try:
            with limited(0):
                np.ones(4 * limits.BASE_BYTES // 8)
        except TooCostly as error:
            caught.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert len(caught) == 1


def test_other_exceptions_pass() -> None:
    with pytest.raises(KeyError), limited(0):
        raise KeyError


def config(capacity: int, channels: str = "elements") -> Config:
    tree = {
        "structure": {"file": "s.xyz", "tagged_atoms": [1]},
        "goal": {"distance": 5},
        "state": {"points": 10, "channels": channels},
        "replay": {"capacity": capacity},
    }
    return Config.model_validate(tree)


def test_the_size_of_a_replay_buffer_worked_by_hand() -> None:
    assert replay_bytes(config(1000), elements=3) == 1000 * (3 * 10**3 + 64)
    assert replay_bytes(config(1000, "merged"), elements=3) == 1000 * (10**3 + 64)


def test_a_replay_buffer_that_memory_does_not_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("input.yaml")
    check_replay(path, config(1000), 3)
    with pytest.raises(UserError, match=r"input.yaml: replay.capacity: 1000000000000 states take 3064000.0 GB"):
        check_replay(path, config(10**12), 3)
    monkeypatch.setattr(capacity, "free_memory", lambda: 3064 * 500)
    with pytest.raises(UserError, match="enough for 500; give fewer"):
        check_replay(path, config(1000), 3)


def test_the_memory_left_is_that_of_the_control_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("max", "max"), ("current", "3000"), ("stat", "anon 2000\ninactive_file 1000")):
        (tmp_path / f"memory.{name}").write_text(f"{text}\n")
    names = tmp_path, "memory.max", "memory.current", "inactive_file"
    monkeypatch.setattr(memory, "_job_limits", lambda: memory._limit(*names))
    everything = free_memory()
    assert everything is None or everything > 1 << 20
    (tmp_path / "memory.max").write_text("6096\n")
    assert free_memory() == 4096  # what the cache of files takes is free
