"""Records as trees of plain values and arrays, and back: what journals and pathway files hold.

A record is a dataclass or a named tuple. It becomes a dictionary of its fields with its class's name as ``type``; an
number or array whose unit stands in the field's declaration, as in ``energy: Annotated[float, "eV"]``, becomes a
Quantity. What is read back may come from anywhere, so every value has to be what its field's annotation says.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np


@dataclass(frozen=True)
class Quantity:
    """Numbers of any shape with their unit, empty for pure numbers; ``compact`` ones become float32, packed."""

    values: np.ndarray | float
    unit: str = ""
    compact: bool = False


COMPACT = "compact"
"""Behind a unit: the field's array is kept as float32, packed."""


def is_record(value: Any) -> bool:
    """Tell whether a value, or a class, is a record."""
    return is_dataclass(value) or hasattr(value, "_fields")


@cache
def _declared(kind: Any) -> dict[str, tuple[Any, tuple[str, ...]]]:
    """Return the annotation of each field of a kind of record, and its unit and more, if it has one."""
    hints = get_type_hints(kind, include_extras=True)
    names = [one.name for one in fields(kind)] if is_dataclass(kind) else kind._fields
    found = {}
    for name in names:
        marks = getattr(hints[name], "__metadata__", ())
        found[name] = get_args(hints[name])[0] if marks else hints[name], marks
    return found


def flat(value: Any) -> Any:
    """Return a record, or a tuple or list of records and plain values, as a tree."""
    if is_record(value):
        kind: Any = type(value)
        tree: dict[str, Any] = {"type": kind.__name__}
        for name, (_, marks) in _declared(kind).items():
            one = flat(getattr(value, name))
            tree[name] = Quantity(one, marks[0], COMPACT in marks) if marks else one
        return tree
    if isinstance(value, tuple):
        return {"type": "tuple", "items": [flat(one) for one in value]}
    return [flat(one) for one in value] if isinstance(value, list) else value


def built(tree: Any, kinds: Mapping[str, type]) -> Any:
    """Return what :func:`flat` took apart; ``kinds`` are the records that may occur, by the names of their classes.

    A field that is missing has its default, or None where it may be. Raises ValueError, TypeError or LookupError for
    what is none of these.
    """
    if isinstance(tree, list):
        return [built(one, kinds) for one in tree]
    if not isinstance(tree, Mapping):
        return tree
    if tree["type"] == "tuple":
        return tuple(built(one, kinds) for one in tree["items"])
    kind = kinds[tree["type"]]
    values = {}
    for name, (hint, marks) in _declared(kind).items():
        if name in tree or types.NoneType in get_args(hint):
            value = built(tree.get(name), kinds)
            values[name] = _checked(name, value.astype(float) if COMPACT in marks else value, hint)
    return kind(**values)


def _checked(name: str, value: Any, hint: Any) -> Any:
    """Return a field's value, a number as its annotation has it. Raises ValueError if it is something else."""
    kind = hint
    if isinstance(hint, types.UnionType):  # with None
        if value is None:
            return None
        kind = get_args(hint)[0]
    if get_origin(kind) is Literal:
        if value in get_args(kind):
            return value
    elif kind in (int, float):
        if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
            return kind(value)
    elif isinstance(value, get_origin(kind) or kind):
        return value
    raise ValueError(f"{name} is {type(value).__name__}")
