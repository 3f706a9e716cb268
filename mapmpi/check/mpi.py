"""Which MPI a library calls, by file and by its own word: two in one process do not understand each other."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

from mpi4py import MPI

_LONGEST = 8192
"""Characters of the longest version that an MPI tells (MPICH's)."""


class _Symbol(ctypes.Structure):
    """What the loader knows of an address (Dl_info of dladdr)."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


@dataclass(frozen=True)
class Called:
    """An MPI: its file, and what it says of itself (MPICH Version: 5.0.2 …)."""

    file: Path
    version: str

    @property
    def words(self) -> str:
        """The first line of the version without punctuation, and the file."""
        return f"{' '.join(self.version.split(chr(10))[0].replace(':', '').split())} in {self.file}"


def file_of(library: str, function: str) -> Path:
    """Return the file in which a shared library finds a function. Raises OSError when either is not there."""
    try:
        address = getattr(ctypes.CDLL(library), function)
    except AttributeError:
        raise OSError(f"{library} knows no {function}") from None
    found = _Symbol()
    ctypes.CDLL(None).dladdr(ctypes.cast(address, ctypes.c_void_p), ctypes.byref(found))
    return Path(os.fsdecode(found.file)).resolve()


def called_by(library: str) -> Called:
    """Return the MPI that a shared library calls. Raises OSError when it does not load, or calls none."""
    file = file_of(library, "MPI_Get_library_version")
    text, length = ctypes.create_string_buffer(_LONGEST), ctypes.c_int()
    ctypes.CDLL(library).MPI_Get_library_version(text, ctypes.byref(length))
    return Called(file, text.value.decode(errors="replace"))


def called_by_mpi4py() -> Called:
    """Return the MPI that mpi4py calls."""
    return called_by(MPI.__file__)
