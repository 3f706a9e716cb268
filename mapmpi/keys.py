"""Every key of the input in words, from the models themselves."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from mapmpi.config import Config


def describe(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield a line for each key below a model: its path, its default, and what it means."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield f"\n{path}: {' '.join((kind.__doc__ or '').split())}"
            yield from describe(kind, path + ".")
            continue
        default = "required" if field.default is PydanticUndefined else f"{field.default!r}"
        yield f"  {path} = {default}" + (f"  # {field.description}" if field.description else "")


def main(argv: list[str] | None = None) -> int:
    """Print all keys, or those that contain one of the words."""
    for line in describe(Config):
        if not argv or any(word in line for word in argv):
            print(line)
    return 0
