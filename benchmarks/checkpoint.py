"""What checkpoints cost: time lost at the default interval with a full replay buffer, and size on disk.

``python benchmarks/checkpoint.py`` fills the replay buffer of ``inputs/silica-small.yaml`` (200,000 states), saves it,
and then saves again behind as many new states as two agents make in ``train.checkpoint_interval``, at the pace of
actions that is measured first. While a checkpoint is written the learner makes no gradient step; agents go on. The
last line is JSON: ``time_lost_percent`` (time of a checkpoint over the interval), ``seconds`` and ``megabytes`` of a
checkpoint, ``first_seconds`` of the first one that holds everything, ``disk_megabytes`` in all.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from mapmpi.config import Config
from mapmpi.env.actions import action_vectors
from mapmpi.env.environment import Environment
from mapmpi.env.state import grid_shape
from mapmpi.md.factory import make_engine
from mapmpi.rl.dqn import Learner
from mapmpi.rl.replay import Replay
from mapmpi.rl.returns import TRANSITION
from mapmpi.store.checkpoint import Checkpoints
from mapmpi.store.records import NO_ACTION
from mapmpi.structures.inputs import read_input

INPUT = Path(__file__).parent.parent / "inputs" / "silica-small.yaml"
AGENTS = 2


def seconds_per_action(environment: Environment, actions: int) -> float:
    """Return the median time of an action of one agent."""
    environment.reset(1)
    took = []
    for _ in range(actions):
        began = time.perf_counter()
        environment.step(0)
        took.append(time.perf_counter() - began)
    return float(np.median(took))


def add(replay: Replay, first: int, count: int, random: np.random.Generator) -> None:
    """Put states of noise, each with a transition from the one before, into the buffer."""
    record = np.zeros(1, TRANSITION)
    record["next_forbidden"] = NO_ACTION
    for number in range(first, first + count):
        state = np.frombuffer(random.bytes(int(np.prod(replay.shape))), np.uint8)
        replay.add_state(0, number, state.reshape(replay.shape))
        if number > first:
            record["sequence"], record["next_sequence"] = number - 1, number
            record["td_error"] = random.random()
            replay.add_transitions(0, record)


def measure(config: Config, replay: Replay, learner: Learner, new: int, repeats: int) -> dict[str, float]:
    """Save the full buffer, and then behind ``new`` states each time; return the times and sizes."""
    random = np.random.default_rng(1)
    add(replay, 0, config.replay.capacity + 1, random)
    learner.update()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        checkpoints = Checkpoints(Path(folder))
        parts = {"learner": learner, "replay": replay}

        def save() -> tuple[float, int]:
            began = time.perf_counter()
            size = checkpoints.save(parts, {})
            return time.perf_counter() - began, size

        first, _ = save()
        times, sizes = [], []
        for number in range(repeats):
            add(replay, config.replay.capacity + 1 + number * new, new, random)
            took, size = save()
            times.append(took)
            sizes.append(size)
        disk = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    return {
        "time_lost_percent": round(100 * float(np.median(times)) / config.train.checkpoint_interval, 3),
        "seconds": round(float(np.median(times)), 3),
        "megabytes": round(float(np.median(sizes)) / 1e6, 1),
        "first_seconds": round(first, 2),
        "disk_megabytes": round(disk / 1e6, 1),
    }


def main() -> None:
    """Measure, and print the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the states, fewer repeats")
    quick = parser.parse_args().quick
    settings = ["replay.capacity=20000"] if quick else []
    config, atoms = read_input(INPUT, settings)
    environment = Environment(config, lambda: make_engine(config, atoms))
    pace = seconds_per_action(environment, 5 if quick else 20)
    environment.close()
    shape, actions = grid_shape(config, atoms), len(action_vectors(config.actions, config.goal))
    replay = Replay(shape, config.replay, 1)
    learner = Learner(shape, actions, config.network, config.learning, replay, config.seed)
    new = max(1, round(AGENTS * config.train.checkpoint_interval / pace))
    states = f"{config.replay.capacity:,} states of {np.prod(shape):,} bytes"
    print(f"{states}; {pace:.2f} s an action, {new} new states for each checkpoint")
    print(json.dumps(measure(config, replay, learner, new, 3 if quick else 7)))


if __name__ == "__main__":
    main()
