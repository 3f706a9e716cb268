"""Export: ``python -m mapmpi.export RUN_DIR --output FILE``."""

from mapmpi.threads import start

if __name__ == "__main__":
    start("mapmpi.export.run")
