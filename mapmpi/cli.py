"""The console script: ``mapmpi train …`` is ``python -m mapmpi.train …``, and so for the other words."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib import import_module

from mapmpi import __version__
from mapmpi.errors import REFUSED
from mapmpi.threads import one_thread_per_rank

_TASKS = {
    "prepare": ("mapmpi.prepare.run", "make a structure: a glass, a defect, a molecule in a void"),
    "check": ("mapmpi.check.__main__", "see whether all is well: a machine, an input, or a run directory"),
    "train": ("mapmpi.train.run", "learn pathways, phase 1 (under mpiexec)"),
    "pneb": ("mapmpi.pneb.run", "refine pathways to barriers and times, phase 2 (under mpiexec)"),
    "report": ("mapmpi.report.run", "read the answer: one page that opens without a network, and figures"),
}
"""What one can do: the module of each word, and what it does."""

_MORE = {
    "watch": ("mapmpi.watch.run", "follow a running job from its files, in the terminal or as a page"),
    "combine": ("mapmpi.report.combine", "time and D over several glasses, with the spread between them"),
    "export": ("mapmpi.export.run", "an episode or pathway for other programs: extxyz, LAMMPS, H5MD, CIF"),
    "jobs": ("mapmpi.jobs.run", "write job scripts for Slurm or PBS: a chain of trainings, and phase 2"),
    "keys": ("mapmpi.config.keys", "list every key of the input with its default and unit"),
}

_WORDS = {**_TASKS, **_MORE}

_TEXT = """usage: mapmpi COMMAND …   (mapmpi COMMAND --help says more)

{tasks}
besides:
{more}
the first time, on a laptop:
  mpiexec -n 3 mapmpi train inputs/silica-small.yaml --run-dir first
  mpiexec -n 2 mapmpi pneb first
  mapmpi report first
"""


def main(argv: list[str] | None = None) -> int:
    """Run the subcommand that the first word names; return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in _WORDS:
        one_thread_per_rank()
        return import_module(_WORDS[words[0]][0]).main(words[1:])
    if not words or words[0] in ("-h", "--help"):
        print(_TEXT.format(tasks=_listed(_TASKS), more=_listed(_MORE)), end="")
        return 0
    if words[0] in ("-V", "--version"):
        print(f"mapmpi {__version__}")
        return 0
    near = get_close_matches(words[0], _WORDS, 1)
    advice = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(_WORDS)}."
    print(f"mapmpi: {words[0]!r} is no command of mapmpi; {advice}", file=sys.stderr)
    return REFUSED


def _listed(words: dict[str, tuple[str, str]]) -> str:
    return "".join(f"  {word:8} {what}\n" for word, (_, what) in words.items())
