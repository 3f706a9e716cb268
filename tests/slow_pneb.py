"""``mapmpi.pneb`` as it is, but slow, so that there is time to interrupt it: the first word is the pause in s that
goes before each force call."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from ase import Atoms

import mapmpi.pneb.run
from mapmpi.calculation import Forces
from mapmpi.config import Config
from mapmpi.md.engine import Engine
from mapmpi.md.factory import make_engine
from mapmpi.md.lammps_engine import LammpsEngine

pause = float(sys.argv[1])


class Slow(LammpsEngine):
    """Waits before it computes."""

    def evaluate(self, positions: np.ndarray) -> Forces:
        time.sleep(pause)
        return super().evaluate(positions)


def slow_engine(config: Config, atoms: Atoms, comm: Any) -> Engine:
    engine = make_engine(config, atoms, comm)
    engine.__class__ = Slow
    return engine


mapmpi.pneb.run.make_engine = slow_engine
sys.exit(mapmpi.pneb.run.main(sys.argv[2:]))
