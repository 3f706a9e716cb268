"""Who is who among the ranks: rank 0 the learner, the others in groups of one agent each."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapmpi.errors import UserError

if TYPE_CHECKING:
    from mpi4py import MPI

    from mapmpi.config import Train


@dataclass(frozen=True)
class Layout:
    """The place of this rank. ``agent`` counts from 1; 0 is the learner, -1 an idle rank.

    ``group`` is the communicator of the agent's ranks (None for the learner and for idle ranks); ``groups`` are the
    world ranks of all agents.
    """

    agent: int
    group: MPI.Comm | None
    groups: list[tuple[int, ...]]
    idle: list[int]

    @property
    def agents(self) -> int:
        """How many agents there are."""
        return len(self.groups)

    @property
    def leaders(self) -> list[int]:
        """The world ranks of every agent's first rank, which alone talk to the learner."""
        return [group[0] for group in self.groups]


def divide(nodes: Sequence[int], each: int) -> tuple[list[tuple[int, ...]], list[int]]:
    """Return the groups of ``each`` ranks, and the idle ranks, of a world whose ranks lie on ``nodes``.

    The ranks of a group are on one node. Raises UserError if there is no group.
    """
    on_node: dict[int, list[int]] = {}
    for rank, node in enumerate(nodes[1:], start=1):
        on_node.setdefault(node, []).append(rank)
    groups = sorted(
        tuple(ranks[first : first + each])
        for ranks in on_node.values()
        for first in range(0, len(ranks) - each + 1, each)
    )
    if not groups and len(nodes) > each:
        raise UserError(
            f"train.ranks_per_agent: no node has {each} ranks besides the learner's; set train.across_nodes to true "
            "for agents that lie on several, or start more ranks on each."
        )
    if not groups:
        size = len(nodes)
        raise UserError(
            f"train.ranks_per_agent: {size} rank{'s' * (size > 1)} cannot hold a learner and an agent of "
            f"{each}; start at least {each + 1}, for example "
            f"mpiexec -n {2 * each + 1} python -m mapmpi.train input.yaml."
        )
    return groups, sorted(set(range(1, len(nodes))).difference(*groups))


def make_layout(world: MPI.Intracomm, train: Train) -> Layout:
    """Give every rank its place (collective). Ranks that do not fill a group stay idle. Raises UserError."""
    each = train.ranks_per_agent
    nodes = [0] * world.size if each == 1 or train.across_nodes else _nodes(world)
    groups, idle = divide(nodes, each)
    for agent, ranks in enumerate(groups, start=1):
        if world.rank in ranks:  # a group meets by itself: to split the world all ranks would wait for all
            return Layout(agent, world.Create_group(world.Get_group().Incl(ranks), tag=agent), groups, idle)
    return Layout(0 if world.rank == 0 else -1, None, groups, idle)


def _nodes(world: MPI.Intracomm) -> list[int]:
    """Return a number for the node of each rank (collective)."""
    from mpi4py import MPI

    from mapmpi.parallel.agreement import wait_for

    found = np.zeros(world.size, dtype="i8")
    name = np.array([zlib.crc32(MPI.Get_processor_name().encode())], dtype="i8")
    wait_for(world.Iallgather(name, found))
    return found.tolist()
