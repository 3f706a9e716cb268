"""A station: a state of an episode from which another one can go on, exactly and anywhere."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np

from mapmpi.climb import Heights
from mapmpi.md.engine import Snapshot

_SNAPSHOT = [field.name for field in fields(Snapshot)]


@dataclass(frozen=True)
class Station:
    """The state of the engine, and what the episode knows of the whole path that led there from the start."""

    snapshot: Snapshot
    agent: np.ndarray
    """(3,) Å, the tether's far end."""
    energy: float
    """Potential energy in eV, as the frame has it."""
    heights: Heights
    """Of the whole path."""

    def record(self) -> np.ndarray:
        """Return it as one record, for a message or a file."""
        record = np.zeros((), dtype=station_dtype(len(self.snapshot.positions)))
        for name in _SNAPSHOT:
            record[name] = getattr(self.snapshot, name)
        record["agent"], record["energy"], record["heights"] = self.agent, self.energy, astuple(self.heights)
        return record

    @classmethod
    def of(cls, record: np.ndarray | np.void) -> Station:
        """Return the station that a record holds."""
        held: list[Any] = [np.array(record[name]) for name in _SNAPSHOT]
        snapshot = Snapshot(*(one if one.ndim else one.item() for one in held))
        heights = Heights(*record["heights"].tolist())
        return cls(snapshot, np.array(record["agent"]), float(record["energy"]), heights)


def station_dtype(atoms: int) -> np.dtype:
    """Return the type of a station's record for so many atoms."""
    return np.dtype(
        [
            ("positions", "f8", (atoms, 3)),
            ("images", "i4", (atoms, 3)),
            ("own_velocities", "f8", (atoms, 3)),
            ("charges", "f8", (atoms,)),
            ("seed", "i8"),
            ("runs", "i8"),
            ("time_unit_fs", "f8"),
            ("agent", "f8", (3,)),
            ("energy", "f8"),
            ("heights", "f8", (4,)),
        ]
    )
