"""Rank 0 of phase 1: the training, as far as earlier jobs have brought it, and its run; others need not load this."""

from __future__ import annotations

import os

from ase import Atoms
from mpi4py import MPI

from mapmpi.env.state import shape_and_actions
from mapmpi.errors import UNFINISHED
from mapmpi.md.forcefield import describe
from mapmpi.parallel.agreement import heed_stop_signals
from mapmpi.parallel.messages import LearnerLink
from mapmpi.rl.dqn import Learner
from mapmpi.rl.exploration import epsilons
from mapmpi.rl.replay import Replay
from mapmpi.store.wholepath import WholePaths
from mapmpi.train.books import Books
from mapmpi.train.guidance import make_guidance
from mapmpi.train.learner import Training
from mapmpi.train.progress import Progress, summary
from mapmpi.train.resume import Desk, Job, stored_episodes


def make_training(world: MPI.Intracomm, job: Job, rested: Atoms, desk: Desk, threads: int) -> Training:
    """Return the training, as far as earlier jobs have brought it. Raises UserError where that does not fit.

    ``rested`` are the atoms at the start of every episode; ``threads`` are for gradient steps.
    """
    import torch

    config, agents = job.config, len(job.layout.groups)
    torch.set_num_threads(threads)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what torch asks for on a GPU
        torch.use_deterministic_algorithms(True)
    shape, actions = shape_and_actions(config, job.atoms)
    replay = Replay(shape, config.replay, agents)
    learner = Learner(shape, actions, config.network, config.learning, replay, config.seed)
    books = Books(job.directory, agents, config.train.tensorboard)
    link = LearnerLink(world, job.layout.groups)
    guidance = make_guidance(config, rested, agents) if config.exploration.kind != "random" else None
    training = Training(config, learner, link, books, desk.checkpoints, job.began, job.job_ends, guidance)
    if desk.checkpoint is not None:
        desk.checkpoint.restore(training.parts)
        if guidance is not None:  # an agent that was killed in an episode has left no trace of it
            guidance.forget_lost(WholePaths(job.directory.trajectory_files()))
    books.catch_up(stored_episodes(job.directory), count_actions=not job.past.episodes)
    return training


def learn(world: MPI.Intracomm, job: Job, training: Training, desk: Desk) -> int:
    """Be the learner; return the exit code."""
    heed_stop_signals(lambda: setattr(training, "interrupted", True))
    config, layout, directory, agents = job.config, job.layout, job.directory, len(job.layout.groups)
    facts = {"ranks": world.size, "agents": agents, "forces": describe(config.forcefield)}
    directory.write_config(config, facts)
    print(describe(config.forcefield))
    print(f"{agents} agents of {config.train.ranks_per_agent} ranks, {len(job.atoms)} atoms -> {directory.path}")
    if desk.checkpoint is not None:
        print(f"Going on from {desk.checkpoint.path.name}: {training.books.actions} actions so far.")
    if layout.idle:
        print(f"Idle: ranks {', '.join(map(str, layout.idle))} do not fill a group of train.ranks_per_agent.")
    with Progress(config.train.stop, epsilons(config.exploration, agents), job.job_ends) as report:
        code = training.run(report)
    print(summary(training.books.episodes, training.roll.lost, directory, training.elapsed_s), flush=True)
    if code == UNFINISHED:
        print(f"Stopped before its end; go on with: python -m mapmpi.train --resume {directory.path}", flush=True)
    return code
