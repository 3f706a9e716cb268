"""Who is who among the ranks: rank 0 the learner, the others in groups of one agent each."""

from __future__ import annotations

import os
from dataclasses import dataclass

from mpi4py import MPI

from mapmpi.config import Config
from mapmpi.errors import UserError


@dataclass(frozen=True)
class Layout:
    """The place of this rank. ``agent`` counts from 1; 0 is the learner, -1 an idle rank.

    ``group`` is the communicator of the agent's ranks (None for the learner and for idle ranks); ``leaders``
    are the world ranks of every agent's first rank, which alone talk to the learner.
    """

    agent: int
    group: MPI.Comm | None
    leaders: list[int]
    idle: list[int]

    @property
    def agents(self) -> int:
        """How many agents there are."""
        return len(self.leaders)


def divide(size: int, ranks_per_agent: int) -> tuple[list[int], list[int]]:
    """Return leaders and idle ranks for a world of ``size`` ranks; UserError if it holds no agent."""
    agents = (size - 1) // ranks_per_agent
    if agents < 1:
        raise UserError(
            f"train.ranks_per_agent: {size} rank{'s' * (size > 1)} cannot hold a learner and an agent of "
            f"{ranks_per_agent}; start at least {ranks_per_agent + 1}, for example "
            f"mpiexec -n {2 * ranks_per_agent + 1} python -m mapmpi.train input.yaml."
        )
    leaders = [1 + ranks_per_agent * number for number in range(agents)]
    return leaders, list(range(1 + ranks_per_agent * agents, size))


def make_layout(world: MPI.Comm, ranks_per_agent: int) -> Layout:
    """Split the world (collective). Ranks that do not fill a group stay idle."""
    leaders, idle = divide(world.size, ranks_per_agent)
    agent = -1 if world.rank in idle else (world.rank + ranks_per_agent - 1) // ranks_per_agent
    group = world.Split(agent if agent > 0 else MPI.UNDEFINED, world.rank)
    return Layout(agent, None if group == MPI.COMM_NULL else group, leaders, idle)


def learner_threads(world: MPI.Comm, config: Config) -> int:
    """Return the threads for this rank's gradient steps that ``train.learner_threads`` asks for (collective).

    ``auto`` takes the cores that this rank may use and no other rank of the node needs; a deterministic training
    takes one, as the order of a sum depends on the threads.
    """
    wish = config.train.learner_threads
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    node = world.Split_type(MPI.COMM_TYPE_SHARED)
    others = sum(not cores.isdisjoint(theirs) for theirs in node.allgather(cores)) - 1
    node.Free()
    if wish != "auto":
        return wish
    return 1 if config.deterministic else max(1, len(cores) - others)
