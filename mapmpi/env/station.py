"""A station: a state of an episode from which another one can go on, exactly and anywhere."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from mapmpi.climb import Heights
from mapmpi.md.engine import Snapshot

_ARRAYS = ("positions", "images", "own_velocities", "charges")


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
        for name in (*_ARRAYS, "seed", "runs", "time_unit_fs"):
            record[name] = getattr(self.snapshot, name)
        record["agent"], record["energy"], record["heights"] = self.agent, self.energy, astuple(self.heights)
        return record

    @classmethod
    def of(cls, record: np.ndarray | np.void) -> Station:
        """Return the station that a record holds."""
        arrays = {name: np.array(record[name]) for name in _ARRAYS}
        snapshot = Snapshot(
            **arrays,
            seed=int(record["seed"]),
            runs=int(record["runs"]),
            time_unit_fs=float(record["time_unit_fs"]),
        )
        heights = Heights(*(float(value) for value in record["heights"]))
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
