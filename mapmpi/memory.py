"""How much memory this machine has left, for what is to be allocated long after the input was read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from mapmpi.config import Config
from mapmpi.errors import UserError

_GROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""What a container or a batch job may have, in version 2 and version 1 of Linux's control groups."""

SLOT_BYTES = 64
"""What the replay keeps of a transition besides its state, its place in the sum tree among it."""


def available_bytes() -> int:
    """Return the memory that this process can still have: the machine's, or its control group's."""
    found = [_machine_bytes()]
    for file in _GROUP_LIMITS:
        with suppress(OSError, ValueError):  # no such group, or "max"
            found.append(int(file.read_text()))
    return min(found)


def _machine_bytes() -> int:
    with suppress(OSError):  # no Linux
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def replay_bytes(config: Config, elements: int) -> int:
    """Return what a full replay buffer takes on rank 0, for a structure of so many elements."""
    channels = elements if config.state.channels == "elements" else 1
    return config.replay.capacity * (channels * config.state.points**3 + SLOT_BYTES)


def check_replay(path: Path, config: Config, elements: int) -> None:
    """Refuse a replay buffer that the memory of this machine does not hold; UserError with the input's path."""
    needed, there = replay_bytes(config, elements), available_bytes()
    if needed > there:
        raise UserError(
            f"{path}: replay.capacity: {config.replay.capacity} states take {needed / 1e9:.1f} GB and this machine "
            f"has {there / 1e9:.1f} GB left, enough for {config.replay.capacity * there // needed}; give fewer, "
            "or fewer state.points."
        )
