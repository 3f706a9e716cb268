"""Who is who among the ranks: rank 0 the learner, the others in groups of one agent each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapmpi.errors import UserError

if TYPE_CHECKING:  # on a login node, where job scripts are made, MPI may not start
    from mpi4py import MPI


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


def make_layout(world: MPI.Intracomm, ranks_per_agent: int) -> Layout:
    """Give every rank its place (collective over each group). Ranks that do not fill a group stay idle."""
    leaders, idle = divide(world.size, ranks_per_agent)
    agent = -1 if world.rank in idle else (world.rank + ranks_per_agent - 1) // ranks_per_agent
    if agent < 1:
        return Layout(agent, None, leaders, idle)
    first = leaders[agent - 1]  # a group meets by itself: to split the world all ranks would wait for all
    members = world.Get_group().Incl(range(first, first + ranks_per_agent))
    return Layout(agent, world.Create_group(members, tag=agent), leaders, idle)
