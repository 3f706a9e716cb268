"""Where a training begins: from an input, or from what earlier jobs left in a run directory."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from ase import Atoms

from mapmpi.config import Config, load
from mapmpi.errors import UserError
from mapmpi.logs import log
from mapmpi.parallel.layout import Layout
from mapmpi.store.checkpoint import Checkpoint, Checkpoints
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.trajectory import TrajectoryReader, start_structure


@dataclass(frozen=True)
class Past:
    """What every rank has to know of earlier jobs."""

    elapsed_s: float = 0.0
    episodes: dict[int, int] = field(default_factory=dict)
    """Of a deterministic training: the episodes of each agent that the checkpoint knows, after which to go on."""


@dataclass(frozen=True)
class Job:
    """What every rank knows of the training."""

    config: Config
    atoms: Atoms
    layout: Layout
    directory: RunDirectory
    past: Past
    began: float
    """When the training would have begun had it been one job (monotonic clock)."""
    job_ends: float
    """When to stop for the batch job's end (monotonic clock)."""


@dataclass(frozen=True)
class Desk:
    """What rank 0 alone has: the lock on the run directory, the checkpoints, and the one to go on from."""

    lock: IO[str]
    checkpoints: Checkpoints
    checkpoint: Checkpoint | None


def read(args: argparse.Namespace) -> tuple[Config, Atoms]:
    """Return the configuration and structure that the command line asks for. Raises UserError."""
    from mapmpi.structures.inputs import check_atoms, read_input, settle_fixed_atoms  # ASE's readers: rank 0 alone

    if args.resume is None:
        if args.input is None:
            raise UserError("give an input file, or --resume RUN_DIR to go on with a training.")
        return read_input(args.input, args.set, args.allow_commands)
    if args.run_dir is not None:
        raise UserError("--resume goes on in its own folder; leave out --run-dir.")
    if any(setting.startswith("structure.file") for setting in args.set):
        raise UserError(
            "--set structure.file: a training goes on with the atoms that it began with; leave it out."
        )
    directory = RunDirectory.open(args.resume)
    config = load(directory.config, args.set, False, args.allow_commands)
    if directory.trajectory_files():
        atoms = start_structure(directory)
        check_atoms(directory.config, config, atoms)
        settle_fixed_atoms(directory.config, config, atoms)
    else:
        config, atoms = read_input(directory.config, args.set, args.allow_commands)
    if args.input is not None:
        _check_input(args, directory, config, atoms)
    return config, atoms


def _check_input(args: argparse.Namespace, directory: RunDirectory, config: Config, atoms: Atoms) -> None:
    """Refuse an input that is not the run's. What ``--set`` says is the same in both. Raises UserError."""
    from mapmpi.structures.inputs import read_input

    path = args.input
    given, given_atoms = read_input(path, args.set, args.allow_commands)
    given.structure.file = config.structure.file
    keys = list(differing_keys(config.model_dump(mode="json"), given.model_dump(mode="json")))
    if keys:
        raise UserError(
            f"{path}: {', '.join(keys)} differ{'s' * (len(keys) == 1)} from {directory.config}; give what is to "
            f"change by --set {keys[0]}=…, or leave out the input."
        )
    same = len(atoms) == len(given_atoms) and np.array_equal(atoms.numbers, given_atoms.numbers)
    if not (same and np.allclose(atoms.positions, given_atoms.positions, atol=1e-6)):
        raise UserError(
            f"{path}: structure.file: not the atoms that {directory.path} began with; give their file."
        )


def differing_keys(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Yield the paths (a.b.c) of the keys in which two trees of plain values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            yield from differing_keys(one.get(key), other.get(key), f"{path}.{key}" if path else key)
    elif one != other:
        yield path


def stored_episodes(directory: RunDirectory) -> Iterator[np.void]:
    """Yield the episodes of all trajectories in the order in which they ended. Raises UserError."""
    tables = []
    for file in directory.trajectory_files():
        with TrajectoryReader(file) as reader:
            tables.append(reader.episodes)
    if tables:
        together = np.concatenate(tables)
        yield from together[np.argsort(together["ended"], kind="stable")]


def spent(trajectory: Path, episodes: int) -> Counter[bytes]:
    """Return the actions of an agent in its first ``episodes`` by each policy. Raises UserError."""
    with TrajectoryReader(trajectory) as reader:
        known = reader.episodes[reader.episodes["episode"] <= episodes]
    actions = Counter[bytes]()
    for row in known:
        actions[bytes(row["policy"])] += int(row["actions"])
    return actions


def past(facts: dict[str, Any] | None, config: Config) -> Past:
    """Return what a checkpoint's facts mean for all ranks; ``facts`` is None where there is no checkpoint."""
    if facts is None:
        log.warning("there is no checkpoint yet; learning begins anew, and the trajectories are continued.")
        return Past(episodes={1: 0} if config.deterministic else {})
    try:
        elapsed_s = float(facts["elapsed_s"])
        episodes = {int(agent): int(count) for agent, count in facts["episodes"].items()}
        if not (math.isfinite(elapsed_s) and elapsed_s >= 0.0):
            raise ValueError("no time")
        return Past(elapsed_s, episodes if facts["deterministic"] and config.deterministic else {})
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise UserError(
            "the checkpoint does not say how far the training had come; restore it from a copy."
        ) from None


def open_run(args: argparse.Namespace, config: Config, desks: list[Desk]) -> tuple[RunDirectory, Past]:
    """Make the run directory, or open that of earlier jobs, and lay what rank 0 needs on its desk."""
    if args.resume is None:
        directory = RunDirectory.create(args.run_dir or RunDirectory.next_free(args.input))
        directory.write_config(config, {})  # so that --resume goes on whenever this job ends
    else:
        directory = RunDirectory.open(args.resume)
    lock, checkpoints = directory.lock(), Checkpoints(directory.checkpoints)
    if args.resume is None:
        desks.append(Desk(lock, checkpoints, None))
        return directory, Past()
    checkpoint = checkpoints.load()
    known = past(checkpoint.facts if checkpoint else None, config)
    desks.append(Desk(lock, checkpoints, checkpoint))
    return directory, known
