"""Small run directories to report on: trained, refined, or both, written by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import ancestors
import numpy as np
from test_pathway_files import pathway

from mapmpi.config import Config
from mapmpi.pneb import record, table
from mapmpi.store.metrics import LEARNER_FIELDS, METRICS_FIELDS, CsvLog, episode_row
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.trajectory import TrajectoryReader

KELVINS = (623.15, 500.0)


def make_run(path: Path, **sections: Any) -> RunDirectory:
    """Make a run directory of an input for the structures of ``ancestors`` and ``test_pathway_files``."""
    run = RunDirectory.create(path)
    tree: dict[str, Any] = {
        "structure": {"file": "start.data", "tagged_atoms": [1], "molecule_atoms": [1, 2, 3]},
        "goal": {"distance": 6.0},
        "exploration": {"kind": "random"},
        **sections,
    }
    forces = "Forces: ReaxFF, /somewhere/ffield.reax, titled “Made up”."
    run.write_config(Config.model_validate(tree), {"ranks": 3, "agents": 2, "forces": forces})
    return run


def train(run: RunDirectory) -> None:
    """Add a training of two agents: trajectories, metrics.csv and learner.csv."""
    goal = ancestors.Episode(2, 2, [0.0, 1.1, 0.4, 0.2], way=0.1)
    lost = ancestors.Episode(1, 3, [0.0, 9.0], outcome=b"failed", progress=1.5)
    ancestors.write(run, *ancestors.FAMILY, goal, lost)
    metrics, learner = CsvLog(run.metrics, METRICS_FIELDS), CsvLog(run.learner, LEARNER_FIELDS)
    ended = 0.0
    for file in run.trajectory_files():
        with TrajectoryReader(file) as reader:
            for row in reader.episodes:
                ended += 10.0
                row["ended"], row["actions"], row["policy"], row["epsilon"] = ended, 20, b"explore", 0.5
                row["final_x"], row["total_reward"] = row["progress"] + 7.3, -ended
                row["failure"] = b"temperature" if row["outcome"] == b"failed" else b""
                metrics.write(episode_row(row))
    for count in (20, 60, 120):
        figures = {"elapsed_s": count / 2, "actions": count, "episodes": count // 20, "loss": 1.0 / count}
        learner.write({**figures, "td_error": 2.0 / count, "actions_per_s": 2.0})
    metrics.close()
    learner.close()


def refine(run: RunDirectory, *pathways: Any, prefactor: Any = "hbar") -> None:
    """Add refined pathways, ranked; without any, one of two hops and one that is worse."""
    run.pathways.mkdir(exist_ok=True)
    some = pathways or (pathway(1.0, 0.5), replace(pathway(1.5), name="pathway-002"))
    for one in some:
        record.save(run.pathways / f"{one.name}.h5", one, {"pneb": {}})
    table.write_csv(run.pathways / "pathways.csv", list(some), prefactor, KELVINS)


def checkpoint_with_a_map(run: RunDirectory, visits: int = 60, mapped: bool = True) -> None:
    """Add a checkpoint that knows what planned exploration has visited in the structure of ``ancestors``."""
    from mapmpi.store import checkpoint

    places = np.random.default_rng(1).uniform([0, -2, -2], [7, 2, 2], (visits, 3)) + ancestors.START.positions[0]
    rises = 1.0 + np.sin(places[:, 0])
    arrays = {
        "guidance.visited": np.column_stack([places, rises]),
        "guidance.positions": ancestors.START.positions,
        "guidance.scale": np.array(1.0),
        "guidance.best": np.array(np.inf),
        "guidance.mapped": np.array(mapped),
    }
    checkpoint.save(run.checkpoints / "checkpoint-000001.npz", arrays, {"facts": {"elapsed_s": 1.0}, "rings": {}})
