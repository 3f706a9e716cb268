"""Who is who among the ranks: groups of them, and in phase 1 rank 0, the learner, beside a group for each agent."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapmpi.errors import UserError

if TYPE_CHECKING:
    from mpi4py import MPI

    from mapmpi.config import Config, Train


@dataclass(frozen=True)
class Layout:
    """The ``groups`` of world ranks, those that are ``idle``, and the place of this rank among them.

    ``number`` is that of this rank's group, from 0, and ``comm`` its communicator (-1 and None: in no group).
    """

    number: int
    comm: MPI.Comm | None
    groups: list[tuple[int, ...]]
    idle: list[int]

    @property
    def agent(self) -> int:
        """The number of this rank's agent, from 1 (0: in no group)."""
        return self.number + 1

    @property
    def leaders(self) -> list[int]:
        """The world ranks of every group's first rank, which alone talk to rank 0."""
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
    for number, ranks in enumerate(groups):
        if world.rank in ranks:  # a group meets by itself: to split the world all ranks would wait for all
            return Layout(number, world.Create_group(world.Get_group().Incl(ranks), tag=number), groups, idle)
    return Layout(-1, None, groups, idle)


def _nodes(world: MPI.Intracomm) -> list[int]:
    """Return a number for the node of each rank (collective)."""
    from mpi4py import MPI

    from mapmpi.parallel.agreement import wait_for

    found = np.zeros(world.size, dtype="i8")
    name = np.array([zlib.crc32(MPI.Get_processor_name().encode())], dtype="i8")
    wait_for(world.Iallgather(name, found))
    return found.tolist()


def learner_threads(world: MPI.Comm, config: Config) -> int:
    """Return the threads for this rank's gradient steps that ``train.learner_threads`` asks for.

    ``auto`` (collective) takes the cores that this rank may use and no other rank of the node needs; a deterministic
    training takes one, as the order of a sum depends on the threads.
    """
    wish = config.train.learner_threads
    if wish != "auto":
        return wish
    from mpi4py import MPI

    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    node = world.Split_type(MPI.COMM_TYPE_SHARED)
    others = sum(not cores.isdisjoint(theirs) for theirs in node.allgather(cores)) - 1
    node.Free()
    return 1 if config.deterministic else max(1, len(cores) - others)
