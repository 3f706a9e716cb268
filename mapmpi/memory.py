"""How much memory a process takes, and how much is left for what is to be allocated long after the input was read."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


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
        if not kinds:
            root, names = Path("/sys/fs/cgroup"), ("memory.max", "memory.current", "inactive_file")
        elif kinds == "memory":
            root = Path("/sys/fs/cgroup/memory")
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
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
