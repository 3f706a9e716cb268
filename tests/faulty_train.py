"""``mapmpi.train`` as it is, on the analytic landscape or (``silica``) real LAMMPS, with an engine that is damaged.

The first word says how: ``every=N`` raises in every Nth run, ``nan=N`` returns energies that are not numbers,
``hang=N:S`` sleeps S seconds once in run N (``@R`` behind it: on rank R alone); several are joined by commas.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
from ase import Atoms
from conftest import analytic_engine, wall_with_a_gap
from mpi4py import MPI

import mapmpi.md.factory
import mapmpi.train.run
from mapmpi.config import Config
from mapmpi.md.engine import Engine, Segment

engine_kind, damage = sys.argv[1], dict(word.partition("=")[::2] for word in sys.argv[2].split(","))
runs = 0


def damaged(run: Any) -> Any:
    """Return a run or relaxation that goes wrong as was asked for; counts go on over all engines of this rank."""

    def wrapped(steps: int) -> Segment:
        global runs
        runs += 1
        if "hang" in damage:
            when, _, rank = damage["hang"].partition("@")
            at, _, seconds = when.partition(":")
            if runs == int(at) and rank in ("", str(MPI.COMM_WORLD.rank)):
                time.sleep(float(seconds))
        if (
            "every" in damage and runs > 1 and runs % int(damage["every"]) == 0
        ):  # the first brings the start to rest
            raise RuntimeError("a fault that was put in")
        segment = run(steps)
        if "nan" in damage and runs % int(damage["nan"]) == 0:
            return replace(segment, energies=np.full_like(segment.energies, np.nan))
        return segment

    return wrapped


def make_engine(config: Config, atoms: Atoms, comm: Any) -> Engine:
    real = mapmpi.md.factory.make_engine(config, atoms, comm) if engine_kind == "silica" else None
    engine: Engine = real or analytic_engine(config, wall_with_a_gap(), comm)
    engine.run = damaged(engine.run)  # type: ignore[method-assign]
    engine.relax = damaged(engine.relax)  # type: ignore[method-assign]
    return engine


mapmpi.train.run.make_engine = make_engine
sys.exit(mapmpi.train.run.main(sys.argv[3:]))
