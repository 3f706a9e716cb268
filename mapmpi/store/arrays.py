"""Archives of arrays: NumPy's .npz, read without trust.

Such an archive is a zip file of uncompressed members. What a member's header declares is compared with the bytes that
are there before any memory is asked for, and nothing is ever unpickled, so a damaged or a made-up archive costs a
ValueError and no more.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from mapmpi.errors import why

_SUFFIX = ".npy"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_LONGEST_HEADER = 4096
_PIECE = 16 << 20


def write_archive(handle: IO[bytes], arrays: Mapping[str, np.ndarray], texts: Mapping[str, str]) -> None:
    """Write arrays of any numeric dtype, and texts as members of their own.

    Raises ValueError for an array of Python objects.
    """
    with zipfile.ZipFile(handle, "w") as archive:
        for name, text in texts.items():
            archive.writestr(name, text)
        for name, array in arrays.items():
            with archive.open(name + _SUFFIX, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def read_archive(handle: IO[bytes]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays of an archive, and its other members as texts. Raises ValueError when it is damaged."""
    size = handle.seek(0, os.SEEK_END)
    arrays: dict[str, np.ndarray] = {}
    texts: dict[str, str] = {}
    try:
        with zipfile.ZipFile(handle) as archive:
            members = archive.infolist()
            if any(
                one.compress_type != zipfile.ZIP_STORED or one.compress_size != one.file_size for one in members
            ):
                raise ValueError("a member is compressed")
            if sum(member.file_size for member in members) > size:
                raise ValueError("its members declare more than its size")
            for member in members:
                with archive.open(member) as stream:
                    if member.filename.endswith(_SUFFIX):
                        arrays[member.filename.removesuffix(_SUFFIX)] = _read_array(stream, member.file_size)
                    else:
                        texts[member.filename] = stream.read().decode()
    except OSError:
        raise
    except Exception as error:  # zipfile and NumPy's reader of headers raise all kinds of exceptions
        raise ValueError(why(error)) from None
    return arrays, texts


def _read_array(stream: IO[Any], size: int) -> np.ndarray:
    """Return the array of a member of ``size`` bytes."""
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"an array has a header of version {version}")
    shape, fortran, dtype = _HEADERS[version](stream, max_header_size=_LONGEST_HEADER)
    if dtype.hasobject or dtype.itemsize == 0:
        raise ValueError(f"an array is of type {dtype}")
    length = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or length != size - stream.tell():
        raise ValueError(f"an array of shape {shape} does not fit its {size} bytes")
    buffer = memoryview(bytearray(length))
    for start in range(0, length, _PIECE):  # one copy of a large array is enough
        piece = buffer[start : start + _PIECE]
        piece[:] = stream.read(len(piece))
    array: np.ndarray = np.frombuffer(buffer, dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
