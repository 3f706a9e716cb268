"""Phase 1 on all ranks: rank 0 learns, groups of ranks play, trajectories are stored."""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
from ase import Atoms
from mpi4py import MPI

from mapmpi import logs
from mapmpi.config import Config
from mapmpi.config.capacity import check_replay
from mapmpi.env.environment import Environment
from mapmpi.env.state import shape_and_actions
from mapmpi.errors import EngineError, EngineLost, UserError
from mapmpi.logs import log
from mapmpi.md.engine import element_order
from mapmpi.md.factory import make_engine
from mapmpi.parallel import scheduler
from mapmpi.parallel.agreement import (
    abort,
    heed_stop_signals,
    leave_at_once,
    leave_together,
    meet,
    on_all,
    on_root,
    parse,
    run,
    share,
)
from mapmpi.parallel.board import Board, make_board
from mapmpi.parallel.layout import Layout, learner_threads, make_layout
from mapmpi.parallel.messages import AgentLink, LearnerSilent, Tag, weights_dtype
from mapmpi.parser import Parser
from mapmpi.rl.architecture import architecture
from mapmpi.rl.exploration import epsilons
from mapmpi.rl.inference import QFunction
from mapmpi.store.durable import Library
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.writer import TrajectoryWriter, repair
from mapmpi.train import resume
from mapmpi.train.agent import Agent
from mapmpi.train.lockstep import Lockstep
from mapmpi.train.resume import Job

WORTH_SAYING_EV = 0.05
"""Energy that a structure has to lose on its way to rest for it to be told."""


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = Parser(
        prog="mapmpi train",
        description="Phase 1: agents drag a molecule through a material and learn paths that cost little energy.",
        epilog="example: mpiexec -n 3 python -m mapmpi.train inputs/silica-small.yaml --set train.stop.actions=99; "
        "to go on: mpiexec -n 3 python -m mapmpi.train --resume runs/silica-small-001. "
        "exit codes: 0 finished, 75 stopped in order with more to do, 2 a mistake in the input, 1 and 3 failed.",
    )
    add = parser.add_argument
    add("input", type=Path, nargs="?", help="input file (YAML); with --resume it may be left out")
    add("--run-dir", type=Path, help="new folder for the results (default: runs/INPUT-NUMBER)")
    add("--resume", type=Path, metavar="RUN_DIR", help="go on with a training that ended or was killed")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="overrides the input; may be repeated")
    add(
        "--allow-commands",
        action="store_true",
        help="let the force field hold any LAMMPS command, also those that run programs or write files, and name any "
        "Python code",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run phase 1 on all ranks of the world; return the exit code."""
    code = run(lambda world: train(world, parse(world, make_parser(), argv)))
    if Library.broken:
        leave_at_once(code)
    return code


def train(world: MPI.Intracomm, args: argparse.Namespace) -> int:
    """Train (collective); return the exit code. Raises UserError on every rank for a mistake in the input."""
    heed_stop_signals()  # the learner stops everybody in order
    config, atoms = on_root(world, lambda: _read(args))
    layout = make_layout(world, config.train)
    if config.deterministic and world.size > 2:
        raise UserError(
            f"deterministic: it takes one agent on one rank; start mpiexec -n 2, not {world.size} ranks."
        )
    stop = config.train.stop
    job_ends = time.monotonic() + on_root(
        world, lambda: scheduler.seconds_to_work(stop.job_margin) if stop.wall_time == "job" else math.inf
    )
    environment = on_all(world, lambda: _environment(config, atoms, layout))
    rested = _rested(world, layout, environment, atoms)
    desks: list[resume.Desk] = []
    directory, past = on_root(world, lambda: resume.open_run(args, config, desks))
    _mend(world, directory)
    board = _board(world, config, atoms)
    job = Job(config, atoms, layout, directory, past, time.monotonic() - past.elapsed_s, job_ends)
    threads = learner_threads(world, config)
    training = on_all(
        world, lambda: _rank_0().make_training(world, job, rested, desks[0], threads) if world.rank == 0 else None
    )
    job = replace(job, began=time.monotonic() - past.elapsed_s)  # torch has been loaded, the replay filled
    if training is not None:
        training.began = job.began
    player = f"agent {layout.agent}" if layout.comm is not None else "idle"
    logs.to_file(directory.logs, world.rank, "learner" if world.rank == 0 else player)
    code = 0
    if environment is not None:
        _play(world, job, environment, board)
    elif training is not None:
        code = _rank_0().learn(world, job, training, desks[0])
    return leave_together(world, code, training.roll.lost_places if training is not None else "")


def _rank_0() -> ModuleType:
    """Return what rank 0 does: a thousand agents need not load torch, planner and books."""
    from mapmpi.train import drive

    return drive


def _read(args: argparse.Namespace) -> tuple[Config, Atoms]:
    """Return the input and its structure (rank 0, which is to hold the replay buffer)."""
    config, atoms = resume.read(args)
    path = args.input or RunDirectory(args.resume).config
    check_replay(path, config, len(element_order(atoms, config.structure.elements)))
    if config.train.tensorboard:
        from mapmpi.store.events import check_events  # only here: agents have no use for it

        check_events()
    return config, atoms


def _environment(config: Config, atoms: Atoms, layout: Layout) -> Environment | None:
    if layout.comm is None:
        return None
    try:
        if layout.comm.size > 1:
            # alone first: what only one rank of a group refuses would leave the others waiting
            make_engine(config, atoms, None).close()
        return Environment(config, lambda: make_engine(config, atoms, layout.comm))
    except (EngineError, EngineLost) as error:
        raise UserError(f"LAMMPS does not take the structure: {error}; mend the input.") from None


def _rested(world: MPI.Intracomm, layout: Layout, environment: Environment | None, atoms: Atoms) -> Atoms:
    """Return the atoms at rest, as the agents have them at the start, and say so if that made a difference."""
    at_rest = None if environment is None else (environment.start_positions, environment.relief)
    found = share(world, at_rest, root=layout.groups[0][0])
    assert found is not None
    positions, relief = found
    if world.rank == 0 and relief > WORTH_SAYING_EV:
        print(
            f"The structure was not at rest in its force field: its energy fell by {relief:.2f} eV, and the training "
            "begins there."
        )
    rested = atoms.copy()
    rested.positions = positions
    return rested


def _mend(world: MPI.Intracomm, directory: RunDirectory) -> None:
    """Mend the trajectories of earlier jobs, each rank its share (collective). Raises UserError on every rank."""
    files = on_root(world, directory.trajectory_files)
    mended = on_all(world, lambda: [file.name for file in files[world.rank :: world.size] if repair(file)])
    meet(world)
    names = [name for share in world.gather(mended) or [] for name in share]
    if names:
        print(f"Mended, for their writers were killed: {', '.join(sorted(names))}.")


def _board(world: MPI.Intracomm, config: Config, atoms: Atoms) -> Board | None:
    """Return the board of this rank's node, if it can have one (collective)."""
    size = weights_dtype(architecture(*shape_and_actions(config, atoms), config.network).size).itemsize
    meet(world)
    node = world.Split_type(MPI.COMM_TYPE_SHARED)
    assert isinstance(node, MPI.Intracomm)
    return make_board(node, size)


def _play(world: MPI.Intracomm, job: Job, environment: Environment, board: Board | None) -> None:
    """Be a rank of an agent: the first of its group plays, the others follow."""
    config, layout = job.config, job.layout
    assert layout.comm is not None
    lockstep = Lockstep(environment, layout.comm)
    if layout.comm.rank > 0:
        try:
            lockstep.follow()
        except EngineLost as error:
            _give_up(AgentLink(world), layout, error)
        return
    # the first agent speaks first when the learner is dead, and then the job ends
    link = AgentLink(world, len(layout.groups), later_s=3.0 * (layout.agent > 1), board=board)
    try:
        try:
            q_function = QFunction(environment.grid.shape, len(environment.vectors), config.network)
            epsilon = float(epsilons(config.exploration, len(layout.groups))[layout.agent - 1])
            writer = _writer(job, epsilon)
            episodes = job.past.episodes.get(layout.agent, writer.last_episode)
            spent = resume.spent(writer.path, episodes)
            Agent(
                layout.agent, epsilon, config, lockstep, q_function, link, writer, job.began, episodes, spent
            ).run()
        except EngineError as error:
            lockstep.close()
            _give_up(link, layout, error)
        except EngineLost as error:
            _give_up(link, layout, error)
    except (LearnerSilent, MPI.Exception) as error:
        words = str(error).splitlines()[0]  # MPI's, when the learner died while something came from it, have many
        abort(world, f"{words}; the learner is dead, ending the job. To go on: --resume {job.directory.path}")


def _writer(job: Job, epsilon: float) -> TrajectoryWriter:
    """Return the writer of this agent's trajectory, at the end of what is there. Raises OSError."""
    path = job.directory.trajectory(job.layout.agent)
    if path.exists():
        return TrajectoryWriter.resume(path)
    timestep, facts = job.config.dynamics.timestep, {"epsilon": epsilon}
    return TrajectoryWriter(path, job.atoms, job.layout.agent, timestep, facts)


def _give_up(link: AgentLink, layout: Layout, error: Exception) -> None:
    """Tell the learner that this group cannot go on."""
    log.warning("agent %d is lost: %s", layout.agent, error)
    link.send(Tag.LOST, np.array([layout.agent], dtype="i8"))
    if layout.comm is not None and layout.comm.rank == 0:
        link.wait_for_stop()  # the learner tells every leader
    link.wait()
