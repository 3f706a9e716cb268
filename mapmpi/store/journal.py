"""A journal: results under keys, in one file that only grows, so that a killed run goes on where it was.

An entry is a length, a checksum and a NumPy archive; one that a killed writer left unfinished is cut off when the
journal is opened again. A key is a digest of everything that determines the result, so a result can be old but
never wrong. Nothing is pickled: reading a journal runs no code.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from mapmpi.errors import UserError
from mapmpi.store.arrays import read_archive, write_archive
from mapmpi.store.codec import Quantity, built, flat
from mapmpi.store.files import lock

_HEAD = struct.Struct("<8sQI32s")  # mark, bytes of the archive, its CRC-32, key
_MARK = b"mapmpi\r\n"


def digest(*parts: Any) -> bytes:
    """Return the key (32 bytes) of a result that is determined by ``parts``: arrays, and what JSON can hold."""
    state = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            state.update(f"{part.dtype.str}{part.shape}".encode())
            state.update(np.ascontiguousarray(part).data)
        else:
            state.update(json.dumps(part, sort_keys=True, default=str).encode())
        state.update(b"\0")
    return state.digest()


def _entries(handle: IO[bytes], path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Yield key, place and bytes of each archive, up to the first entry that is not whole; UserError if it is none."""
    end, length = 0, os.fstat(handle.fileno()).st_size
    while True:
        handle.seek(end)
        head = handle.read(_HEAD.size)
        if end == 0 and head and not head.startswith(_MARK[: len(head)]):
            raise UserError(f"{path} is not a journal of mapmpi; move it out of the run directory.")
        if len(head) < _HEAD.size:
            return
        mark, size, checksum, key = _HEAD.unpack(head)
        if mark != _MARK or size > length or zlib.crc32(handle.read(size)) != checksum:
            return
        yield key, end + _HEAD.size, size
        end += _HEAD.size + size


def count_entries(path: Path) -> tuple[int, int]:
    """Return the whole entries of a journal, and the bytes behind them, which it will lose when opened to go on.

    Raises UserError when it is no journal, or cannot be read.
    """
    try:
        with open(path, "rb") as handle:
            places = [(place, size) for _, place, size in _entries(handle, path)]
            return len(places), os.fstat(handle.fileno()).st_size - (sum(places[-1]) if places else 0)
    except OSError as error:
        raise UserError(f"{path}: cannot read it ({error.strerror}); see to its permissions.") from None


class Journal:
    """Results on disk. ``types`` are the records that occur in them; one process writes."""

    def __init__(self, path: Path, types: tuple[type, ...]) -> None:
        """Open a journal or begin one.

        Raises UserError while another process writes it, or if it is none or holds what these types are not.
        """
        self._types = {kind.__name__: kind for kind in types}
        self._places: dict[bytes, tuple[int, int]] = {}
        self._handle = open(path, "a+b")  # noqa: SIM115  (open as long as the journal)
        lock(self._handle, f"{path}: another job is refining the pathways of this run; wait for it.")
        self._handle.truncate(self._read_places(path))

    def _read_places(self, path: Path) -> int:
        """Find all whole entries; return where the last of them ends."""
        end = 0
        for key, place, size in _entries(self._handle, path):
            self._handle.seek(place)
            try:
                self._result(self._handle.read(size))
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                raise UserError(
                    f"{path}: the entry at byte {end} is whole but none of this mapmpi's; move the file away."
                ) from None
            self._places[key] = (place, size)
            end = place + size
        return end

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def __getitem__(self, key: bytes) -> Any:
        """Return the result under a key. Raises KeyError."""
        place, size = self._places[key]
        self._handle.seek(place)
        return self._result(self._handle.read(size))

    def __setitem__(self, key: bytes, result: Any) -> None:
        """Keep a result: records of the known types, tuples and arrays, nested; numbers, texts, None."""
        arrays: dict[str, np.ndarray] = {}
        tree = json.dumps(_packed(flat(result), arrays))
        archive = io.BytesIO()
        write_archive(archive, {"tree": np.array(tree), **arrays}, {})
        data = archive.getvalue()
        place = self._handle.seek(0, os.SEEK_END)
        self._handle.write(_HEAD.pack(_MARK, len(data), zlib.crc32(data), key) + data)
        self._handle.flush()
        self._places[key] = (place + _HEAD.size, len(data))

    def _result(self, data: bytes) -> Any:
        """Return the result that an archive holds. Raises what a foreign archive makes of it."""
        arrays, _ = read_archive(io.BytesIO(data))
        return built(_unpacked(json.loads(str(arrays["tree"])), arrays), self._types)

    def close(self, sync: bool = True) -> None:
        """Close the file, once everything is on the disk; with ``sync`` off it may stay in the system's memory."""
        if sync:
            self._handle.flush()
            os.fsync(self._handle.fileno())
        self._handle.close()


def _packed(tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return a tree as JSON can hold it, its arrays laid into ``arrays``."""
    if isinstance(tree, dict):
        return {name: _packed(one, arrays) for name, one in tree.items()}
    if isinstance(tree, list):
        return [_packed(one, arrays) for one in tree]
    if isinstance(tree, Quantity):
        return _packed(tree.values, arrays)
    if isinstance(tree, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = tree
        return {"array": name}
    return tree.item() if isinstance(tree, np.generic) else tree


def _unpacked(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Return the tree that :func:`_packed` took apart."""
    if isinstance(tree, list):
        return [_unpacked(one, arrays) for one in tree]
    if not isinstance(tree, dict):
        return tree
    if "array" in tree:
        return arrays[tree["array"]]
    return {name: _unpacked(one, arrays) for name, one in tree.items()}
