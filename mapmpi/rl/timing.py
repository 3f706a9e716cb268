"""How fast the learner is on this machine, measured with the real network and batch on states made up at random."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from mapmpi.config import Config
from mapmpi.rl.dqn import Learner
from mapmpi.rl.replay import Replay
from mapmpi.rl.returns import NO_STATE, TRANSITION
from mapmpi.store.records import NO_ACTION
from mapmpi.store.ring import Ring

STATES = 256
"""States in the small replay buffer; batches may hold a state several times."""


@dataclass(frozen=True)
class UpdateTime:
    """One gradient step: seconds (median), where it ran, parameters of the network, bytes per state of the replay."""

    seconds: float
    device: str
    parameters: int
    bytes_per_state: float


def time_updates(
    shape: tuple[int, ...], actions: int, config: Config, threads: int, patience_s: float = 2.0
) -> UpdateTime:
    """Make gradient steps for about ``patience_s``, at least three; the first, which warms up, does not count."""
    torch.set_num_threads(threads)
    replay = noise(shape, actions, config)
    learner = Learner(shape, actions, config.network, config.learning, replay, config.seed)
    seconds: list[float] = []
    learner.update()
    while len(seconds) < 2 or sum(seconds) < patience_s:
        began = time.monotonic()
        learner.update()
        seconds.append(time.monotonic() - began)
    held = sum((part.rows if isinstance(part, Ring) else part).nbytes for part in replay.state_dict().values())
    device = torch.cuda.get_device_name(learner.device) if learner.device.type == "cuda" else learner.device.type
    return UpdateTime(float(np.median(seconds)), device, len(learner.weights()), held / STATES)


def noise(shape: tuple[int, ...], actions: int, config: Config) -> Replay:
    """Return a small replay buffer full of noise."""
    random = np.random.default_rng(config.seed)
    replay = Replay(shape, config.replay.model_copy(update={"capacity": STATES}), streams=1)
    for number in range(STATES):
        replay.add_state(0, number, random.integers(256, size=shape, dtype=np.uint8))
        transition = np.zeros(1, TRANSITION)
        transition["sequence"], transition["next_sequence"] = number, NO_STATE
        transition["action"], transition["next_forbidden"] = number % actions, NO_ACTION
        transition["ret"] = transition["td_error"] = random.random()
        replay.add_transitions(0, transition)
    return replay
