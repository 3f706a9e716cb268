"""Check: is all well with an input on this machine, before node hours are spent; or with a run directory."""

from __future__ import annotations

import argparse
from pathlib import Path

from mpi4py import MPI

from mapmpi.check.installation import check_installation
from mapmpi.check.rundir import check_run
from mapmpi.check.trial import check_input
from mapmpi.errors import REFUSED, EngineLost, UserError
from mapmpi.parallel.agreement import abort, on_root, parse, run
from mapmpi.parser import Parser
from mapmpi.store.rundir import RunDirectory


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = Parser(
        prog="mapmpi check",
        description="Of an input: whether all is well on this machine, and how fast a training will be. Of a run "
        "directory: whether its files are whole; what a killed writer left is mended. Without either: whether LAMMPS "
        "and MPI are, and a step of ReaxFF on up to two ranks. Exit code 2 when something will fail.",
        epilog="examples: mpiexec -n 3 python -m mapmpi.check inputs/silica-small.yaml; mpiexec -n 2 python -m "
        "mapmpi.check",
    )
    add = parser.add_argument
    add("input", nargs="?", type=Path, help="input file (YAML), or a run directory")
    add("--run-dir", type=Path, help="of an input: where the results will be (default: runs/…)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="overrides the input; may be repeated")
    commands = "of an input: let its force field hold any LAMMPS command, or name any Python code"
    add("--allow-commands", action="store_true", help=commands)
    frames = "of a run directory: read all frames, not each file's last episode"
    add("--every-frame", action="store_true", help=frames)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Check on all ranks of the world; return the exit code."""
    return run(lambda world: check(world, parse(world, make_parser(), argv)))


def check(world: MPI.Intracomm, args: argparse.Namespace) -> int:
    """Check an input, a run directory or what is installed (collective); return 0, or 2 when something will fail."""
    if args.input is None and (args.set or args.run_dir or args.every_frame):
        raise UserError("the options of mapmpi.check are for an input or a run directory; name one.")
    advice = "start this on one rank"
    try:
        if args.input is None:
            return check_installation(world)
        if on_root(world, args.input.is_dir):
            return on_root(world, lambda: check_run(args.input, args.every_frame))
        advice = "try --set train.ranks_per_agent=1"
        run_dir = on_root(world, lambda: args.run_dir or RunDirectory.next_free(args.input))
        return check_input(world, args.input, args.set, run_dir, args.allow_commands)
    except EngineLost as error:
        abort(
            world,
            f"rank {world.rank} died alone in LAMMPS ({error}), and its group cannot be reached; {advice} to see the "
            "mistake.",
            REFUSED,
        )
