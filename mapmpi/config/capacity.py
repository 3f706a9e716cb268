"""Whether the machine holds the replay buffer that an input asks for."""

from __future__ import annotations

import os
from pathlib import Path

from mapmpi.config.model import Config
from mapmpi.errors import UserError
from mapmpi.memory import free_memory

SLOT_BYTES = 64
"""What the replay keeps of a transition besides its state, its place in the sum tree among it."""


def replay_bytes(config: Config, elements: int) -> int:
    """Return what a full replay buffer takes on rank 0, for a structure of so many elements."""
    channels = elements if config.state.channels == "elements" else 1
    return config.replay.capacity * (channels * config.state.points**3 + SLOT_BYTES)


def check_replay(path: Path, config: Config, elements: int) -> None:
    """Refuse a replay buffer that the memory of this machine does not hold; UserError with the input's path."""
    needed = replay_bytes(config, elements)
    there = free_memory() or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise UserError(
            f"{path}: replay.capacity: {config.replay.capacity} states take {needed / 1e9:.1f} GB and this machine "
            f"has {there / 1e9:.1f} GB left, enough for {config.replay.capacity * there // needed}; give fewer, "
            "or fewer state.points."
        )
