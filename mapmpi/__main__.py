"""``python -m mapmpi``: what the console script ``mapmpi`` does."""

import sys

from mapmpi.cli import main

if __name__ == "__main__":
    sys.exit(main())
