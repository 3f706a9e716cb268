"""Which MPI library mpi4py and LAMMPS use, by file: two in one process do not understand each other."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from mpi4py import MPI


class _Symbol(ctypes.Structure):
    """What the loader knows of an address (Dl_info of dladdr)."""

    _fields_ = [  # noqa: RUF012
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    ]


def mpi_of(library: Path) -> Path:
    """Return the file of the MPI that a shared library calls. Raises OSError when it does not load or calls none."""
    try:
        function = ctypes.CDLL(str(library)).MPI_Comm_size
    except AttributeError:
        raise OSError(f"{library} calls no MPI") from None
    found = _Symbol()
    ctypes.CDLL(None).dladdr(ctypes.cast(function, ctypes.c_void_p), ctypes.byref(found))
    return Path(os.fsdecode(found.file)).resolve()


def mpi_of_mpi4py() -> Path:
    """Return the file of the MPI that mpi4py calls."""
    return mpi_of(Path(MPI.__file__))
