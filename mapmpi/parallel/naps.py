"""How a rank waits: it looks, and sleeps in between, the longer the longer it has waited.

MPICH spins where it waits itself, and a core may have many ranks; 255 that look every half millisecond take ten cores.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

FIRST_S, LONGEST_S, GROWTH = 5e-4, 0.1, 1.3


def naps() -> Iterator[None]:
    """Sleep between two items, a little longer each time; without end."""
    nap = FIRST_S
    while True:
        yield
        time.sleep(nap)
        nap = min(GROWTH * nap, LONGEST_S)
