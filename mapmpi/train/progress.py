"""What the user sees of a training: a live panel on a terminal, a plain line per interval elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import numpy as np

from mapmpi.config import Stop
from mapmpi.panel import Panel
from mapmpi.store.ancestry import best_first
from mapmpi.store.rundir import RunDirectory
from mapmpi.units import duration_text


def time_left_s(stop: Stop, row: dict[str, float], job_left_s: float = float("inf")) -> float:
    """Return the seconds until the first limit at the training's mean pace; infinite when unknown."""
    left = [job_left_s]
    elapsed = row["elapsed_s"]
    if isinstance(stop.wall_time, float):
        left.append(stop.wall_time - elapsed)
    for limit, name in ((stop.actions, "actions"), (stop.episodes, "episodes")):
        if limit is not None and row[name] > 0:
            left.append((limit - row[name]) * elapsed / row[name])
    return max(0.0, min(left))


def progress_line(
    stop: Stop, row: dict[str, float], epsilons: np.ndarray, job_left_s: float = float("inf")
) -> dict[str, str]:
    """Return the figures of a report in words, in the order in which they are shown."""
    left = time_left_s(stop, row, job_left_s)
    return {
        "time": duration_text(row["elapsed_s"]),
        "left": duration_text(left) if np.isfinite(left) else "?",
        "actions": f"{row['actions']:.0f} ({row['actions_per_s']:.2f}/s)",
        "episodes": f"{row['episodes']:.0f}",
        "farthest": _known(row["best_progress"], "{:.2f} Å"),
        "best climb": _known(row["best_climb"], "{:.2f} eV"),
        "reward best/mean": f"{_known(row['best_reward'], '{:.2f}')}/{_known(row['mean_reward'], '{:.2f}')}",
        "ε": f"{epsilons.min():.3g}–{epsilons.max():.3g}",
        "updates": f"{row['updates']:.0f} ({row['updates_per_s']:.2f}/s)",
        "loss": _known(row["loss"], "{:.3g}"),
    }


def _known(value: float, form: str) -> str:
    """Return a number in words; a dash for one that is not known yet."""
    return form.format(value) if np.isfinite(value) else "–"


class Progress(Panel):
    """Reports of one training, whose job ends at ``job_ends`` (monotonic clock); use as a context. On rank 0 only."""

    def __init__(self, stop: Stop, epsilons: np.ndarray, job_ends: float) -> None:
        super().__init__()
        self.stop, self.epsilons, self.job_ends = stop, epsilons, job_ends

    def __call__(self, row: dict[str, float]) -> None:
        """Show a row of learner.csv."""
        self.show(progress_line(self.stop, row, self.epsilons, self.job_ends - time.monotonic()))


def best_episodes(episodes: Sequence[np.void], count: int = 5) -> list[np.void]:
    """Return the best episodes: those that reached the goal, ranked as phase 2 ranks them, then the furthest."""
    others = [episode for episode in episodes if episode["outcome"] != b"goal"]
    others.sort(key=lambda episode: -float(episode["progress"]))
    return [*best_first(episodes), *others][:count]


def summary(episodes: Sequence[np.void], lost: set[int], directory: RunDirectory, elapsed_s: float) -> str:
    """Return what to say at the end: how much was done, the best episodes and where they lie."""
    reached = sum(episode["outcome"] == b"goal" for episode in episodes)
    failed = Counter(episode["failure"].decode() for episode in episodes if episode["outcome"] == b"failed")
    kinds = ", ".join(f"{kind} {count}" for kind, count in failed.most_common())
    lines = [
        "",
        f"Done in {duration_text(elapsed_s)}: {len(episodes)} episodes, {reached} reached the goal, {failed.total()} "
        f"ended by a failed simulation{f' ({kinds})' if kinds else ''}.",
    ]
    if lost:
        lines.append(f"Lost on the way: agent{'s' * (len(lost) > 1)} {', '.join(map(str, sorted(lost)))}.")
    lines.append("Best episodes, by the largest rise of the energy along the whole path; then the furthest:")
    for episode in best_episodes(episodes):
        last = episode["first_frame"] + episode["frames"] - 1
        lines.append(
            f"  {episode['outcome'].decode():10} {episode['progress']:6.2f} Å  {episode['climb']:6.2f} eV"
            f"  reward {episode['total_reward']:7.2f}  agent {episode['agent']} episode {episode['episode']}\n"
            f"      frames {episode['first_frame']}–{last} of {directory.trajectory(int(episode['agent']))}"
            f"{_behind(episode)}"
        )
    lines.append(f"Curves: {directory.metrics}, {directory.learner}")
    return "\n".join(lines)


def _behind(episode: np.void) -> str:
    """Return what an episode continues, in words; nothing for one that begins at the start."""
    if not episode["parent_agent"]:
        return ""
    parent = f"agent {episode['parent_agent']} episode {episode['parent_episode']}"
    return f", behind frame {episode['parent_frame']} of {parent}"
