"""What no simulation may give: foreign exceptions, energies that are not numbers, changes that no barrier explains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from mapmpi.errors import EngineError, EngineLost
from mapmpi.logs import log
from mapmpi.md.engine import Segment


@contextmanager
def guarded(group: Any) -> Iterator[None]:
    """Around calls of an engine: whatever else it raises is an error of the simulation, too.

    ``group`` is the engine's communicator (None: this process alone); a group in which one rank raises is lost.
    """
    try:
        yield
    except (EngineError, EngineLost):
        raise
    except Exception as error:
        log.info("the engine raised what it should not", exc_info=True)
        alone = group is None or group.size == 1
        raise (EngineError if alone else EngineLost)(f"{type(error).__name__}: {error}") from error


def mean_energy(segment: Segment, samples: int) -> float:
    """Return the mean of a segment's last energies in eV. Raises EngineError where it is not a number."""
    energy = float(segment.energies[-samples:].mean())
    if not np.isfinite(energy):
        raise EngineError(f"the potential energy is {energy}", "not_a_number")
    return energy


def check_change(change: float, most: float) -> None:
    """Refuse a change of the energy by more than ``most`` eV in one action with EngineError."""
    if abs(change) > most:
        raise EngineError(
            f"the energy changed by {change:+.1f} eV in one action (dynamics.max_energy_step)", "energy_step"
        )
