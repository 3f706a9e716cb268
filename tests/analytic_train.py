"""``mapmpi.train`` as it is, but on the analytic landscape: many agents in seconds.

``lost`` as the last word makes the last rank fail alone in LAMMPS's way, with its group left hanging.
"""

from __future__ import annotations

import sys
from typing import Any

from analytic import AnalyticEngine
from ase import Atoms
from conftest import analytic_engine, wall_with_a_gap
from mpi4py import MPI

import mapmpi.parallel.agreement
import mapmpi.train.roll
import mapmpi.train.run
from mapmpi.config import Config
from mapmpi.errors import EngineLost
from mapmpi.md.engine import Segment

world = MPI.COMM_WORLD
lost = sys.argv[-1] == "lost"
words = sys.argv[1:-1] if lost else sys.argv[1:]


def make_engine(config: Config, atoms: Atoms, comm: Any) -> AnalyticEngine:
    return analytic_engine(config, wall_with_a_gap(), comm)


class Dying(AnalyticEngine):
    """Runs a few times, then raises on this rank alone."""

    runs = 0

    def run(self, steps: int) -> Segment:
        self.age()
        return super().run(steps)

    def relax(self, calls: int) -> Segment:
        self.age()
        return super().relax(calls)

    def age(self) -> None:
        self.runs += 1
        if self.runs == 12:
            raise EngineLost("one rank died")


def dying_engine(config: Config, atoms: Atoms, comm: Any) -> AnalyticEngine:
    engine = make_engine(config, atoms, comm)
    if world.rank == world.size - 1:
        engine.__class__ = Dying
    return engine


mapmpi.train.run.make_engine = dying_engine if lost else make_engine  # type: ignore[assignment]
if lost:
    mapmpi.parallel.agreement.PATIENCE_S = 3.0
    mapmpi.train.roll.GOODBYE_S = 5.0
sys.exit(mapmpi.train.run.main(words))
