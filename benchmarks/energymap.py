"""How well the energy map of a search would have known what was visited next, and with a linear function alone.

    python benchmarks/energymap.py [--prior FILE.npz] [--first 100] [--last N] RUN_DIR …

The visits of finished trainings (exploration.kind: planned) come from their last checkpoints. After every 50 visits,
from the first to the last that are named, the map is fitted to all so far, in units of the best path's climb, and
the next 50 are predicted, but for those within NEAR of a known place. Printed are, over the runs: Spearman's rank
correlation between prediction and energy, and the error of the asinh of the energy (root mean square). `linear` is the
process without what differs from a linear function of the features, `prior` the process that also knows what
mapmpi.train.prior made of other trainings. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import spearmanr

from mapmpi.config import load
from mapmpi.search import process
from mapmpi.search.energymap import EnergyMap
from mapmpi.search.prior import Prior
from mapmpi.search.region import Region
from mapmpi.store.checkpoint import Checkpoints
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.trajectory import start_structure
from mapmpi.train.guidance import make_region

EVERY, NEAR = 50, 0.5
"""Visits between two fits, and Å from a known place within which nothing is predicted."""
MAPS = {"process": process.LENGTHS, "linear": (1e3,)}
"""The lengths that the process has to choose from; one that is far too long leaves a linear function."""

Visits = tuple[Region, np.ndarray, np.ndarray, float]
"""The region of a training, the places (m, 3) Å that it visited, their energies (m,) eV, and its best path's climb."""


def visits(run: Path) -> Visits:
    """Return the visits of a training."""
    directory = RunDirectory(run)
    config, atoms = load(directory.config, structure_needed=False), start_structure(directory)
    checkpoint = Checkpoints(directory.checkpoints).newest()
    assert checkpoint is not None, f"{run} has no checkpoint"
    visited = checkpoint.arrays["guidance.visited"]
    atoms.positions[:] = checkpoint.arrays["guidance.positions"]
    return make_region(config, atoms), visited[:, :3], visited[:, 3], float(checkpoint.arrays["guidance.best"])


def score(stored: Visits, first: int, last: int, prior: Prior | None = None) -> list[float]:
    """Return rank correlation and error of the predictions of one training."""
    region, places, energies, scale = stored
    found, rows = EnergyMap(region, prior), []
    for known in range(first, min(last, len(places) - EVERY // 2), EVERY):
        following = np.arange(known, min(known + EVERY, len(places)))
        far = cKDTree(places[:known]).query(places[following])[0] > NEAR
        found.fit(places[:known], energies[:known], scale)
        nodes = region.nearest(places[following[far]])
        rows.append(np.arcsinh(np.stack([energies[following[far]], found.energies()[nodes]]) / scale))
    true, predicted = np.concatenate(rows, axis=1)
    return [float(spearmanr(predicted, true)[0]), float(np.sqrt(np.mean((true - predicted) ** 2)))]


def main() -> None:
    """Print the scores of the maps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dirs", type=Path, nargs="+", metavar="RUN_DIR", help="folders of trainings")
    parser.add_argument("--prior", type=Path, metavar="FILE.npz", help="of other trainings")
    parser.add_argument("--first", type=int, default=100, help="visits before the first fit")
    parser.add_argument("--last", type=int, default=10**9, help="visits after which no map is fitted")
    args = parser.parse_args()
    stored, limits = [visits(run) for run in args.run_dirs], (args.first, args.last)
    figures: dict[str, float] = {"runs": len(stored)}

    def tell(name: str, scores: list[list[float]]) -> None:
        correlation, error = np.mean(scores, axis=0)
        print(f"{name:8} rank correlation {correlation:.3f}, error {error:.3f}")
        figures.update({f"{name}_correlation": round(correlation, 3), f"{name}_error": round(error, 3)})

    for name, process.LENGTHS in MAPS.items():
        tell(name, [score(one, *limits) for one in stored])
    if args.prior is not None:
        prior, process.LENGTHS = Prior.load(args.prior), MAPS["process"]
        tell("prior", [score(one, *limits, prior) for one in stored])
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
