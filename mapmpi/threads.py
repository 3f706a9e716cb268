"""How a program begins: with one thread per rank, for a rank is one core, and threads would fight for it."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import NoReturn


def one_thread_per_rank() -> None:
    """Ask the linear algebra libraries for one thread each, unless the user asked for another number.

    They look when they are loaded: call this before numpy is imported.
    """
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")


def start(*modules: str) -> NoReturn:
    """Load modules one after another, run ``main`` of the last, and leave with its exit code."""
    one_thread_per_rank()
    loaded = [import_module(module) for module in modules]
    sys.exit(loaded[-1].main())
