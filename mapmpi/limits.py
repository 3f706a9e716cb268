"""Limits of time and memory for reading a file that somebody else wrote."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

BASE_S, BASE_BYTES = 1.0, 512 << 20
"""What reading the smallest file may take."""

S_PER_MB, BYTES_PER_BYTE = 2.0, 40
"""What each MB of a file adds; ASE's readers need a tenth of the one and half of the other."""


class TooCostly(Exception):
    """A small file asks for much time or memory, as damaged ones do."""


class _OutOfTime(BaseException):
    """Raised wherever the program is; no reader takes it for a mistake in its file."""


@contextmanager
def limited(file_bytes: int, s_per_mb: float = S_PER_MB) -> Iterator[None]:
    """Read a file of so many bytes in here. Raises TooCostly instead of taking minutes or filling the memory.

    ``s_per_mb`` is several times what the reader needs for each MB of a sound file. The time is the processor's, so
    that a slow disk costs nothing. Outside the main thread, which alone gets signals, only the memory is limited. A
    calculation that never comes back from C is not stopped.
    """
    seconds = BASE_S + s_per_mb * file_bytes / 1e6
    try:
        with _time(seconds), _memory(BASE_BYTES + BYTES_PER_BYTE * file_bytes):
            yield
    except _OutOfTime:
        raise TooCostly(f"it takes more than {seconds:.1f} s, as a damaged file does") from None
    except MemoryError:
        raise TooCostly("it asks for far more memory than its size explains") from None


@contextmanager
def _time(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1.0)  # and again, where something swallowed the first
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def _memory(more_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _address_space() + more_bytes
    if soft != resource.RLIM_INFINITY:
        limit = min(limit, soft)
    with suppress(ValueError, OSError):  # a system that has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space() -> int:
    """Return the bytes of address space that this process has; without Linux's /proc as if it had a terabyte."""
    try:
        with open("/proc/self/statm", encoding="ascii") as handle:
            return int(handle.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 1 << 40
