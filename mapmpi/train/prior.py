"""Make a prior for planned exploration from trainings that are done."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from mapmpi.config import load
from mapmpi.errors import UserError, exit_code
from mapmpi.parser import Parser
from mapmpi.search.prior import Prior
from mapmpi.search.region import Region
from mapmpi.store.checkpoint import Checkpoints
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.trajectory import start_structure
from mapmpi.train.guidance import make_region


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = Parser(
        prog="mapmpi.train.prior",
        description="Make a prior for exploration.prior: what trainings saw of places, for the searches in other "
        "structures of the same elements and in the same force field. It holds no structures.",
        epilog="example: python -m mapmpi.train.prior runs/glass-2-001 runs/glass-3-001 --output silica-water.npz",
    )
    parser.add_argument("run_dirs", type=Path, nargs="+", metavar="RUN_DIR", help="folder of a planned training")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.npz", help="the file to be written")
    return parser


def visits_of(run_dir: Path) -> tuple[Region, np.ndarray]:
    """Return the region of a training's search, and its visits (m, 4): place in Å, rise in eV. Raises UserError."""
    directory = RunDirectory.open(run_dir)
    config, atoms = load(directory.config, structure_needed=False, allow_commands=True), start_structure(directory)
    checkpoint = Checkpoints(directory.checkpoints).newest()
    arrays = {} if checkpoint is None else checkpoint.arrays
    visited, positions = arrays.get("guidance.visited"), arrays.get("guidance.positions")
    if visited is None or positions is None or not len(visited):
        raise UserError(f"{run_dir} holds no planned exploration; train with exploration.kind: planned.")
    atoms.positions = positions  # at rest, as every episode began
    return make_region(config, atoms), visited


def main(argv: list[str] | None = None) -> int:
    """Make a prior; return the exit code."""
    args = make_parser().parse_args(argv)
    return exit_code(lambda: _make(args.run_dirs, args.output), "choose another --output")


def _make(run_dirs: list[Path], output: Path) -> None:
    """Write a prior and say what it holds. Raises UserError, OSError."""
    regions, visited = zip(*map(visits_of, run_dirs), strict=True)
    try:
        prior = Prior.of(list(regions), list(visited))
    except ValueError as error:
        raise UserError(f"{error}; give trainings in structures of the same elements.") from None
    prior.save(output)
    print(f"{output}: {len(prior.rises)} places among {prior.symbols} from {len(run_dirs)} trainings.")


if __name__ == "__main__":
    sys.exit(main())
