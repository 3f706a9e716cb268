"""Files of refined pathways: a tree of arrays and plain values in one HDF5 file, either whole or not there.

A nested dictionary becomes nested groups, an array a data set with its unit as an attribute, and a plain value an
attribute of its group. What the names mean is not known here, but to whoever makes the tree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mapmpi.errors import UserError, why
from mapmpi.store import durable
from mapmpi.store.codec import Quantity
from mapmpi.store.vetting import DEEPEST, ERRORS, Unsound, attribute, file_bytes, least_bytes, members
from mapmpi.yamltext import quoted

KIND, VERSION = "pathway of mapmpi", 3
"""Attributes of the root by which a file of this kind is known."""


def write_tree(path: Path, tree: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
    """Write a tree in place of the file ``path``, if there is one; ``attributes`` become the root's.

    Leaves are Quantities, arrays of numbers, numbers, strings, and sequences of strings or of numbers; None is left
    out. Raises TypeError for anything else; the old file is then still there.
    """
    with durable.replacing(path) as file:
        for name, value in {**attributes, "kind": KIND, "version": VERSION}.items():
            _write_attribute(file, name, value)
        _write_group(file, tree)


def _write_group(group: h5py.Group, tree: Mapping[str, Any]) -> None:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            _write_group(group.create_group(name), value)
        elif isinstance(value, Quantity):
            _write_quantity(group, name, value)
        elif isinstance(value, np.ndarray):
            group.create_dataset(name, data=value)
        elif value is not None:
            _write_attribute(group, name, value)


def _write_quantity(group: h5py.Group, name: str, quantity: Quantity) -> None:
    if quantity.compact:
        values = np.asarray(quantity.values, dtype="f4")
        dataset = group.create_dataset(name, data=values, compression="gzip", shuffle=True)
    else:
        dataset = group.create_dataset(name, data=quantity.values)
    if quantity.unit:
        dataset.attrs["unit"] = quantity.unit


def _write_attribute(group: h5py.Group, name: str, value: Any) -> None:
    """Write a plain value; texts with a fixed length, because HDF5 has no checksum for others (``vetting``)."""
    if isinstance(value, str):
        group.attrs.create(name, value.encode(), dtype=_text_type([value]))
    elif isinstance(value, (list, tuple)) and all(isinstance(entry, str) for entry in value):
        kind = _text_type(value)  # an empty sequence, too, would be of numbers without it
        group.attrs.create(name, np.array([entry.encode() for entry in value], dtype=kind), dtype=kind)
    else:
        group.attrs[name] = value


def _text_type(texts: Sequence[str]) -> np.dtype:
    return h5py.string_dtype("utf-8", max([1, *(len(text.encode()) for text in texts)]))


def read_tree(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the tree and the root's attributes of a file made by :func:`write_tree`.

    Data sets are arrays, without their units, or NumPy numbers; plain values are Python's, sequences of strings
    lists. Plain values at the tree's top are among the attributes. Raises UserError when the file is missing or of
    another kind.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a pathway of a run directory.")
    try:
        with durable.reading(path) as file:
            if attribute(file, "version") != VERSION:
                raise UserError(
                    f"{path} is of version {quoted(attribute(file, 'version'))} and this mapmpi reads {VERSION}; "
                    "refine the pathway anew."
                )
            attributes = _read_attributes(file)
            if attributes.pop("kind") != KIND or attributes.pop("version") != VERSION:
                raise Unsound("it is of another kind")
            return _Reading(file).members(file, 0), attributes
    except ERRORS as error:
        raise UserError(f"{path} is not a pathway file of mapmpi (not HDF5, or damaged: {why(error)}).") from None


class _Reading:
    """One pass over a file; all that it declares together must fit into the file."""

    def __init__(self, file: h5py.File) -> None:
        self._left = float(file_bytes(file))
        self._seen: set[int] = set()

    def members(self, group: h5py.Group, depth: int) -> dict[str, Any]:
        """Return a group's members. Raises Unsound for a member that is met twice, as in a group inside itself."""
        tree: dict[str, Any] = {}
        for name, member in members(group):
            place = h5py.h5o.get_info(member.id).addr
            if place in self._seen or depth > DEEPEST:
                raise Unsound(f"{member.name} is met twice or lies too deep")
            self._seen.add(place)
            if isinstance(member, h5py.Group):
                tree[name] = {**_read_attributes(member), **self.members(member, depth + 1)}
                continue
            self._left -= least_bytes(member)
            if self._left < 0.0:
                raise Unsound(f"{member.name} declares more than the file holds")
            tree[name] = member[()]
        return tree


def _read_attributes(group: h5py.Group) -> dict[str, Any]:
    return {name: attribute(group, name) for name in group.attrs}
