"""Phase 1: ``mpiexec -n N python -m mapmpi.train input.yaml``."""

from mapmpi.threads import start

if __name__ == "__main__":
    start("mpi4py.MPI", "mapmpi.train.run")  # MPI's start waits for all ranks: before each loads the rest
