"""What a training says of its episodes while it runs and at its end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mapmpi.rl.dqn import UpdateStats
from mapmpi.store.metrics import read_learner
from mapmpi.store.records import EPISODE
from mapmpi.store.rundir import RunDirectory
from mapmpi.train.books import Books
from mapmpi.train.progress import best_episodes, summary


def episode(number: int, outcome: bytes, climb: float, progress: float = 6.0, **fields: object) -> np.void:
    """Return an episode of agent 1 with five frames; highest energies in the opposite order of the climbs."""
    row = np.zeros(1, EPISODE)[0]
    row["agent"], row["episode"], row["frames"], row["first_frame"] = 1, number, 5, 5 * (number - 1)
    row["outcome"], row["climb"], row["progress"] = outcome, climb, progress
    row["highest_energy"] = 10.0 - climb
    for name, value in fields.items():
        row[name] = value
    return row


EPISODES = [
    episode(1, b"step_limit", 0.5, progress=4.0),
    episode(2, b"goal", 3.0),
    episode(3, b"goal", 2.0),
    episode(4, b"goal", 2.0, frames=4),
    episode(5, b"goal", 1.0, parent_agent=1, parent_episode=3, parent_frame=2),
    episode(6, b"goal", 0.1, parent_agent=7, parent_episode=1, parent_frame=2),  # an orphan
    episode(7, b"tether", 0.2, progress=5.0),
]


def test_the_best_are_ranked_by_their_climb() -> None:
    assert [int(row["episode"]) for row in best_episodes(EPISODES, 9)] == [5, 4, 3, 2, 7, 1]
    assert [int(row["episode"]) for row in best_episodes(EPISODES, 2)] == [5, 4]


def test_the_summary_shows_climb_and_parent(tmp_path: Path) -> None:
    lines = summary(EPISODES, set(), RunDirectory(tmp_path), 60.0).splitlines()
    assert "7 episodes, 5 reached the goal" in lines[1]
    assert lines[2].startswith("Best episodes, by the largest rise of the energy")
    assert lines[3].startswith("  goal         6.00 Å    1.00 eV")
    assert lines[3].endswith("agent 1 episode 5")
    assert lines[4].startswith("      frames 20–24 of")
    assert lines[4].endswith("agent-00001.h5, behind frame 2 of agent 1 episode 3")
    assert lines[6].endswith("agent-00001.h5")


def test_the_age_of_weights_counts_actions_since_there_were_newer_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mapmpi.train.books.VERSIONS", 3)
    books = Books(RunDirectory.create(tmp_path / "run"))
    books.begin(0.0, 10)
    for _ in range(5):  # versions 11 to 15, after 1 to 5 actions; three are remembered
        books.add_action(1, 10)
        books.add_update(UpdateStats(0.0, 0.0, 0.0))
    books.add_action(1, 15)
    books.add_action(1, 14)  # 15 was there after 5 of 7 actions
    books.add_action(1, 13)
    books.add_action(1, 11)  # as old as is remembered
    assert books._ages == [0, 1, 2, 3, 3, 0, 2, 4, 6]


def test_the_best_climb_is_that_of_an_episode_at_the_goal(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "run")
    books = Books(directory)
    books.add(EPISODES[0])
    assert np.isnan(books.report(1.0, 0, 0)["best_climb"])
    for row in EPISODES[1:4]:
        books.add(row)
    assert books.report(2.0, 0, 0)["best_climb"] == 2.0
    logged = read_learner(directory.learner)["best_climb"]
    assert np.isnan(logged[0])
    assert logged[1] == pytest.approx(2.0)
