"""A station: a state of an episode from which another one can go on, exactly and anywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapmpi.md.engine import Snapshot


@dataclass(frozen=True)
class Station:
    """The state of the engine and what the episode knows of the whole path that led there from the start.

    Energies in eV, positions in Å.
    """

    snapshot: Snapshot
    agent: np.ndarray
    """(3,) the tether's far end."""
    energy: float
    """Potential energy, as the engine gives it."""
    first_energy: float
    """That of the path's first frame."""
    highest_energy: float
    """The highest on the path."""
    lowest_energy: float
    """The lowest on the path."""
    climb: float
    """The largest rise from any earlier low on the path."""

    def record(self) -> np.ndarray:
        """Return it as one record, for a message or a file."""
        record = np.zeros((), dtype=station_dtype(len(self.snapshot.positions)))
        for name in _SNAPSHOT:
            record[name] = getattr(self.snapshot, name)
        for name in _OWN:
            record[name] = getattr(self, name)
        return record

    @classmethod
    def of(cls, record: np.ndarray | np.void) -> Station:
        """Return the station that a record holds."""
        arrays = {name: np.array(record[name]) for name in ("positions", "images", "own_velocities", "charges")}
        numbers = {"seed": int(record["seed"]), "runs": int(record["runs"])}
        snapshot = Snapshot(**arrays, **numbers, time_unit_fs=float(record["time_unit_fs"]))
        energies = {name: float(record[name]) for name in _OWN if name != "agent"}
        return cls(snapshot, np.array(record["agent"]), **energies)


_SNAPSHOT = ("positions", "images", "own_velocities", "charges", "seed", "runs", "time_unit_fs")
_OWN = ("agent", "energy", "first_energy", "highest_energy", "lowest_energy", "climb")


def station_dtype(atoms: int) -> np.dtype:
    """Return the type of a station's record for so many atoms."""
    each = (atoms, 3)
    arrays = [("positions", "f8", each), ("images", "i4", each), ("own_velocities", "f8", each)]
    numbers = [("charges", "f8", (atoms,)), ("seed", "i8"), ("runs", "i8"), ("time_unit_fs", "f8")]
    own = [("agent", "f8", (3,)), *((name, "f8") for name in _OWN if name != "agent")]
    return np.dtype([*arrays, *numbers, *own])
