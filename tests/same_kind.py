"""``same_kind.py CHAIN WHOLE``: is what a chain of jobs left of the same kind as what one job left: the same kinds of
files and columns, and in the chain episode numbers that go on, nothing twice, and a refined pathway."""

from __future__ import annotations

import csv
import re
import sys
from collections import defaultdict
from pathlib import Path

import h5py
import numpy as np
from running import committed, rows_twice

from mapmpi.store.metrics import read_metrics


def kinds(run: Path) -> set[str]:
    """Return the names of all files with 0 for every number."""
    return {re.sub(r"\d+", "0", str(path.relative_to(run))) for path in run.rglob("*") if path.is_file()}


def table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table of learner.csv's kind."""
    with open(path, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def jobs(run: Path) -> int:
    """Return how many trainings rank 0 began, by its log."""
    return (run / "logs" / "rank-00000.log").read_text().count("as learner")


def check(run: Path) -> str:
    """Check one run directory; return in words what there is."""
    episodes, unreadable, twice = committed(run)
    assert (unreadable, twice, rows_twice(run)) == (0, 0, 0), (unreadable, twice, rows_twice(run))
    numbers = defaultdict(list)
    for agent, episode in sorted(episodes):
        numbers[agent].append(episode)
    for agent, found in numbers.items():
        assert found == list(range(1, len(found) + 1)), f"agent {agent}: {found}"
    rows = {(int(row["agent"]), int(row["episode"])) for row in read_metrics(run / "metrics.csv")}
    assert rows == set(episodes), rows ^ set(episodes)
    for file in sorted((run / "trajectories").glob("agent-*.h5")):
        with h5py.File(file) as handle:
            assert (np.diff(handle["particles/atoms/position/step"][()]) > 0).all(), f"{file}: steps"
    learner = table(run / "learner.csv")
    for column in ("elapsed_s", "actions", "updates", "episodes"):
        values = [float(row[column]) for row in learner]
        assert values == sorted(values), f"{column} of learner.csv goes back"
    pathways = table(run / "pathways" / "pathways.csv")
    assert pathways, "no pathway"
    return (
        f"{jobs(run)} jobs, {len(episodes)} episodes, {learner[-1]['actions']} actions, {len(pathways)} pathways"
    )


chain, whole = map(Path, sys.argv[1:3])
for one in (chain, whole):
    print(f"{one}: {check(one)}")
assert kinds(chain) == kinds(whole), kinds(chain) ^ kinds(whole)
for name in ("metrics.csv", "learner.csv", "pathways/pathways.csv"):
    first = [(one / name).read_text().partition("\n")[0] for one in (chain, whole)]
    assert first[0] == first[1], f"{name}: {first}"
assert jobs(chain) > 1 == jobs(whole)
print("the chain's run directory is of the same kind as the one job's")
