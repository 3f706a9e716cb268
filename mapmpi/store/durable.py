"""HDF5 files that outlive their writer.

Between two appends such a file is closed, an ordinary file for every reader. An append opens it in HDF5's
single-writer mode (SWMR), in which each block reaches the file before whatever points to it. A writer killed
during an append thus loses that append only, and leaves a mark "open for writing" in the file's first block.
``reading`` does not mind the mark; other programs do, and ``clear_mark`` takes it away.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mapmpi.errors import UserError
from mapmpi.store.files import replace_file

_SIGNATURE = b"\x89HDF\r\n\x1a\n\x03\x08\x08"  # superblock version 3 with 8-byte addresses and lengths
_SUPERBLOCK = struct.Struct("<11sB4QI")  # signature, mark, base, extension, end of file, root, checksum

READ_ATTEMPTS = 22
"""How often a block with a wrong checksum is read before the file counts as damaged: 4 ms in all."""


@contextmanager
def replacing(path: Path) -> Iterator[h5py.File]:
    """Fill a file in memory; at the end of the block it takes the place of ``path``, if there is one, as a whole.

    In this format nothing limits the size of an attribute; in the older one 64 kB do.
    """
    image = io.BytesIO()
    with h5py.File(image, "w", libver=("v110", "v110")) as file:
        yield file
    replace_file(path, lambda handle: handle.write(image.getvalue()))


class Library:
    """HDF5 as it is in this process."""

    broken = False
    """A write has failed. HDF5 cannot let go of such a file, and crashes over it when the process ends."""


@contextmanager
def appending(path: Path) -> Iterator[h5py.File]:
    """Open a file made by ``replacing`` to lengthen its data sets: SWMR needs all that it has to have been made there.

    Without a lock: a lock would fail where the file system has none, and while somebody looks at the file. Raises
    OSError, with the system's own words, when the file cannot be written.
    """
    flags = h5py.h5f.ACC_RDWR | h5py.h5f.ACC_SWMR_WRITE
    try:
        with h5py.File(h5py.h5f.open(os.fsencode(path), flags, fapl=_access())) as file:
            yield file
    except (OSError, RuntimeError) as error:  # HDF5 also fails while it closes things, in its own ways
        Library.broken = True
        words = re.search(r"error message = '([^']+)'", str(error))
        reason = words[1] if words else " ".join(str(error).split())
        raise OSError(getattr(error, "errno", None) or errno.EIO, reason, str(path)) from None


def _access() -> Any:
    """Return how files are opened: nothing newer than HDF5 1.10 in them, and no locks."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_file_locking(False, True)
    return access


def append(dataset: h5py.Dataset, rows: np.ndarray) -> None:
    """Lengthen a data set along its first axis by ``rows``."""
    length = len(dataset)
    dataset.resize(length + len(rows), axis=0)
    dataset[length:] = rows


def sync(file: h5py.File) -> None:
    """Bring all that was appended so far to the disk, before anything that follows."""
    file.flush()
    os.fsync(file.id.get_vfd_handle())


def reading(path: Path) -> h5py.File:
    """Open a file to read, also one that a writer is appending to or was killed at.

    Raises OSError when the file is not there or is no HDF5 file of this kind.
    """
    if not has_sound_start(path):
        raise OSError("it does not begin as mapmpi's files do")
    access = _access()
    # HDF5 reads a block with a wrong checksum again, in case it is just being written, and sleeps twice as long each
    # time. Its 100 attempts never end; h5py cannot set their number, but has loaded the library that can.
    ctypes.CDLL(h5py.h5p.__file__).H5Pset_metadata_read_attempts(ctypes.c_int64(access.id), READ_ATTEMPTS)
    flags = h5py.h5f.ACC_RDONLY | h5py.h5f.ACC_SWMR_READ
    try:
        return h5py.File(h5py.h5f.open(os.fsencode(path), flags, fapl=access))
    except OSError:  # another reader of this process has it open in the ordinary way, and HDF5 wants one way only
        return h5py.File(path, "r")


def has_sound_start(path: Path) -> bool:
    """Return whether the file's first block is one of ours, which tells that all its metadata carry checksums."""
    with open(path, "rb") as handle:
        block = handle.read(_SUPERBLOCK.size)
    return (
        len(block) == _SUPERBLOCK.size
        and block.startswith(_SIGNATURE)
        and _SUPERBLOCK.unpack(block)[-1] == _checksum(block[:-4])
    )


def _checksum(block: bytes) -> int:
    """Return the checksum of HDF5's metadata: lookup3 of B. Jenkins (public domain, 2006)."""

    def rotated(word: int, bits: int) -> int:
        return (word << bits | word >> (32 - bits)) & 0xFFFFFFFF

    a = b = c = (0xDEADBEEF + len(block)) & 0xFFFFFFFF
    padded = block.ljust(-(-len(block) // 12) * 12, b"\0")
    for start in range(0, len(padded), 12):
        x, y, z = struct.unpack_from("<3I", padded, start)
        a, b, c = (a + x) & 0xFFFFFFFF, (b + y) & 0xFFFFFFFF, (c + z) & 0xFFFFFFFF
        if start + 12 == len(padded):
            break
        for bits in (4, 6, 8, 16, 19, 4):
            a, c = (a - c & 0xFFFFFFFF) ^ rotated(c, bits), (c + b) & 0xFFFFFFFF
            a, b, c = b, c, a  # the same step again, with the letters moved on by one
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = (c ^ b) - rotated(b, bits) & 0xFFFFFFFF
        a, b, c = b, c, a
    return b


def clear_mark(path: Path) -> bool:
    """Take away the mark of a killed writer, and give a file the space that a full disk refused; return if it had to.

    Only for a file that nobody writes any more. Does what HDF5's ``h5clear --status --increment=0`` does.
    Raises UserError when the file's first block is not one of ours or is damaged.
    """
    with open(path, "r+b") as handle:
        block = handle.read(_SUPERBLOCK.size)
        if not block.startswith(_SIGNATURE) or len(block) < _SUPERBLOCK.size:
            raise UserError(
                f"{path} is not a trajectory file that mapmpi wrote; remove it from the run directory."
            )
        signature, mark, base, extension, end, root, checksum = _SUPERBLOCK.unpack(block)
        if checksum != _checksum(block[:-4]):
            raise UserError(f"{path}: the file's first block is damaged; restore the file from a copy.")
        size = os.fstat(handle.fileno()).st_size
        if not mark and size >= end:
            return False
        # Space may have been promised but not written yet, or written and not yet counted: agree on the larger.
        end = max(end, size)
        os.ftruncate(handle.fileno(), end)
        block = _SUPERBLOCK.pack(signature, 0, base, extension, end, root, 0)[:-4]
        handle.seek(0)
        handle.write(block + struct.pack("<I", _checksum(block)))
        handle.flush()
        os.fsync(handle.fileno())
    return True
