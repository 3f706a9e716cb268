"""Job scripts: ``python -m mapmpi.jobs input.yaml --scheduler slurm …``."""

from mapmpi.threads import start

if __name__ == "__main__":
    start("mapmpi.jobs.run")
