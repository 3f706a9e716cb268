"""The console script: ``mapmpi train …`` is ``python -m mapmpi.train …``, and so for the other words."""

from __future__ import annotations

import sys
from importlib import import_module

from mapmpi.threads import one_thread_per_rank

_WORDS = {
    "check": (
        "mapmpi.check.__main__",
        "is all well on this machine, alone or with an input; or with a run directory",
    ),
    "train": ("mapmpi.train.run", "phase 1: learn pathways (under mpiexec)"),
    "pneb": ("mapmpi.pneb.run", "phase 2: refine pathways to barriers and times (under mpiexec)"),
    "prepare": ("mapmpi.prepare.__main__", "make a structure: melt and quench a glass, insert a molecule"),
    "jobs": ("mapmpi.jobs.run", "write job scripts for Slurm or PBS: a chain of trainings, then phase 2"),
    "keys": ("mapmpi.keys", "list every key of the input with its default and unit"),
}


def main(argv: list[str] | None = None) -> int:
    """Run the subcommand that the first word names; return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in _WORDS:
        one_thread_per_rank()
        return import_module(_WORDS[words[0]][0]).main(words[1:])
    asked = words[:1] in (["-h"], ["--help"])
    text = "usage: mapmpi COMMAND …   (mapmpi COMMAND --help says more)\n\n"
    text += "".join(f"  {word:8} {what}\n" for word, (_, what) in _WORDS.items())
    text += "\nexample: mpiexec -n 3 mapmpi train inputs/silica-small.yaml\n"
    print(text, end="", file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2
