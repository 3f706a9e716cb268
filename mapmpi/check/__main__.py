"""Check an input or a run directory: ``python -m mapmpi.check input.yaml``, alone or under mpiexec."""

from __future__ import annotations

import sys

from mapmpi.threads import one_thread_per_rank


def main(argv: list[str] | None = None) -> int:
    """Check; a library that does not load is a finding, too. Return the exit code."""
    try:
        from mapmpi.check.run import main as check
    # mpi4py raises RuntimeError where it finds no MPI library
    except (ImportError, RuntimeError, OSError) as error:
        print(
            f"mapmpi: {' '.join(str(error).split())}; install it for this Python ({sys.executable}).",
            file=sys.stderr,
        )
        return 2
    return check(argv)


if __name__ == "__main__":
    one_thread_per_rank()
    sys.exit(main())
