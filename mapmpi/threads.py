"""One thread per rank: a rank is one core, and threads of linear algebra would fight for it."""

from __future__ import annotations

import os


def one_thread_per_rank() -> None:
    """Ask the linear algebra libraries for one thread each, unless the user asked for another number.

    They look when they are loaded: call this before numpy is imported.
    """
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
