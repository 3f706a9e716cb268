"""Structures: ``python -m mapmpi.prepare silica …``, ``insert …`` or ``report …``."""

from mapmpi.threads import start

if __name__ == "__main__":
    start("mapmpi.prepare.run")
