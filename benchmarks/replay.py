"""How fast our prioritized replay is, beside those of cpprb and tianshou.

    pip install cpprb tianshou
    python benchmarks/replay.py [--quick]

Buffers are full: 100,000 states of 16³ points in 8 bits, each stored once (``next_of`` of cpprb, ``ignore_obs_next``
of tianshou), with random priorities, α 0.6, β 0.4. A round draws a batch, copies its states and next states out and
gives it new priorities. Rounds of all buffers take turns in one process with one thread, and count in processor time.
replay_vs_best is the time of the faster library over ours for batches of 512, where copying counts, and
replay_vs_best_64 that for 64, where the calls count that NumPy makes for one of theirs. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable

from mapmpi.threads import one_thread_per_rank

one_thread_per_rank()

import numpy as np  # noqa: E402  (after the threads are set)

from mapmpi.config import ReplaySettings as Settings  # noqa: E402
from mapmpi.rl.replay import Replay  # noqa: E402
from mapmpi.rl.returns import TRANSITION  # noqa: E402
from mapmpi.store.records import NO_ACTION  # noqa: E402

SHAPE = (1, 16, 16, 16)
ALPHA, BETA = 0.6, 0.4
BATCHES = (64, 512)
Round = Callable[[int], None]


def ours(states: np.ndarray, errors: np.ndarray) -> Round:
    """Fill our buffer with states (N, …) and TD errors (N,); return a round for a size of batch."""
    replay = Replay(SHAPE, Settings(capacity=len(states), priority_exponent=ALPHA, importance_exponent=BETA), 1)
    for number, state in enumerate(states):
        replay.add_state(0, number, state)
        if number:
            record = (number - 1, number, 0, NO_ACTION, 1.0, 0.98, errors[number], NO_ACTION)
            replay.add_transitions(0, np.array([record], TRANSITION))
    random = np.random.default_rng(1)

    def round(size: int) -> None:
        batch = replay.sample(size, random)
        replay.update(batch.slots, errors[:size])

    return round


def cpprbs(states: np.ndarray, errors: np.ndarray) -> Round:
    """The same with cpprb."""
    from cpprb import PrioritizedReplayBuffer

    kinds = {"obs": {"shape": SHAPE, "dtype": np.uint8}, "act": {"dtype": np.int64}, "rew": {}, "done": {}}
    buffer = PrioritizedReplayBuffer(len(states), kinds, next_of="obs", alpha=ALPHA)
    for number in range(len(states) - 1):
        buffer.add(
            obs=states[number], act=0, rew=1.0, next_obs=states[number + 1], done=0.0, priorities=errors[number]
        )

    def round(size: int) -> None:
        batch = buffer.sample(size, beta=BETA)
        buffer.update_priorities(batch["indexes"], np.abs(errors[:size]))

    return round


def tianshous(states: np.ndarray, errors: np.ndarray) -> Round:
    """The same with tianshou."""
    from tianshou.data import Batch, PrioritizedReplayBuffer

    buffer = PrioritizedReplayBuffer(len(states), ALPHA, BETA, ignore_obs_next=True)
    for state in states:
        buffer.add(Batch(obs=state, act=0, rew=1.0, terminated=False, truncated=False, info={}))
    buffer.update_weight(np.arange(len(states)), errors)

    def round(size: int) -> None:
        batch, slots = buffer.sample(size)
        assert batch.obs_next.shape == (size, *SHAPE)
        buffer.update_weight(slots, errors[:size])

    return round


def main() -> int:
    """Fill the buffers, time them in turns, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20,000 states")
    args = parser.parse_args()
    random = np.random.default_rng(0)
    count = 20_000 if args.quick else 100_000
    states = random.integers(256, size=(count, *SHAPE), dtype=np.uint8)
    errors = random.exponential(size=count)
    rounds = {"ours": ours(states, errors)}
    for name, fill in (("cpprb", cpprbs), ("tianshou", tianshous)):
        try:
            rounds[name] = fill(states, errors)
        except ImportError:
            print(f"{name} is not installed; pip install {name}")
    if len(rounds) == 1:
        return 1
    lead = {}
    for size in BATCHES:
        spans = np.array([[milliseconds(round, size) for round in rounds.values()] for _ in range(40)])[1:]
        medians = dict(zip(rounds, np.median(spans, axis=0), strict=True))
        print(f"batch {size}, ms a round: " + ", ".join(f"{name} {ms:.2f}" for name, ms in medians.items()))
        lead[size] = float(np.median(spans[:, 1:].min(axis=1) / spans[:, 0]))
    print(json.dumps({"replay_vs_best": lead[512], "replay_vs_best_64": lead[64]}))
    return 0


def milliseconds(round: Round, size: int) -> float:
    """Return the processor time of a round, the mean of ten."""
    began = time.process_time()
    for _ in range(10):
        round(size)
    return 100 * (time.process_time() - began)


if __name__ == "__main__":
    sys.exit(main())
