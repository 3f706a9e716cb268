"""Follow a run: ``python -m mapmpi.watch RUN_DIR``."""

from mapmpi.threads import start

if __name__ == "__main__":
    start("mapmpi.watch.run")
