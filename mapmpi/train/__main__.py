"""Phase 1: ``mpiexec -n N python -m mapmpi.train input.yaml``."""

import sys

from mapmpi.threads import one_thread_per_rank

one_thread_per_rank()

from mpi4py import MPI  # noqa: E402, F401  (MPI's start waits for all ranks: before each loads the rest)

from mapmpi.train.run import main  # noqa: E402  (after the threads are set)

if __name__ == "__main__":
    sys.exit(main())
