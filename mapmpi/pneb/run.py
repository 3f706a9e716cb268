"""Phase 2 on all ranks: rank 0 refines pathways, groups of ranks compute what it asks for."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from pathlib import Path
from types import ModuleType

import numpy as np
from ase import Atoms
from mpi4py import MPI

from mapmpi import logs
from mapmpi.calculation import Forces
from mapmpi.config import Config
from mapmpi.errors import EngineError, EngineLost, UserError
from mapmpi.md.engine import Engine
from mapmpi.md.factory import make_engine
from mapmpi.parallel import scheduler
from mapmpi.parallel.agreement import heed_stop_signals, leave_together, on_all, on_root, parse, run
from mapmpi.parallel.groups import follow, make_groups
from mapmpi.parallel.layout import Layout
from mapmpi.parser import Parser
from mapmpi.store.rundir import RunDirectory


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = Parser(
        prog="mapmpi pneb",
        usage="mpiexec -n N mapmpi pneb RUN_DIR [options]",
        description="Phase 2: refines stored pathways to barriers, transition states and a diffusion time. "
        "Killed and started again, it goes on. Exit codes: 0 finished, 75 more to do, 2 bad input, 1 and 3 failed.",
        epilog="example: mpiexec -n 2 mapmpi pneb runs/silica-small-001 --top 3",
    )
    add = parser.add_argument
    add("run_dir", type=Path, help="folder of a training")
    add("--top", type=int, metavar="K", help="refine the K best episodes (default: pneb.top)")
    add(
        "--episode",
        action="append",
        default=[],
        metavar="AGENT:EPISODE",
        help="refine this whole path; may be repeated",
    )
    add("--trajectory", type=Path, metavar="FILE", help="refine a path from an extxyz file or a dump")
    add("--input", type=Path, metavar="YAML", help="with --trajectory: make RUN_DIR from this input")
    add(
        "--with",
        dest="other",
        metavar="NAME",
        help="a second opinion on what was refined: an ASE calculator such as emt, or a YAML file with forcefield:",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="overrides the run's input; may be repeated",
    )
    add("--allow-commands", action="store_true", help="let the force field hold any command or Python code")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run phase 2 on all ranks of the world; return the exit code."""
    return run(lambda world: refine(world, parse(world, make_parser(), argv)))


def refine(world: MPI.Intracomm, args: argparse.Namespace) -> int:
    """Refine pathways (collective). Raises UserError on every rank for a mistake of the user's."""
    heed_stop_signals()  # rank 0 stops everybody in order
    config, atoms = on_root(world, lambda: _rank_0().read(args))
    on_root(world, lambda: _stop_in_time(config))
    groups = make_groups(world, config.pneb.ranks_per_image)
    worker = on_all(world, lambda: _Worker(config, atoms, groups))
    drive = on_all(world, lambda: _rank_0().prepare(args, config, atoms) if world.rank == 0 else None)
    logs.to_file(RunDirectory(args.run_dir).logs, world.rank, "rank of phase 2")
    if drive is not None:
        return leave_together(world, drive(world, groups, worker.evaluate, worker.renew))
    follow(world, groups, worker.evaluate, worker.renew)
    return leave_together(world)


def _rank_0() -> ModuleType:
    """Return what rank 0 does: SciPy, plots and tables, which no other rank loads."""
    from mapmpi.pneb import drive

    return drive


def _stop_in_time(config: Config) -> None:
    """See to it that this rank is asked to stop when its time is over (rank 0). Raises UserError."""
    wall_time = config.pneb.wall_time
    if wall_time is None:
        return
    left = scheduler.seconds_to_work(config.train.stop.job_margin) if wall_time == "job" else wall_time
    timer = threading.Timer(min(left, threading.TIMEOUT_MAX), os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    timer.start()


class _Worker:
    """The engine of this rank's group; an idle rank, and one that only serves, has none."""

    def __init__(self, config: Config, atoms: Atoms, groups: Layout) -> None:
        self._make = lambda: make_engine(config, atoms, groups.comm)
        try:
            self._engine: Engine | None = self._make() if groups.comm is not None else None
        except (EngineError, EngineLost) as error:
            raise UserError(f"LAMMPS does not take the structure of the run: {error}; mend the input.") from None

    def evaluate(self, positions: np.ndarray) -> Forces:
        """Return energy and forces at positions (n, 3) Å. Raises EngineError."""
        assert self._engine is not None
        return self._engine.evaluate(positions)

    def renew(self) -> None:
        """Make the engine anew."""
        if self._engine is not None:
            self._engine.close()
            self._engine = self._make()
