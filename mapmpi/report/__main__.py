"""A run as a page: ``python -m mapmpi.report RUN_DIR``."""

from mapmpi.threads import start

if __name__ == "__main__":
    start("mapmpi.report.run")
