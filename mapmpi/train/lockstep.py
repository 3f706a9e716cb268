"""An environment on a group of ranks: the first rank says what to do, all do it together."""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from mapmpi.env.environment import Environment, Step
from mapmpi.env.station import Station, station_dtype
from mapmpi.errors import EngineError, EngineLost
from mapmpi.parallel.groups import heard

_CLOSE, _RESET, _STEP, _CONTINUE, _STATION = range(5)


class Lockstep:
    """Wraps an environment so that the leader's calls happen on every rank of its group.

    The leader uses it like the environment; each other rank sits in :meth:`follow` until the leader closes.
    """

    def __init__(self, environment: Environment, group: MPI.Comm) -> None:
        self.environment, self._group = environment, group

    def _tell(self, command: int, argument: int = 0) -> None:
        if self._group.size > 1:
            self._group.Ibcast(np.array([command, argument], dtype="i8")).Wait()

    def reset(self, seed: int, station: Station | None = None) -> Step:
        """Begin an episode on all ranks of the group, from the start or from a station."""
        self._tell(_RESET if station is None else _CONTINUE, seed)
        if station is not None and self._group.size > 1:
            self._group.Bcast(np.atleast_1d(station.record()).view(np.uint8))
        return self.environment.reset(seed, station)

    def station(self) -> Station:
        """Return the present state, from which an episode can go on."""
        self._tell(_STATION)
        return self.environment.station()

    def step(self, action: int) -> Step:
        """Take an action on all ranks of the group."""
        self._tell(_STEP, action)
        return self.environment.step(action)

    def close(self) -> None:
        """Send the followers home."""
        self._tell(_CLOSE)
        self.environment.close()

    def follow(self) -> None:
        """Do what the leader says, until it closes (the other ranks of the group). Raises EngineLost."""
        while True:
            command, argument = (int(value) for value in heard(self._group, np.empty(2, dtype="i8")))
            if command == _CLOSE:
                self.environment.close()
                return
            try:
                self._do(command, argument)
            except EngineLost:
                raise
            except EngineError:
                continue  # the leader raises it too, and decides

    def _do(self, command: int, argument: int) -> None:
        """Do one of the leader's calls (another rank of the group)."""
        if command == _RESET:
            self.environment.reset(argument)
        elif command == _STEP:
            self.environment.step(argument)
        elif command == _STATION:
            self.environment.station()
        elif command == _CONTINUE:
            record = np.empty(1, dtype=station_dtype(len(self.environment.engine.atoms)))
            self._group.Bcast(record.view(np.uint8))
            self.environment.reset(argument, Station.of(record[0]))
