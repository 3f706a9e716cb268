"""Which key was meant by one that does not exist."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from pydantic import BaseModel

ALIKE = 0.7
"""How alike two names are, as difflib counts, for one to be a slip of the other."""


LONGEST = 60
"""Letters of a name."""


def nearest_key(model: type[BaseModel], location: Sequence[object]) -> str | None:
    """Return the path (a.b.c) of the key that was probably meant at a place of a model; None if none is near.

    First a key of the same section that is spelled alike, then one of that name elsewhere, then one spelled alike.
    """
    *section, name = map(str, location)
    if len(name) > LONGEST:  # no name of ours, and slow to compare
        return None
    paths = list(_paths(model))
    beside = {path[-1]: path for path in paths if list(path[:-1]) == section}
    if found := get_close_matches(name, beside, 1, ALIKE):
        return ".".join(beside[found[0]])
    elsewhere = {path[-1]: path for path in reversed(paths)}
    found = [name] if name in elsewhere else get_close_matches(name, elsewhere, 1, ALIKE)
    return ".".join(elsewhere[found[0]]) if found else None


def _paths(model: type[BaseModel], section: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each key and section below a model."""
    for name, field in model.model_fields.items():
        yield (*section, name)
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _paths(kind, (*section, name))
