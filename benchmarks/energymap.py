"""How well the energy map of a search would have known what was visited next, and with a linear function alone.

    python benchmarks/energymap.py RUN_DIR …

The visits of finished trainings (exploration.kind: planned) come from their last checkpoints. After every 50 visits
the map is fitted to all so far, in units of the training's last scale, and the next 50 are predicted, but for those
within NEAR of a known place. Printed are, over the runs: Spearman's rank correlation between prediction and energy,
the error of the asinh of the energy (root mean square, with the weights of the fit), and by how many of the map's
standard deviations it was wrong (alike). `linear` is the process without what differs from a linear function of the
features. The last line is JSON.
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
from mapmpi.search.region import Region
from mapmpi.store.checkpoint import Checkpoints
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.trajectory import start_structure
from mapmpi.train.guidance import make_region

EVERY, FIRST, NEAR = 50, 100, 0.5
"""Visits between two fits, visits before the first, and Å from a known place within which nothing is predicted."""
MAPS = {"process": process.LENGTHS, "linear": (1e3,)}
"""The lengths that the process has to choose from; one that is far too long leaves a linear function."""


def visits(run: Path) -> tuple[Region, np.ndarray, np.ndarray, float]:
    """Return the region of a training, the places (m, 3) Å that it visited, their energies (m,) eV, and its scale."""
    directory = RunDirectory(run)
    config, atoms = load(directory.config, structure_needed=False), start_structure(directory)
    checkpoint = Checkpoints(directory.checkpoints).newest()
    assert checkpoint is not None, f"{run} has no checkpoint"
    visited = checkpoint.arrays["guidance.visited"]
    atoms.positions[:] = checkpoint.arrays["guidance.positions"]
    return make_region(config, atoms), visited[:, :3], visited[:, 3], float(checkpoint.arrays["guidance.scale"])


def score(region: Region, places: np.ndarray, energies: np.ndarray, scale: float) -> list[float]:
    """Return rank correlation, error and error in standard deviations of the predictions of one training."""
    found, rows = EnergyMap(region), []
    for known in range(FIRST, len(places) - EVERY // 2, EVERY):
        following = np.arange(known, min(known + EVERY, len(places)))
        far = cKDTree(places[:known]).query(places[following])[0] > NEAR
        found.fit(places[:known], energies[:known], scale)
        nodes = region.nearest(places[following[far]])
        mean, lower = (np.arcsinh(found.lower_bound(deviations)[nodes] / scale) for deviations in (0.0, 1.0))
        rows.append(np.stack([np.arcsinh(energies[following[far]] / scale), mean, mean - lower]))
    true, mean, deviation = np.concatenate(rows, axis=1)
    weights = 1.0 / (1.0 + np.sinh(np.maximum(true, 0.0)) ** 2)
    # a bound may end at the lowest visit, so that nothing seems uncertain
    off = np.minimum(np.abs(true - mean) / np.maximum(deviation, 1e-3), 10.0)
    errors = (np.sqrt(np.average(value**2, weights=weights)) for value in (true - mean, off))
    return [float(spearmanr(mean, true)[0]), *map(float, errors)]


def main() -> None:
    """Print the scores of both maps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dirs", type=Path, nargs="+", metavar="RUN_DIR", help="folders of trainings")
    stored = [visits(run) for run in parser.parse_args().run_dirs]
    figures: dict[str, float] = {"runs": len(stored)}
    for name, process.LENGTHS in MAPS.items():
        correlation, error, deviations = np.mean([score(*one) for one in stored], axis=0)
        print(
            f"{name:8} rank correlation {correlation:.3f}, error {error:.3f}, {deviations:.2f} standard deviations off"
        )
        figures |= {f"{name}_correlation": round(correlation, 3), f"{name}_error": round(error, 3)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
