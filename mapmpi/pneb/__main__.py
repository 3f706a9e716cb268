"""Phase 2: ``mpiexec -n N python -m mapmpi.pneb RUN_DIR``."""

from mapmpi.threads import start

if __name__ == "__main__":
    start("mpi4py.MPI", "mapmpi.pneb.run")  # MPI's start waits for all ranks: before each loads the rest
