"""Files of refined pathways: a tree of arrays and plain values in one HDF5 file, either whole or not there.

A nested dictionary becomes nested groups, an array a data set with its unit as an attribute, and a plain value an
attribute of its group. What the names mean is not known here, but to whoever makes the tree.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mapmpi.errors import UserError
from mapmpi.store.files import replace_file

KIND, VERSION = "pathway of mapmpi", 1
"""Attributes of the root by which a file of this kind is known."""


@dataclass(frozen=True)
class Quantity:
    """Numbers of any shape with their unit, empty for pure numbers; ``compact`` ones become float32, packed."""

    values: np.ndarray | float
    unit: str = ""
    compact: bool = False


def write_tree(path: Path, tree: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
    """Write a tree in place of the file ``path``, if there is one; ``attributes`` become the root's.

    Leaves are Quantities, arrays of numbers, numbers, strings, and sequences of strings or of numbers. Raises
    TypeError for anything else; the old file is then still there.
    """
    image = io.BytesIO()
    # This format has no limit on the size of an attribute; the older one has, at 64 kB.
    with h5py.File(image, "w", libver=("v110", "v110")) as file:
        for name, value in {**attributes, "kind": KIND, "version": VERSION}.items():
            _write_attribute(file, name, value)
        _write_group(file, tree)
    replace_file(path, lambda handle: handle.write(image.getvalue()))


def _write_group(group: h5py.Group, tree: Mapping[str, Any]) -> None:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            _write_group(group.create_group(name), value)
        elif isinstance(value, Quantity):
            _write_quantity(group, name, value)
        elif isinstance(value, np.ndarray):
            group.create_dataset(name, data=value)
        else:
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
    """Write a plain value; sequences of strings need their type told, or an empty one would be of numbers."""
    if isinstance(value, (list, tuple)) and all(isinstance(entry, str) for entry in value):
        group.attrs.create(name, np.array(value, dtype=object), dtype=h5py.string_dtype())
    else:
        group.attrs[name] = value


def read_tree(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the tree and the root's attributes of a file made by :func:`write_tree`.

    Data sets are arrays, without their units, or NumPy numbers; plain values are Python's, sequences of strings
    lists. Plain values at the tree's top are among the attributes. Raises UserError when the file is missing or of
    another kind.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a pathway of a run directory.")
    try:
        with h5py.File(path, "r", locking=False) as file:
            attributes = _read_attributes(file)
            if attributes.pop("kind", None) != KIND:
                raise UserError(f"{path} is not a pathway file of mapmpi; give one of a run's pathways.")
            if (version := attributes.pop("version", None)) != VERSION:
                raise UserError(
                    f"{path} is of version {version} and this mapmpi reads {VERSION}; refine the pathway anew."
                )
            return _read_members(file), attributes
    except (OSError, KeyError, RuntimeError):
        raise UserError(f"{path} is not a pathway file of mapmpi (not HDF5, or damaged).") from None


def _read_members(group: h5py.Group) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, member in group.items():
        if isinstance(member, h5py.Group):
            tree[name] = {**_read_attributes(member), **_read_members(member)}
        else:
            tree[name] = member[()]
    return tree


def _read_attributes(group: h5py.Group) -> dict[str, Any]:
    """Return a group's attributes as Python's strings, numbers and lists."""
    attributes = dict(group.attrs.items())
    return {
        name: value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value
        for name, value in attributes.items()
    }
