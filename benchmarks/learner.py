"""How fast the learner's gradient steps are, and what it loses to its other duties while two agents feed it.

    python benchmarks/learner.py [--quick]

learner_speedup: a whole update of ours (sample, gradient step, new priorities) against a bare torch loop in float32 on
one fixed batch of the same size, with the same two networks, loss, clipping and optimizer, as one would write it
down; float32_speedup is that with learning.precision float32. learner_fraction: our gradient step on a fixed batch
against what the learner does for one while two real agents on inputs/silica-small.yaml send experience: take in
messages, sample, step, set priorities, answer for weights. Ratios are medians over pairs of blocks that take turns in
one process with one thread, in processor time, as others may load the machine. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

from mapmpi.threads import one_thread_per_rank

one_thread_per_rank()

import numpy as np  # noqa: E402  (after the threads are set)
import torch  # noqa: E402
from mpi4py import MPI  # noqa: E402

import mapmpi.train.learner  # noqa: E402
import mapmpi.train.run  # noqa: E402
from mapmpi.config import load  # noqa: E402
from mapmpi.rl.architecture import GRID_MAX  # noqa: E402
from mapmpi.rl.arithmetic import has_matrix_unit  # noqa: E402
from mapmpi.rl.dqn import Learner, td_targets  # noqa: E402
from mapmpi.rl.network import QNetwork  # noqa: E402
from mapmpi.rl.timing import noise  # noqa: E402

INPUT = Path(__file__).parent.parent / "inputs" / "silica-small.yaml"
SHAPE, ACTIONS = (3, 16, 16, 16), 26
BLOCK = 10


class PlainNetwork(QNetwork):
    """The same network out of torch's own modules, in float32."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return Q (B, A) of states (B, C, G, G, G) uint8."""
        grid = states.to(torch.float32, memory_format=torch.channels_last_3d) / GRID_MAX
        features = self.convolutions(grid).flatten(1)
        value, advantage = (stream(features) for stream in self.streams)
        return value + advantage - advantage.mean(dim=1, keepdim=True)


def bare_loop(learner: Learner, network) -> Callable[[], object]:
    """Return one gradient step of plain torch on a fixed batch of the learner's own size."""
    learning = learner.learning
    batch = learner.replay.sample(learning.batch, np.random.default_rng(0))
    names = ("states", "next_states", "actions", "returns", "discounts", "next_forbidden", "weights")
    states, next_states, actions, returns, discounts, forbidden, weights = (
        torch.from_numpy(np.array(getattr(batch, name), order="C")) for name in names
    )
    behaviour, target = (PlainNetwork(SHAPE, ACTIONS, network) for _ in range(2))
    optimizer = torch.optim.Adam(behaviour.parameters(), lr=learning.learning_rate)

    def step() -> None:
        with torch.no_grad():
            next_q = target(next_states)
            choosing = behaviour(next_states) if learning.double else next_q
            targets = td_targets(returns, discounts, forbidden, next_q, choosing)
        q = behaviour(states).gather(1, actions[:, None]).squeeze(1)
        loss = (weights * (targets - q).square()).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(behaviour.parameters(), learning.gradient_clip)
        optimizer.step()

    return step


def milliseconds(step: Callable[[], object]) -> float:
    """Return the processor time of one step, the mean of a block."""
    began = time.process_time()
    for _ in range(BLOCK):
        step()
    return 1e3 * (time.process_time() - began) / BLOCK


def speedups(pairs: int) -> dict[str, float]:
    """Time our updates, as they are by default and in float32, against the bare loop."""
    torch.set_num_threads(1)
    config = load(INPUT)
    steps: list[Callable[[], object]] = []
    for precision in ("auto", "float32"):
        learning = config.learning.model_copy(update={"device": "cpu", "precision": precision})
        replay = noise(SHAPE, ACTIONS, config)
        learner = Learner(SHAPE, ACTIONS, config.network, learning, replay, config.seed)
        steps.append(learner.update)
    steps.append(bare_loop(learner, config.network))
    spans = np.array([[milliseconds(step) for step in steps] for _ in range(pairs + 1)])[1:]  # the first warms up
    ours, single, bare = np.median(spans, axis=0)
    ratios = spans[:, 2:] / spans[:, :2]
    low, high = np.percentile(ratios[:, 0], [25, 75])
    unit = "with" if has_matrix_unit() else "without"
    print(
        f"ms of one core for an update, processor {unit} AMX: ours {ours:.1f}, in float32 {single:.1f}, "
        f"bare torch {bare:.1f}; {pairs} blocks, half of the speedups from {low:.2f} to {high:.2f}"
    )
    speedup, in_single = np.median(ratios, axis=0)
    return {
        "learner_speedup": float(speedup),
        "float32_speedup": float(in_single),
        "matrix_unit": has_matrix_unit(),
    }


class Timed(mapmpi.train.learner.Training):
    """A training that times its own turns against nothing but their gradient steps."""

    seconds = 120.0

    def run(self, report) -> int:
        """Alternate blocks until the time is over, and print the ratio."""
        self.link.start()
        self.roll.begin()
        self.books.begin(self.elapsed_s, self.learner.updates)
        while not self.learn():
            self.turn()
        batch = deepcopy(self.replay.sample(self.config.learning.batch, np.random.default_rng(0)))
        twin = Learner(SHAPE, ACTIONS, self.config.network, self.config.learning, self.replay, seed=0)
        spans = []
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            spans.append([milliseconds(self.turn), milliseconds(lambda: twin.step(batch))])
        self.link.stop()
        self._see_home()
        self._report(report)
        turns, steps = np.transpose(spans[1:])
        print(
            f"learner: {np.median(turns):.1f} ms a turn, gradient step {np.median(steps):.1f} ms; {len(turns)} pairs"
        )
        print(f"learner: meanwhile {self.books.actions} actions, {self.books.transitions} transitions")
        print(json.dumps({"learner_fraction": float(np.median(steps / turns))}), flush=True)
        return 0


def main() -> int:
    """Time gradient steps, then start three ranks; or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a minute or less")
    parser.add_argument("--run-dir", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run_dir is None:
        found = speedups(15 if args.quick else 60)
        with tempfile.TemporaryDirectory() as folder:
            mpiexec = Path(sys.executable).parent / "mpiexec"
            command = [str(mpiexec if mpiexec.exists() else "mpiexec"), "-n", "3", sys.executable, __file__]
            command += ["--run-dir", os.path.join(folder, "run")] + ["--quick"] * args.quick
            output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        lines = output.splitlines()
        print("\n".join(line for line in lines if line.startswith("learner: ")))
        print(json.dumps(json.loads(next(line for line in lines if line.startswith("{"))) | found))
        return 0
    mapmpi.train.learner.Training = Timed
    Timed.seconds = 25.0 if args.quick else 120.0
    settings = ["learning.start=20", "learning.replay_ratio=1e9", "learning.device=cpu"]
    settings += ["train.stop.actions=null", "train.stop.wall_time=1h"]
    words = [word for setting in settings for word in ("--set", setting)]
    assert MPI.COMM_WORLD.size == 3
    return mapmpi.train.run.main([str(INPUT), "--run-dir", args.run_dir, *words])


if __name__ == "__main__":
    sys.exit(main())
