"""What a rank knows of itself and of its node: who started it, its cores, its memory."""

from __future__ import annotations

import os
from dataclasses import dataclass

from mapmpi.memory import free_memory, private_memory

_LAUNCHERS = (  # variables with the number of ranks and this one's number, as the launchers set them
    ("PMI_SIZE", "PMI_RANK"),  # MPICH and its kin
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),  # Open MPI
    # srun; SLURM_NTASKS would not do, a batch script has it outside of srun, too
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
)


@dataclass(frozen=True)
class Launch:
    """What the launcher says: how many ranks it started, and which of them this is; 0 ranks if none did."""

    ranks: int
    rank: int


def launch() -> Launch:
    """Return what mpiexec or srun left in the environment."""
    for size, rank in _LAUNCHERS:
        words = os.environ.get(size, ""), os.environ.get(rank, "0")
        if all(word.isdigit() for word in words):
            return Launch(int(words[0]), int(words[1]))
    return Launch(0, 0)


@dataclass(frozen=True)
class RankPlace:
    """A rank on its node: the node's name, the cores that this rank may use, bytes of memory.

    ``private`` is what this process alone uses, ``free`` what is left on the node for it and others (None: unknown).
    """

    node: str
    cores: frozenset[int]
    private: int
    free: int | None


def place(node: str) -> RankPlace:
    """Return where this rank is, as of now."""
    if hasattr(os, "sched_getaffinity"):
        cores = frozenset(os.sched_getaffinity(0))
    else:  # macOS
        cores = frozenset(range(os.cpu_count() or 1))
    return RankPlace(node, cores, private_memory(), free_memory())
