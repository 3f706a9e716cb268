"""How a rank waits: it looks, and sleeps in between, the longer the longer it has waited.

MPICH spins where it waits itself, and a core may have many ranks; 255 that look every half millisecond take ten cores.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

FIRST_S, LONGEST_S, GROWTH = 5e-4, 0.1, 1.3


def naps(first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> Iterator[None]:
    """Sleep between two items, a little longer each time, for so many seconds first and at most; without end."""
    nap = first_s
    while True:
        yield
        time.sleep(nap)
        nap = min(GROWTH * nap, longest_s)
