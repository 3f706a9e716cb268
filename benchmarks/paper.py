"""Figure 2 of the MAP paper: how trainings in the paper's mode get on with more agents, and without a reward.

    python benchmarks/paper.py --runs DIR --input inputs/silica-small.yaml [--each 1000] [--agents 1,4,16]
        [--ablate-with 4] [--out benchmarks/results/paper-silica.json]

Every training is `mode: paper` with so many actions of each agent. The upper row of the figure shows the agents' final
coordinate (along the goal direction, from the start) and the total reward of their episodes against the actions of an
agent, mean and standard deviation over the agents; the lower row shows the same with one of the rewards turned off.
Runs are kept in DIR: started again, the benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from launch import train

from mapmpi.config import load, unit
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.trajectory import TrajectoryReader

REWARDS = ("position", "energy", "density", "distance")
"""Those that the paper turns off, one at a time."""

Episodes = list[tuple[int, int, float, float, bool]]
"""Agent, its actions at the end, final coordinate (Å from the start), total reward, whether it reached the goal."""


def episodes_of(run: Path) -> Episodes:
    """Return the episodes of a training, each agent's in order."""
    directory = RunDirectory(run)
    goal = load(directory.config, structure_needed=False).goal
    found: Episodes = []
    for file in directory.trajectory_files():
        with TrajectoryReader(file) as reader:
            done = 0
            for number, row in enumerate(reader.episodes):
                if number == 0:
                    start = float(reader.episode(0).agent_position[0] @ unit(goal.direction))
                done += int(row["actions"])
                if bytes(row["outcome"]) == b"stopped":  # by the training's end, wherever the agent was
                    continue
                reached = bytes(row["outcome"]) == b"goal"
                progress, reward = float(row["final_x"]) - start, float(row["total_reward"])
                found.append((int(row["agent"]), done, round(progress, 3), round(reward, 2), reached))
    return found


def course(episodes: Episodes, column: int, marks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation over the agents of what their last episode up to each mark came to."""
    rows = []
    for agent in sorted({one[0] for one in episodes}):
        own = [one for one in episodes if one[0] == agent]
        values = [next((one[column] for one in reversed(own) if one[1] <= mark), np.nan) for mark in marks]
        rows.append(values)
    known = np.ma.masked_invalid(rows)
    return known.mean(axis=0).filled(np.nan), known.std(axis=0).filled(np.nan)


def draw(groups: Sequence[dict[str, Episodes]], distance: float, file: Path) -> None:
    """Draw the figure: a row of two panels for each group of trainings."""
    import matplotlib.pyplot as plt

    # the last episodes end after the last action that was asked for
    marks = np.linspace(0, max(one[1] for runs in groups for episodes in runs.values() for one in episodes), 41)
    figure, panels = plt.subplots(
        len(groups), 2, figsize=(9, 3.4 * len(groups)), layout="constrained", squeeze=False
    )
    for row, runs in zip(panels, groups, strict=True):
        for column, axes, name in (
            (2, row[0], "final coordinate (Å from the start)"),
            (3, row[1], "total reward"),
        ):
            for label, episodes in runs.items():
                mean, spread = course(episodes, column, marks)
                (line,) = axes.plot(marks, mean, label=label)
                axes.fill_between(marks, mean - spread, mean + spread, alpha=0.15, color=line.get_color())
            axes.set(xlabel="actions of an agent", ylabel=name)
        row[0].axhline(distance, color="black", linewidth=0.8, linestyle=":")
        row[0].legend(fontsize="small")
    figure.savefig(file, dpi=150)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="folder in which runs are kept")
    parser.add_argument("--input", type=Path, required=True, help="input file")
    parser.add_argument("--each", type=int, default=1000, help="actions of each agent")
    parser.add_argument("--agents", default="1,4,16", help="numbers of agents")
    parser.add_argument(
        "--ablate-with", type=int, default=4, metavar="N", help="agents of the trainings without a reward"
    )
    parser.add_argument("--out", type=Path, help="file for the data (JSON); the figure lies beside it")
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)

    def trained(name: str, agents: int, *settings: str) -> Episodes:
        run = args.runs / name
        limits = (f"train.stop.actions={args.each * agents}", "train.stop.wall_time=1d", "mode=paper", *settings)
        if not (run / "trained").exists():
            train(args.input, run, agents, limits)
            (run / "trained").touch()
        found = episodes_of(run)
        last = [one for one in found if one[1] > 0.75 * args.each]
        means = (np.mean([one[column] for one in last]) if last else np.nan for column in (2, 3, 4))
        print(
            "{:28} last quarter: final x {:6.2f} Å, reward {:8.1f}, goals {:.2f}".format(name, *means), flush=True
        )
        return found

    by_agents = {f"N = {agents}": trained(f"n-{agents}", int(agents)) for agents in args.agents.split(",")}
    count = args.ablate_with
    without = {"all rewards": by_agents.get(f"N = {count}") or trained(f"n-{count}", count)}
    for reward in REWARDS:
        without[f"no {reward}"] = trained(f"n-{count}-no-{reward}", count, f"rewards.{reward}.enabled=false")
    if args.out is not None:
        distance = load(args.input, structure_needed=False).goal.distance
        args.out.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "command": " ".join(["python", *sys.argv]),
            "each": args.each,
            "agents": by_agents,
            "without": without,
        }
        args.out.write_text(json.dumps(content) + "\n")
        draw((by_agents, without), distance, args.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
