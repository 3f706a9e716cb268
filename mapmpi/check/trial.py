"""Check of an input: its lines, and a trial on all ranks of what a training will do."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ase import Atoms
from mpi4py import MPI

from mapmpi.check.filesystem import describe_space, seen, trial_folder, try_files, try_trajectory
from mapmpi.check.machine import (
    Need,
    describe_machine,
    describe_memory,
)
from mapmpi.check.material import check_forces, find_lammps, read_atoms, read_config
from mapmpi.check.node import RankPlace, launch, place
from mapmpi.check.pace import (
    GroupPace,
    LearnerPace,
    act,
    describe_actions,
    describe_learner,
    duration_s,
    learn,
    table,
)
from mapmpi.check.page import Page, some
from mapmpi.config import Config
from mapmpi.env.state import grid_shape
from mapmpi.parallel.agreement import meet
from mapmpi.parallel.layout import Layout, learner_threads, make_layout


@dataclass(frozen=True)
class Material:
    """What is known of the input: None where it was refused; ``computes`` tells whether LAMMPS gives forces."""

    config: Config | None
    atoms: Atoms | None
    computes: bool = False


@dataclass(frozen=True)
class Trial:
    """What the ranks did together: each group's pace, the learner's (None without torch), the place of each rank.

    ``alone`` tells that there were too few ranks for the training's groups, and rank 0 was one by itself.
    """

    paces: list[GroupPace]
    learner: LearnerPace | None
    places: list[RankPlace]
    alone: bool


def check_input(world: MPI.Intracomm, path: Path, settings: list[str], run_dir: Path) -> int:
    """Print the page for an input file (collective); return the exit code."""
    launched, page = launch(), Page(silent=world.rank > 0)
    if world.size < launched.ranks and launched.rank > 0:
        return 2  # the ranks do not see each other; the launcher's first says so
    start = place(MPI.Get_processor_name())
    places = world.gather(start)
    material = Material(None, None)
    if places is not None:
        page.heading("Material")
        material = _material(page, path, settings)
        describe_machine(page, launched, places, material.config)
    meet(world)
    material = world.bcast(material)
    config, atoms = material.config, material.atoms
    page.heading("Trial")
    pace = None
    if config is not None and atoms is not None and material.computes:
        trial = _try(world, page, config, atoms)
        pace = _describe(page, config, trial, start) if trial is not None else None
    elif world.rank == 0:
        page.note("actions", "not tried; mend the lines above first.")
    _try_folder(world, page, run_dir, material, pace)
    meet(world)
    return world.bcast(page.end() if world.rank == 0 else None)


def _material(page: Page, path: Path, settings: list[str]) -> Material:
    config = read_config(page, path, settings)
    build = find_lammps(page, config)
    atoms = read_atoms(page, path, config) if config is not None else None
    if config is None or atoms is None or build is None:
        return Material(config, atoms)
    return Material(config, atoms, check_forces(page, config, atoms))


def _layout(world: MPI.Intracomm, config: Config) -> tuple[Layout, bool]:
    """Return the training's layout; too few ranks for it make one group of rank 0 alone, which is then told."""
    if world.size > config.train.ranks_per_agent:
        return make_layout(world, config.train), False
    first = world.rank == 0
    return Layout(1 if first else -1, MPI.COMM_SELF if first else None, [(0,)], list(range(1, world.size))), True


def _try(world: MPI.Intracomm, page: Page, config: Config, atoms: Atoms) -> Trial | None:
    """Let all groups act at once, and the learner learn beside them (collective); the result on rank 0."""
    layout, alone = _layout(world, config)
    pace = act(config, atoms, layout) if layout.group is not None else None
    learner, threads = None, learner_threads(world, config)
    if world.rank == 0:
        try:
            learner = learn(config, atoms, threads)
        except ImportError as error:
            page.fails("learner", f"torch does not load ({error}); install it for this Python.")
    meet(world)
    leads = world.rank in layout.leaders
    paces = world.gather(pace if leads else None)
    places = world.gather(place(MPI.Get_processor_name()))
    if paces is None or places is None:
        return None
    return Trial([pace for pace in paces if pace is not None], learner, places, alone)


def _describe(page: Page, config: Config, trial: Trial, start: RankPlace) -> float | None:
    """Print the lines on pace and memory; return the seconds that an action takes."""
    ranks = 1 if trial.alone else config.train.ranks_per_agent
    untried = trial.alone and config.train.ranks_per_agent > 1
    action_s = describe_actions(page, config, trial.paces, ranks, untried)
    learner = trial.learner
    if learner is not None:
        describe_learner(page, config, learner, action_s, len(trial.places))
        agent = max((pace.memory for pace in trial.paces), default=0)
        need = Need(start.private + learner.memory, agent, learner.bytes_per_state)
        describe_memory(page, config, need, trial.places, learner=0)
    if action_s is not None:
        page.text("\n" + table(config, action_s, learner) + "\n")
    return action_s


def _try_folder(
    world: MPI.Intracomm, page: Page, run_dir: Path, material: Material, action_s: float | None
) -> None:
    """Try the file system of the run directory (collective), and print its lines."""
    with ExitStack() as stack:
        folder = None
        if world.rank == 0:
            with page.attempt("run directory"):
                folder = stack.enter_context(trial_folder(run_dir))
        folder = world.bcast(folder)
        if folder is None:
            return
        blind = world.gather("" if seen(folder) else MPI.Get_processor_name())
        if blind is None:
            return
        if any(blind):
            nodes = some(sorted(set(filter(None, blind))))
            page.fails(
                "run directory", f"{folder.parent} is not seen on {nodes}; choose a folder that all nodes share."
            )
        try_files(page, folder)
        if material.config is None or material.atoms is None:
            return
        with page.attempt("trajectory"):
            frame_bytes = try_trajectory(folder, material.atoms)
            if action_s is not None:
                size = max(world.size, 1 + 2 * material.config.train.ranks_per_agent)
                rate = (size - 1) // material.config.train.ranks_per_agent / action_s
                actions = rate * duration_s(material.config, rate)
                states = min(actions, material.config.replay.capacity)
                state_bytes = math.prod(grid_shape(material.config, material.atoms))
                describe_space(page, folder, frame_bytes, actions, size, states * state_bytes)
