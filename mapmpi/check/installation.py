"""Check of what is installed, without an input: the machine, LAMMPS and its MPI, and a step of ReaxFF on two ranks."""

from __future__ import annotations

from contextlib import closing

from ase import Atoms
from ase.build import molecule
from mpi4py import MPI

from mapmpi.check.extras import describe_optional
from mapmpi.check.machine import describe_machine
from mapmpi.check.material import find_lammps
from mapmpi.check.node import launch, place
from mapmpi.check.page import Page
from mapmpi.config import Dynamics, ForceField
from mapmpi.errors import REFUSED, EngineError
from mapmpi.md.forcefield import reaxff_file
from mapmpi.parallel.agreement import meet

MOST_RANKS = 2
"""Ranks that the step is tried on: with two, a LAMMPS of another MPI would be alone on each."""


def check_installation(world: MPI.Intracomm) -> int:
    """Print the page for the machine and its LAMMPS (collective); return the exit code."""
    launched, page = launch(), Page(silent=world.rank > 0)
    if world.size < launched.ranks and launched.rank > 0:
        return REFUSED  # the ranks do not see each other; the launcher's first says so
    places = world.gather(place(MPI.Get_processor_name()))
    computes = False
    if places is not None:
        describe_machine(page, launched, places, None)
        page.heading("LAMMPS")
        computes = find_lammps(page, None) is not None
    meet(world)
    computes = world.bcast(computes)
    group = world.Split(0 if world.rank < MOST_RANKS else MPI.UNDEFINED, world.rank)
    if computes and group != MPI.COMM_NULL:
        with page.attempt("ReaxFF"):
            page.ok("ReaxFF", try_step(group))
    meet(world)
    if places is not None:
        page.heading("Optional")
        describe_optional(page, None)
    return world.bcast(page.end() if world.rank == 0 else None)


def water() -> Atoms:
    """Return eight molecules of water in a cell of 9 Å."""
    return molecule("H2O", cell=[4.5] * 3, pbc=True).repeat(2)


def try_step(group: MPI.Comm) -> str:
    """Make one step of molecular dynamics with ReaxFF on a group of ranks (collective); return what came of it.

    Raises UserError when there is no parameter file, and EngineError when the step fails, or each rank has a
    simulation of its own instead of a share of one.
    """
    from mapmpi.md.lammps_engine import LammpsEngine  # there may be no LAMMPS

    atoms, forces = water(), ForceField()
    with closing(LammpsEngine(atoms, forces, Dynamics(), tagged=[1], comm=group)) as engine:
        energy = float(engine.run(1).energies[-1])
        owned = group.allreduce(len(engine.local_atoms().ids))
    if owned != len(atoms):
        raise EngineError(f"{group.size} ranks hold {owned} atoms of {len(atoms)}")
    ranks = f"{group.size} rank{'s' * (group.size > 1)}"
    return f"one step of {len(atoms)} atoms on {ranks} together: {energy:.3f} eV; {reaxff_file(forces)}"
