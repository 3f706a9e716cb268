"""Large arrays of rows that overwrite each other in turn, on disk: only what is new since the last time is written.

Row number i lies in the file of rows number i // per_file. Nothing that an earlier checkpoint needs is overwritten,
and files that none needs any more are removed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mapmpi.errors import UserError
from mapmpi.store.files import sync_folder

_FILE_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Ring:
    """A ring in memory: row number i lies in ``rows[i % len(rows)]``, and ``written`` have been written in all."""

    rows: np.ndarray
    written: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Capacity and shape of a row."""
        return self.rows.shape

    def read_into(self, rows: np.ndarray) -> None:
        """Fill an array of this shape: row number i goes to i % capacity."""
        filled = slice(min(self.written, len(rows)))
        rows[filled] = self.rows[filled]


@dataclass
class StoredRing:
    """A ring in a folder. ``written`` rows are those that the checkpoint at hand knows."""

    folder: Path
    shape: tuple[int, ...]
    dtype: str
    written: int = 0

    @property
    def _row_bytes(self) -> int:
        return int(np.prod(self.shape[1:], dtype=int)) * np.dtype(self.dtype).itemsize

    @property
    def _per_file(self) -> int:
        return max(1, _FILE_BYTES // self._row_bytes)

    @property
    def description(self) -> dict[str, Any]:
        """What has to be known to read it again, as JSON can hold it: the keyword arguments besides the folder."""
        return {"shape": list(self.shape), "dtype": self.dtype, "written": self.written}

    @classmethod
    def described(cls, folder: Path, description: dict[str, Any]) -> StoredRing:
        """Return the ring of a description.

        Raises UserError when its files do not hold all its rows, and ValueError for what describes no ring.
        """
        ring = cls(folder, tuple(description["shape"]), description["dtype"], description["written"])
        whole = all(type(number) is int and number > 0 for number in ring.shape)
        if not (whole and ring.shape and type(ring.written) is int and ring.written >= 0):
            raise ValueError("no ring has this shape")
        if np.dtype(ring.dtype).kind not in "biuf":
            raise ValueError("no ring holds this type")
        for file, offset, _, count in ring._pieces(ring.first, ring.written):
            if not file.is_file() or file.stat().st_size < offset + count * ring._row_bytes:
                raise UserError(f"{file} is missing or cut short; restore it from a copy.")
        return ring

    @property
    def first(self) -> int:
        """Number of the oldest row that is not overwritten."""
        return max(0, self.written - self.shape[0])

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:012d}.rows"

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[Path, int, int, int]]:
        """Yield file, offset in it, slot of the ring and count of the rows from ``start`` to ``stop``, in runs."""
        while start < stop:
            slot, place = start % self.shape[0], start % self._per_file
            count = min(stop - start, self.shape[0] - slot, self._per_file - place)
            yield self._file(start // self._per_file), place * self._row_bytes, slot, count
            start += count

    def append(self, ring: Ring) -> int:
        """Write the rows that are new since ``written``; return how many bytes these are. Raises OSError."""
        self.folder.mkdir(exist_ok=True)
        start = max(self.written, ring.written - self.shape[0])
        for file, offset, slot, count in self._pieces(start, ring.written):
            with open(file, "r+b" if file.exists() else "wb") as handle:
                handle.seek(offset)
                handle.write(np.ascontiguousarray(ring.rows[slot : slot + count]).data)
                handle.truncate()  # rows of a checkpoint that was given up
                handle.flush()
                os.fsync(handle.fileno())
        sync_folder(self.folder)
        self.written = ring.written
        return (ring.written - start) * self._row_bytes

    def remove_before(self, row: int) -> None:
        """Remove the files that hold only rows before number ``row``."""
        for file in self.folder.glob("*.rows"):
            if file.stem.isdigit() and (int(file.stem) + 1) * self._per_file <= row:
                file.unlink()

    def read_into(self, rows: np.ndarray) -> None:
        """Fill an array of ``shape`` from the files. Raises UserError for a file that is not whole."""
        for file, offset, slot, count in self._pieces(self.first, self.written):
            numbers = count * int(np.prod(self.shape[1:], dtype=int))
            values = np.fromfile(file, self.dtype, numbers, offset=offset)
            if len(values) != numbers:
                raise UserError(f"{file} is cut short; restore it from a copy.")
            rows[slot : slot + count] = values.reshape(count, *self.shape[1:])
