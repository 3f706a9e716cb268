"""What a rank knows of itself and of its node: who started it, its cores, its memory."""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

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


def private_memory() -> int:
    """Return the bytes that this process does not share with others; where Linux does not tell, its largest size."""
    fields = _kilobytes("/proc/self/smaps_rollup")
    if "Private_Dirty" in fields:
        return fields["Private_Dirty"] + fields.get("Private_Clean", 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def free_memory() -> int | None:
    """Return the bytes that this process and its neighbours can still take: the node's, or its job's if fewer."""
    left = [limit - used for limit, used in _job_limits()]
    node = _kilobytes("/proc/meminfo").get("MemAvailable")
    return min([*left, *([node] if node is not None else [])], default=None)


def _kilobytes(file: str) -> dict[str, int]:
    """Return the fields of one of /proc's tables of kB, in bytes; nothing where there is no such table."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return {}
    rows = [line.replace(":", " ").split() for line in lines]
    return {row[0]: int(row[1]) * 1024 for row in rows if row[-1:] == ["kB"] and row[1].isdigit()}


def _job_limits() -> list[tuple[int, int]]:
    """Return limit and use in bytes of each control group that this process is in: a batch system's limits."""
    found = []
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds not in ("", "memory"):
            continue
        root, names = (
            (
                Path("/sys/fs/cgroup/memory"),
                ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            )
            if kinds
            else (Path("/sys/fs/cgroup"), ("memory.max", "memory.current", "inactive_file"))
        )
        group = Path(path.lstrip("/"))
        for folder in [root / part for part in (group, *group.parents)]:
            found += _limit(folder, *names)
    return found


def _limit(folder: Path, limit: str, used: str, cache: str) -> list[tuple[int, int]]:
    """Return limit and use of one control group, without the file cache that would make room; none if unlimited."""
    try:
        most, now = (folder / limit).read_text().strip(), int((folder / used).read_text())
        cached = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines()).get(cache, "0")
    except (OSError, ValueError):
        return []
    return [(int(most), now - int(cached))] if most.isdigit() else []
