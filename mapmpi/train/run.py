"""Phase 1 on all ranks: rank 0 learns, groups of ranks play, trajectories are stored."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from mpi4py import MPI

from mapmpi.config import Config
from mapmpi.env.environment import Environment
from mapmpi.errors import EngineError
from mapmpi.md.factory import make_engine
from mapmpi.memory import check_replay
from mapmpi.parallel.agreement import leave_together, on_all, on_root, parse, run
from mapmpi.parallel.layout import Layout, make_layout
from mapmpi.parallel.messages import AgentLink, LearnerLink, Tag
from mapmpi.rl.exploration import epsilons
from mapmpi.rl.inference import QFunction
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.trajectory import TrajectoryWriter
from mapmpi.structures.inputs import read_input
from mapmpi.train.agent import Agent
from mapmpi.train.lockstep import Lockstep


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(
        prog="mapmpi.train",
        description="Phase 1: agents drag a molecule through a material and learn paths that cost little energy.",
        epilog="example: mpiexec -n 3 python -m mapmpi.train inputs/silica-small.yaml --set train.stop.actions=99",
    )
    parser.add_argument("input", type=Path, help="input file (YAML)")
    parser.add_argument("--run-dir", type=Path, help="new folder for the results (default: runs/INPUT-NUMBER)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="overrides the input; may be repeated"
    )
    parser.add_argument(
        "--allow-commands",
        action="store_true",
        help="let forcefield.commands hold any LAMMPS command, also those that run programs or write files",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run phase 1 on all ranks of the world; return the exit code."""
    return run(lambda world: train(world, parse(world, make_parser(), argv)))


def train(world: MPI.Comm, args: argparse.Namespace) -> int:
    """Train (collective). Raises UserError on every rank for a mistake in the input."""
    config, atoms = on_root(world, lambda: _read(args))
    layout = make_layout(world, config.train.ranks_per_agent)
    environment = on_all(world, lambda: _environment(config, atoms, layout))
    directory = on_root(world, lambda: RunDirectory.create(args.run_dir or RunDirectory.next_free(args.input)))
    began = time.monotonic()
    finished = True
    if environment is not None:
        _play(world, config, atoms, layout, environment, directory, began)
    elif layout.agent == 0:
        finished = _learn(world, config, atoms, layout, directory, began)
    leave_together(world)
    return 0 if finished else 1


def _read(args: argparse.Namespace) -> tuple[Config, Atoms]:
    """Return the input and its structure (rank 0, which is to hold the replay buffer)."""
    config, atoms = read_input(args.input, args.set, args.allow_commands)
    check_replay(args.input, config, len(config.structure.elements or set(atoms.symbols)))
    return config, atoms


def _environment(config: Config, atoms: Atoms, layout: Layout) -> Environment | None:
    if layout.group is None:
        return None
    return Environment(config, lambda: make_engine(config, atoms, layout.group))


def _learn(
    world: MPI.Comm, config: Config, atoms: Atoms, layout: Layout, directory: RunDirectory, began: float
) -> bool:
    """Be the learner; return whether an agent was left at the end."""
    import torch  # only here: a thousand agents need not load it

    from mapmpi.env.actions import action_vectors
    from mapmpi.env.state import DensityGrid
    from mapmpi.rl.dqn import Learner
    from mapmpi.rl.replay import Replay
    from mapmpi.store.checkpoint import save
    from mapmpi.train.learner import Training
    from mapmpi.train.progress import Progress, summary

    torch.set_num_threads(config.train.learner_threads)
    elements = config.structure.elements or sorted(set(atoms.symbols))
    shape = DensityGrid(config.state, elements, atoms.cell.array, atoms.pbc).shape
    actions = len(action_vectors(config.actions, config.goal))
    replay = Replay(shape, config.replay, layout.agents)
    learner = Learner(shape, actions, config.network, config.learning, replay, config.seed)
    training = Training(config, learner, replay, LearnerLink(world, layout.leaders), directory, began)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(training, "interrupted", True))
    directory.write_config(config, {"ranks": world.size, "agents": layout.agents})
    print(
        f"{layout.agents} agents of {config.train.ranks_per_agent} ranks, {len(atoms)} atoms -> {directory.path}"
    )
    if layout.idle:
        print(f"Idle: ranks {', '.join(map(str, layout.idle))} do not fill a group of train.ranks_per_agent.")
    with Progress(config.train.stop, epsilons(config.exploration, layout.agents)) as report:
        training.run(report)
    save(directory.checkpoints / "learner.npz", learner.state_dict(), {"actions": training.actions})
    print(summary(training.episodes, training.lost, directory, began), flush=True)
    return len(training.lost) < layout.agents


def _play(
    world: MPI.Comm,
    config: Config,
    atoms: Atoms,
    layout: Layout,
    environment: Environment,
    directory: RunDirectory,
    began: float,
) -> None:
    """Be a rank of an agent: the first of its group plays, the others follow."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # the learner sees the signal and stops everybody in order
    assert layout.group is not None
    lockstep = Lockstep(environment, layout.group)
    q_function = QFunction(environment.grid.shape, len(environment.vectors), config.network)
    link = AgentLink(world)
    try:
        if layout.group.rank > 0:
            lockstep.follow()
            return
        epsilon = float(epsilons(config.exploration, layout.agents)[layout.agent - 1])
        path = directory.trajectory(layout.agent)
        writer = TrajectoryWriter(path, atoms, layout.agent, config.dynamics.timestep, {"epsilon": epsilon})
        Agent(layout.agent, epsilon, config, lockstep, q_function, link, writer, began).run()
    except EngineError as error:
        print(f"mapmpi: agent {layout.agent} is lost: {error}", file=sys.stderr, flush=True)
        link.send(Tag.LOST, np.array([layout.agent], dtype="i8"))
        link.wait()
