"""Job scripts: ``python -m mapmpi.jobs input.yaml --scheduler slurm …``."""

import sys

from mapmpi.jobs.run import main

if __name__ == "__main__":
    sys.exit(main())
