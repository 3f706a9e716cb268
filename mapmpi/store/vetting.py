"""Whether what an HDF5 file declares can be true, before anything is read from it.

All metadata of a file that mapmpi writes carry checksums but one kind: the heap of variable-length strings. A flipped
byte there makes HDF5 search for ever, in C, where nothing stops it; so mapmpi reads no such strings, and they are
refused. So is what leads out of the file (external and soft links, external and virtual storage), a group inside
itself, every filter but HDF5's own packing, and a size that the file cannot hold.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

PACKING = 1032
"""zlib makes no more than so many bytes of one."""

DEEPEST = 8
"""Levels of groups."""

ERRORS = (OSError, KeyError, ValueError, RuntimeError, TypeError, OverflowError, MemoryError)
"""What h5py raises when it meets damaged bytes."""


class Unsound(ValueError):
    """A file declares what cannot be true; the message is half a sentence."""


def file_bytes(file: h5py.File) -> int:
    """Return the size of an open file."""
    return os.fstat(file.id.get_vfd_handle()).st_size


def members(group: h5py.Group) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    """Yield names and members of a group. Raises Unsound for a link that leads elsewhere."""
    for name in group:
        if group.id.links.get_info(os.fsencode(name)).type != h5py.h5l.TYPE_HARD:
            raise Unsound(f"{name!r} is a link to elsewhere")
        member = group[name]
        if not isinstance(member, (h5py.Group, h5py.Dataset)):
            raise Unsound(f"{name!r} is neither a group nor a data set")
        yield name, member


def member(file: h5py.File, path: str) -> h5py.Dataset:
    """Return the data set at a path of the file. Raises Unsound when it is none or a link leads out of the file."""
    here: Any = file
    for name in path.split("/"):
        if not isinstance(here, h5py.Group) or not here.id.links.exists(name.encode()):
            raise Unsound(f"it has no {path}")
        if here.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
            raise Unsound(f"{path} lies elsewhere")
        here = here[name]
    if not isinstance(here, h5py.Dataset):
        raise Unsound(f"{path} is not a data set")
    return here


def least_bytes(dataset: h5py.Dataset, rows: int | None = None) -> float:
    """Return what a data set, or its first rows, takes in the file at the least.

    Raises Unsound for one that is stored elsewhere, or holds anything but numbers and records of them.
    """
    name, plan = dataset.name, dataset.id.get_create_plist()
    if plan.get_layout() == h5py.h5d.VIRTUAL or plan.get_external_count():
        raise Unsound(f"{name} is stored elsewhere")
    filters = {plan.get_filter(number)[0] for number in range(plan.get_nfilters())}
    if not filters <= {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE}:
        raise Unsound(f"{name} is packed in a way that mapmpi does not use")
    if dataset.shape is None or dataset.dtype.kind not in "biufV" or dataset.dtype.hasobject:
        raise Unsound(f"{name} holds no numbers")
    shape = dataset.shape if rows is None else (rows, *dataset.shape[1:])
    count = max(math.prod(shape), math.prod(dataset.chunks or (0,)) if math.prod(shape) else 0)
    return count * dataset.dtype.itemsize / (PACKING if h5py.h5z.FILTER_DEFLATE in filters else 1)


def attribute(owner: h5py.Group, name: str) -> Any:
    """Return an attribute as Python's strings, numbers and lists.

    Raises KeyError when there is none, Unsound when it is neither numbers nor text of fixed length.
    """
    found = owner.attrs.get_id(name)
    if found.dtype.kind not in "biufS" or found.get_space().get_simple_extent_type() == h5py.h5s.NULL:
        raise Unsound(f"the attribute {name!r} of {owner.name} is neither numbers nor text of fixed length")
    if math.prod(found.shape) * found.dtype.itemsize > file_bytes(owner.file):
        raise Unsound(f"the attribute {name!r} of {owner.name} declares more than the file holds")
    value = owner.attrs[name]
    return _plain(value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value.decode() if isinstance(value, bytes) else value
