"""Does it learn? The greedy policy must find the gap in a wall that the straight line has to climb."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import analytic_config, analytic_engine, wall_with_a_gap
from in_process import train

from mapmpi.climb import Heights
from mapmpi.config import Config
from mapmpi.env.environment import Environment
from mapmpi.env.step import Step
from mapmpi.rl.exploration import masked_argmax
from mapmpi.store.metrics import read_metrics
from mapmpi.store.trajectory import TrajectoryReader

ACTIONS = 2000


def learning_config(tmp_path: Path, seed: int) -> Config:
    return analytic_config(
        tmp_path,
        seed=seed,
        dynamics={"steps_per_action": 20, "timestep": 1.0, "equilibration_steps": 20},
        exploration={"kind": "random"},
        learning={"replay_ratio": 32, "batch": 32, "learning_rate": 1e-3, "discount": 0.95},
        train={"stop": {"actions": ACTIONS}, "weights_interval": 1},
    )


def play(environment: Environment, policy: Callable[[Step], int]) -> Step:
    step = environment.reset(99)
    while not step.ending:
        step = environment.step(policy(step))
    return step


def test_the_greedy_policy_finds_the_gap(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    better, report = 0, []
    for seed in range(1, 6):
        config = learning_config(tmp_path, seed)
        engine = lambda config=config: analytic_engine(config, wall_with_a_gap())  # noqa: E731
        _, q = train(config, engine, tmp_path / f"run-{seed}", epsilon=0.3)
        environment = Environment(config, engine)
        straight = play(environment, lambda step: 0)
        greedy = play(environment, lambda step, q=q: masked_argmax(q(step.state), step.forbidden))
        assert straight.ending == "goal"
        report.append((greedy.ending, greedy.heights.rise, straight.heights.rise))
        better += greedy.ending == "goal" and greedy.heights.rise < 0.8 * straight.heights.rise
    assert better >= 4, report


def test_books_and_trajectory_agree(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    config = analytic_config(
        tmp_path,
        train={"stop": {"actions": 160}},
        learning={"start": 20},
        episode={"max_actions": 30},
        exploration={"kind": "random", "greedy_share": 0.5},
    )
    training, _ = train(config, lambda: analytic_engine(config, wall_with_a_gap()), tmp_path / "run", 0.4)
    rows = read_metrics(tmp_path / "run" / "metrics.csv")
    with TrajectoryReader(tmp_path / "run" / "trajectories" / "agent-00001.h5") as reader:
        assert len(rows) == len(reader.episodes) > 2
        for number, (row, kept) in enumerate(zip(rows, reader.episodes, strict=True)):
            episode = reader.episode(number)
            assert row["actions"] == kept["actions"] == kept["frames"] - 1 == (episode.actions >= 0).sum()
            assert row["total_reward"] == pytest.approx(episode.reward_terms.sum(), abs=1e-6)
            assert row["final_x"] == pytest.approx(episode.agent_position[-1, 0], abs=1e-6)
            before = rows[:number]
            greedy = before["actions"][before["policy"] == b"greedy"].sum()
            assert row["epsilon"] == (0.0 if greedy + 30 <= 0.5 * before["actions"].sum() else 0.4)
            rise = episode.potential_energy - episode.potential_energy[0]
            assert row["highest_energy"] == pytest.approx(rise.max(), abs=1e-6)
            assert row["climb"] == pytest.approx(Heights.of(episode.potential_energy).climb, abs=1e-6)
            assert not any(row[name] for name in ("parent_agent", "parent_episode", "parent_frame"))
    assert rows["actions"].sum() == training.books.actions >= 160
    assert rows["outcome"][-1] == b"stopped"
    # every action became a transition: n-step returns lose none at an episode's end
    assert training.books.transitions == training.books.actions
    assert np.isfinite(rows["total_reward"]).all()
