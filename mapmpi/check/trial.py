"""Check of an input: its lines, and a trial on all ranks of what a training will do."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path

from ase import Atoms
from mpi4py import MPI

from mapmpi.check.extras import describe_optional
from mapmpi.check.filesystem import describe_space, seen, trial_folder, try_files, try_trajectory
from mapmpi.check.machine import describe_machine, describe_memory
from mapmpi.check.material import check_forces, find_lammps, read_atoms, read_config
from mapmpi.check.node import RankPlace, launch, place
from mapmpi.check.pace import act, describe_actions, describe_learner, duration_s, learn, table
from mapmpi.check.page import Page, size_text, some
from mapmpi.config import Config
from mapmpi.env.state import grid_shape
from mapmpi.parallel.agreement import meet
from mapmpi.parallel.layout import Layout, learner_threads, make_layout


def check_input(
    world: MPI.Intracomm, path: Path, settings: list[str], run_dir: Path, allow_commands: bool = False
) -> int:
    """Print the page for an input file (collective); return the exit code."""
    launched, page = launch(), Page(silent=world.rank > 0)
    if world.size < launched.ranks and launched.rank > 0:
        return 2  # the ranks do not see each other; the launcher's first says so
    start = place(MPI.Get_processor_name())
    places = world.gather(start)
    config, atoms, computes = None, None, False
    if places is not None:
        page.heading("Material")
        config, atoms, computes = _material(page, path, settings, allow_commands)
        describe_machine(page, launched, places, config)
    meet(world)
    config, atoms, computes = world.bcast((config, atoms, computes))
    page.heading("Trial")
    action_s = None
    if config is not None and atoms is not None and computes:
        action_s = _try(world, page, config, atoms, start)
    elif world.rank == 0:
        page.note("actions", "not tried; mend the lines above first.")
    _try_folder(world, page, run_dir, config, atoms, action_s)
    meet(world)
    return world.bcast(page.end() if world.rank == 0 else None)


def _material(
    page: Page, path: Path, settings: list[str], allow_commands: bool
) -> tuple[Config | None, Atoms | None, bool]:
    """Return the input and its atoms, None where they are refused, and whether LAMMPS, or ASE, gives forces."""
    config = read_config(page, path, settings, allow_commands)
    if config is not None:
        describe_optional(page, config)
    by_ase = config is not None and config.forcefield.ase is not None
    computes = by_ase or find_lammps(page, config) is not None
    atoms = read_atoms(page, path, config) if config is not None else None
    if config is None or atoms is None or not computes:
        return config, atoms, False
    return config, atoms, check_forces(page, config, atoms)


def _layout(world: MPI.Intracomm, config: Config) -> tuple[Layout, bool]:
    """Return the training's layout; too few ranks for it make one group of rank 0 alone, which is then told."""
    if world.size > config.train.ranks_per_agent:
        return make_layout(world, config.train), False
    first = world.rank == 0
    return Layout(0 if first else -1, MPI.COMM_SELF if first else None, [(0,)], list(range(1, world.size))), True


def _try(world: MPI.Intracomm, page: Page, config: Config, atoms: Atoms, start: RankPlace) -> float | None:
    """Let all groups act at once, and the learner learn beside them (collective); print the lines on pace and memory.

    ``start`` is this rank's place before. Return, on rank 0, the seconds that an action takes.
    """
    layout, alone = _layout(world, config)
    pace = act(config, atoms, layout) if layout.comm is not None else None
    learned, threads = None, learner_threads(world, config)
    if world.rank == 0:
        try:
            learned = learn(config, atoms, threads)
        except ImportError as error:
            page.fails("learner", f"torch does not load ({error}); install it for this Python.")
    meet(world)
    gathered = world.gather(pace if world.rank in layout.leaders else None)
    places = world.gather(place(MPI.Get_processor_name()))
    if gathered is None or places is None:
        return None
    paces = [one for one in gathered if one is not None]
    ranks = 1 if alone else config.train.ranks_per_agent
    action_s = describe_actions(page, config, paces, ranks, untried=alone and config.train.ranks_per_agent > 1)
    learner = None
    if learned is not None:
        learner, taken = learned
        describe_learner(page, config, learner, action_s, len(places))
        agent_bytes = max((one.memory for one in paces), default=0)
        describe_memory(page, config, places, start.private + taken, agent_bytes, learner.bytes_per_state)
    if action_s is not None:
        page.text("\n" + table(config, action_s, learner) + "\n")
    return action_s


def _try_folder(
    world: MPI.Intracomm,
    page: Page,
    run_dir: Path,
    config: Config | None,
    atoms: Atoms | None,
    action_s: float | None,
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
        if config is None or atoms is None:
            return
        with page.attempt("trajectory"):
            frame_bytes = try_trajectory(folder, atoms)
            if action_s is not None:
                size = max(world.size, 1 + 2 * config.train.ranks_per_agent)
                rate = (size - 1) // config.train.ranks_per_agent / action_s
                lasts = duration_s(config, rate)
                if not math.isfinite(lasts):  # it ends with each batch job
                    page.note("space", f"{size_text(frame_bytes)} a frame; the training has no end of its own.")
                    return
                actions = rate * lasts
                states = min(actions, config.replay.capacity)
                state_bytes = math.prod(grid_shape(config, atoms))
                describe_space(page, folder, frame_bytes, actions, size, states * state_bytes)
