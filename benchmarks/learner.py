"""What the learner's gradient steps lose to its other duties while two agents feed it.

    python benchmarks/learner.py [--quick]

Starts itself on three ranks: two real agents on inputs/silica-small.yaml and the learner. The learner does, in
turn, blocks of its real work (take in messages, sample, gradient step, new priorities, answer for weights) and
blocks of a bare torch loop: the same two networks, loss, clipping and optimizer on one fixed batch. The agents
load the machine alike in both, so the ratio is the learner's own overhead. The last line is JSON.
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
from pathlib import Path

from mapmpi.threads import one_thread_per_rank

one_thread_per_rank()

import numpy as np  # noqa: E402  (after the threads are set)
import torch  # noqa: E402
from mpi4py import MPI  # noqa: E402

import mapmpi.train.learner  # noqa: E402
import mapmpi.train.run  # noqa: E402
from mapmpi.rl.dqn import td_targets  # noqa: E402
from mapmpi.rl.network import QNetwork  # noqa: E402

INPUT = Path(__file__).parent.parent / "inputs" / "silica-small.yaml"
BLOCK = 10


def bare_loop(training) -> Callable[[], None]:
    """Return one gradient step of plain torch on a fixed batch of the learner's own size."""
    learner = training.learner
    batch = training.replay.sample(learner.learning.batch, np.random.default_rng(0))
    names = ("states", "next_states", "actions", "returns", "discounts", "next_forbidden", "weights")
    states, next_states, actions, returns, discounts, forbidden, weights = (
        torch.from_numpy(getattr(batch, name).copy()) for name in names
    )
    architecture = training.replay.shape, learner.behaviour(states).shape[1], training.config.network
    behaviour, target = QNetwork(*architecture), QNetwork(*architecture)
    optimizer = torch.optim.Adam(behaviour.parameters(), lr=learner.learning.learning_rate)

    def step() -> None:
        with torch.no_grad():
            next_q = target(next_states)
            choosing = behaviour(next_states) if learner.learning.double else next_q
            targets = td_targets(returns, discounts, forbidden, next_q, choosing)
        q = behaviour(states).gather(1, actions[:, None]).squeeze(1)
        loss = (weights * (targets - q).square()).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(behaviour.parameters(), learner.learning.gradient_clip)
        optimizer.step()

    return step


class Timed(mapmpi.train.learner.Training):
    """A training that times its own turns against the bare loop."""

    def run(self, report) -> None:
        """Alternate blocks until the time is over, and print the ratio."""
        while not self.learn():
            self.turn()
        bare, ratios, rates = bare_loop(self), [], []
        while not self.at_limit():
            spans = []
            for step in (self.turn, bare):
                began = time.perf_counter()
                for _ in range(BLOCK):
                    step()
                spans.append(time.perf_counter() - began)
            ratios.append(spans[1] / spans[0])
            rates.append(BLOCK / np.array(spans))
        self.link.stop()
        self._see_home()
        report(self._row())
        full, plain = np.median(rates, axis=0)
        print(f"gradient steps/s: learner {full:.2f}, bare torch {plain:.2f}; {len(ratios)} pairs of blocks")
        print(f"messages meanwhile: {self.actions} actions, {self.transitions} transitions")
        print(json.dumps({"learner_fraction": float(np.median(ratios))}), flush=True)


def main() -> int:
    """Start three ranks, or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a minute or less")
    parser.add_argument("--run-dir", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run_dir is None:
        with tempfile.TemporaryDirectory() as folder:
            mpiexec = Path(sys.executable).parent / "mpiexec"
            command = [str(mpiexec if mpiexec.exists() else "mpiexec"), "-n", "3", sys.executable, __file__]
            command += ["--run-dir", os.path.join(folder, "run")] + ["--quick"] * args.quick
            output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        lines = output.splitlines()
        last = [line for line in lines if line.startswith("{")]
        print("\n".join([line for line in lines if line.startswith(("gradient", "messages"))] + last))
        return 0
    mapmpi.train.learner.Training = Timed
    settings = [f"train.stop.wall_time={40 if args.quick else 150}s", "learning.start=20"]
    settings += ["learning.replay_ratio=1e9", "train.stop.actions=null"]
    words = [word for setting in settings for word in ("--set", setting)]
    assert MPI.COMM_WORLD.size == 3
    return mapmpi.train.run.main([str(INPUT), "--run-dir", args.run_dir, *words])


if __name__ == "__main__":
    sys.exit(main())
