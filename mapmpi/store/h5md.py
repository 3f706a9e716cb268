"""The layout of H5MD 1.1 (nongnu.org/h5md), as MDAnalysis and znh5md read it.

Elements that change with time are groups of ``value``, ``step`` and ``time``. All elements of a file are
written at the same steps: the first one owns ``step`` and ``time``, the others have hard links to them.
Strings are variable-length, because both readers stumble over fixed-length ones.
"""

from __future__ import annotations

import os

import h5py
import numpy as np

from mapmpi import __version__

_CHUNK_BYTES = 4096


def write_root(file: h5py.File) -> None:
    """Write the group ``h5md``: version 1.1, author and creator."""
    group = file.create_group("h5md")
    group.attrs["version"] = np.array([1, 1], dtype="i4")
    group.create_group("author").attrs["name"] = os.environ.get("USER", "unknown")
    creator = group.create_group("creator")
    creator.attrs["name"] = "mapmpi"
    creator.attrs["version"] = __version__


def create_rows(
    group: h5py.Group, name: str, shape: tuple[int, ...], dtype: str | np.dtype, unit: str | None = None
) -> h5py.Dataset:
    """Create an empty data set of rows of ``shape`` that grows along its first axis.

    Rows of more than half a page are compressed, each in a chunk of its own: a compressed chunk is never
    written twice, and one frame is read without its neighbours. Smaller rows share uncompressed chunks.
    """
    row_bytes = int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
    rows = max(1, _CHUNK_BYTES // row_bytes)
    packed = {"compression": "gzip", "shuffle": True} if rows == 1 else {}
    dataset = group.create_dataset(
        name, shape=(0, *shape), maxshape=(None, *shape), chunks=(rows, *shape), dtype=dtype, **packed
    )
    if unit is not None:
        dataset.attrs["unit"] = unit
    return dataset


def create_element(
    group: h5py.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    unit: str | None = None,
    steps_of: h5py.Group | None = None,
) -> h5py.Group:
    """Create the time-dependent element ``name``, a value of ``shape`` at each step.

    ``steps_of`` is the element whose ``step`` and ``time`` (fs) it shares; without it, they are made here.
    """
    element = group.create_group(name)
    create_rows(element, "value", shape, dtype, unit)
    if steps_of is None:
        create_rows(element, "step", (), "i8")
        create_rows(element, "time", (), "f8", "fs")
    else:
        element["step"] = steps_of["step"]
        element["time"] = steps_of["time"]
    return element


def describe_box(group: h5py.Group, periodic: np.ndarray) -> h5py.Group:
    """Create the box of a particles group, periodic (3,) or not, and return it; its ``box_edges`` are to follow."""
    box = group.create_group("box")
    box.attrs["dimension"] = 3
    boundary = ["periodic" if axis else "none" for axis in periodic]
    box.attrs["boundary"] = np.array(boundary, dtype=h5py.string_dtype())
    return box


def box_edges(cell: np.ndarray) -> np.ndarray:
    """Return a cell (3, 3) in Å as H5MD has it: three lengths for a cuboid, otherwise the vectors as rows."""
    lengths = np.diagonal(cell)
    return lengths.copy() if np.array_equal(cell, np.diag(lengths)) else np.array(cell)
