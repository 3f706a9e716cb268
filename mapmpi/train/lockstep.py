"""An environment on a group of ranks: the first rank says what to do, all do it together."""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from mapmpi.env.environment import Environment
from mapmpi.env.station import Station, station_dtype
from mapmpi.env.step import Step
from mapmpi.parallel.relay import command, obey

_CLOSE, _RESET, _STEP, _CONTINUE, _STATION = range(5)


class Lockstep:
    """Wraps an environment so that the leader's calls happen on every rank of its group.

    The leader uses it like the environment; each other rank sits in :meth:`follow` until the leader closes.
    """

    def __init__(self, environment: Environment, group: MPI.Comm) -> None:
        self.environment, self._group = environment, group

    def reset(self, seed: int, station: Station | None = None) -> Step:
        """Begin an episode on all ranks of the group, from the start or from a station."""
        command(self._group, _RESET if station is None else _CONTINUE, seed)
        if station is not None and self._group.size > 1:
            self._group.Bcast(np.atleast_1d(station.record()).view(np.uint8))
        return self.environment.reset(seed, station)

    def station(self) -> Station:
        """Return the present state, from which an episode can go on."""
        command(self._group, _STATION)
        return self.environment.station()

    def step(self, action: int) -> Step:
        """Take an action on all ranks of the group."""
        command(self._group, _STEP, action)
        return self.environment.step(action)

    def close(self) -> None:
        """Send the followers home."""
        command(self._group, _CLOSE)
        self.environment.close()

    def follow(self) -> None:
        """Do what the leader says, until it closes (the other ranks of the group). Raises EngineLost."""
        obey(self._group, self._do)
        self.environment.close()

    def _do(self, call: int, argument: int) -> bool:
        """Do one of the leader's calls (another rank of the group); return whether others follow."""
        if call == _RESET:
            self.environment.reset(argument)
        elif call == _STEP:
            self.environment.step(argument)
        elif call == _STATION:
            self.environment.station()
        elif call == _CONTINUE:
            record = np.empty(1, dtype=station_dtype(len(self.environment.engine.atoms)))
            self._group.Bcast(record.view(np.uint8))
            self.environment.reset(argument, Station.of(record[0]))
        return call != _CLOSE
