"""Rank 0 of phase 2: what is refined, and the run from there to the tables; other ranks need not load this."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable
from functools import partial

from ase import Atoms
from mpi4py import MPI

from mapmpi.calculation import Evaluate
from mapmpi.config import Config, load
from mapmpi.errors import FAILED, UNFINISHED, EngineError, UserError, of_option
from mapmpi.logs import log
from mapmpi.md.forcefield import describe
from mapmpi.panel import Panel
from mapmpi.parallel.agreement import heed_stop_signals
from mapmpi.parallel.layout import Layout
from mapmpi.parallel.tasks import Interrupted, Pool
from mapmpi.pneb import opinion
from mapmpi.pneb.calculator import RESULTS, Calculator
from mapmpi.pneb.choose import StoredPath, choose_episodes, read_path, with_fixed_atoms
from mapmpi.pneb.parts import Parts
from mapmpi.pneb.progress import Tally
from mapmpi.pneb.work import Asking, Refining, Work
from mapmpi.store.journal import Journal
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.trajectory import start_structure
from mapmpi.structures.inputs import check_atoms, read_input, settle_fixed_atoms
from mapmpi.units import duration_text

LIVE_INTERVAL_S = 1.0
"""Time between looks at the progress on a terminal; elsewhere train.report_interval."""


def read(args: argparse.Namespace) -> tuple[Config, Atoms]:
    """Return the run's configuration, with the command line's settings and force field, and its structure."""
    _check(args)
    config, atoms = _read(args)
    if args.other is not None:
        config.forcefield = opinion.other_forces(args.other, args.allow_commands)
    return config, atoms


def _read(args: argparse.Namespace) -> tuple[Config, Atoms]:
    if args.input is not None:
        return read_input(args.input, args.set, args.allow_commands)
    directory = RunDirectory.open(args.run_dir)
    config = load(directory.config, args.set, structure_needed=False, allow_commands=args.allow_commands)
    if (args.trajectory is not None or args.other is not None) and not directory.trajectory_files():
        return read_input(directory.config, args.set, args.allow_commands)
    atoms = start_structure(directory)
    check_atoms(directory.config, config, atoms)
    settle_fixed_atoms(directory.config, config, atoms)
    return config, atoms


def _check(args: argparse.Namespace) -> None:
    """Refuse options that contradict each other."""
    if args.top is not None and args.top < 1:
        raise UserError(f"--top {args.top}: refine one episode or more.")
    if args.trajectory is not None and (args.top is not None or args.episode):
        raise UserError("--trajectory is a path of its own; leave out --top and --episode.")
    if args.input is not None and args.trajectory is None:
        raise UserError("--input goes with --trajectory; a training's folder has its input already.")
    if args.other is not None and (args.top is not None or args.episode or args.trajectory or args.input):
        raise UserError(
            "--with is a second opinion on all pathways that were refined; leave out what names paths."
        )
    if args.top is not None and args.episode:
        raise UserError("--top chooses episodes and --episode names them; give one of the two.")


def prepare(args: argparse.Namespace, config: Config, atoms: Atoms) -> Callable[..., int]:
    """Choose the paths and open the journal; return :func:`drive`, which knows them then."""
    work = _work(args, config, atoms)
    directory = work.directory
    try:
        for folder in (directory.pathways, directory.figures):
            folder.mkdir(exist_ok=True)
        journal = Journal(directory.pathways / "journal", RESULTS)
    except OSError as error:
        raise UserError(f"{error.filename}: cannot write there ({error.strerror}); make room for it.") from None
    return partial(drive, config, atoms, work, journal)


def _work(args: argparse.Namespace, config: Config, atoms: Atoms) -> Work:
    """Return what the command line asks for. Raises UserError where there is nothing of the kind."""
    if args.other is not None:
        return Asking(RunDirectory.open(args.run_dir), args.other)
    if args.trajectory is not None:
        with of_option("--trajectory"):
            paths = [read_path(args.trajectory, atoms, config.structure.elements)]
        choice, directory = "The path that was given.", _folder_for(args, config, atoms)
    else:
        directory = RunDirectory.open(args.run_dir)
        paths, choice = choose_episodes(directory, args.episode, args.top or config.pneb.top, config.pneb.straight)
        if load(directory.config, structure_needed=False, allow_commands=True).forcefield != config.forcefield:
            # their energies are those of another force field: computed anew
            paths = [StoredPath(path.name, path.source, path.positions, None) for path in paths]
    return Refining(config, directory, [with_fixed_atoms(path, atoms) for path in paths], choice)


def _folder_for(args: argparse.Namespace, config: Config, atoms: Atoms) -> RunDirectory:
    """Return the run directory of a path from outside: made with ``--input``, or made so before."""
    if args.input is None:
        return RunDirectory.open(args.run_dir)
    if (args.run_dir / "config.yaml").exists():
        directory = RunDirectory.open(args.run_dir)
        before = load(directory.config, args.set, False, args.allow_commands)
        settle_fixed_atoms(directory.config, before, atoms.copy())
        if before != config:
            raise UserError(f"--input: {args.run_dir} was made from another input; choose another folder.")
        return directory
    directory = RunDirectory.create(args.run_dir)
    directory.write_config(read_input(args.input, [], args.allow_commands)[0], {})
    return directory


def drive(
    config: Config,
    atoms: Atoms,
    work: Work,
    journal: Journal,
    world: MPI.Intracomm,
    groups: Layout,
    evaluate: Evaluate,
    renew: Callable[[], None],
) -> int:
    """Be rank 0: see the work done by all groups, and tell what came out; return the exit code."""
    pool, tally, folder = Pool(world, groups, evaluate, renew), Tally(), work.directory.pathways
    heed_stop_signals(lambda: setattr(pool, "interrupted", True))
    _announce(config, atoms, work, groups)
    parts = Parts(folder / "parts")
    calculator = Calculator(config, atoms, journal, parts, tally, pool.lost)
    try:
        with Panel() as panel:
            pool.run(work.compute(calculator, panel.console), _reports(config, pool, tally, panel))
    except Interrupted:
        print("mapmpi: interrupted; what is done is kept, the same command goes on from there.", flush=True)
        return UNFINISHED
    except EngineError as error:
        log.error("%s; what is done is kept, the same command goes on from there.", error)
        return FAILED
    except OSError as error:
        log.error(
            "%s: %s; see to that, make room if the disk is full. What was done before is kept, the same command goes "
            "on from there.",
            error.filename or folder, error.strerror or error,
        )  # fmt: skip
        return FAILED
    finally:
        with contextlib.suppress(OSError):  # whatever could be written was, entry by entry
            journal.close()
    parts.end()
    if not work.tell(panel.console):
        return FAILED
    elapsed = time.monotonic() - tally.began
    print(
        f"Done in {duration_text(elapsed)}: {tally.segments} segments, {pool.force_calls} force calls, groups busy "
        f"{100 * pool.busy_s / (elapsed * len(groups.leaders)):.0f} % of the time.",
        flush=True,
    )
    return 0


def _announce(config: Config, atoms: Atoms, work: Work, groups: Layout) -> None:
    """Say what is going to be done, by which forces, and on how many ranks."""
    print(describe(config.forcefield))
    print(work.choice)
    print(
        f"{len(groups.leaders)} groups of {config.pneb.ranks_per_image} ranks, {len(atoms)} atoms, "
        f"{work.paths} paths -> {work.directory.pathways}",
        flush=True,
    )
    if groups.idle:
        print(f"Idle: ranks {', '.join(map(str, groups.idle))} do not fill a group of pneb.ranks_per_image.")


def _reports(config: Config, pool: Pool, tally: Tally, panel: Panel) -> Callable[[], None]:
    """Return what is to be called again and again; from time to time it shows the progress."""
    interval = LIVE_INTERVAL_S if panel.console.is_terminal else config.train.report_interval
    told = time.monotonic()

    def tell() -> None:
        nonlocal told
        if time.monotonic() - told > interval:
            told = time.monotonic()
            panel.show(tally.figures(pool.force_calls))

    return tell
