"""What is wrong with an input, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from pydantic import ValidationError

from mapmpi.config.model import Config
from mapmpi.config.nearest import nearest_key
from mapmpi.yamltext import quoted

COMPLAINTS = 20
"""Mistakes that are told at once."""


def complaint(path: Path, tree: Any, error: ValidationError, section: tuple[str, ...] = ()) -> str:
    """Return pydantic's complaints of a tree as one sentence a line, each with the key's path and what was found."""
    wishes: dict[str, list[str]] = {}
    findings: dict[str, str] = {}
    errors = error.errors()
    for item in errors[:COMPLAINTS]:
        place = _place(tree, item["loc"], item["type"] in ("extra_forbidden", "missing"))
        key = ".".join(part if _is_plain(part) else quoted(part) for part in (*section, *place))
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            meant = nearest_key(Config, place)
            advice = "look for a spelling mistake" if meant is None else f"did you mean {meant}?"
            message = f"unknown key; {advice} (`mapmpi keys` lists all)"
        elif item["type"] == "missing":
            message = "this key is required and missing; add it"
        elif not isinstance(item["input"], dict):
            findings[key] = f", found {quoted(item['input'])}"
        wishes.setdefault(key, []).append(message)  # several, where a key may hold values of several kinds
    lines = [
        f"{path}: {key or '(whole input)'}: {', or: '.join(messages)}{findings.get(key, '')}."
        for key, messages in wishes.items()
    ]
    if len(errors) > COMPLAINTS:
        lines.append(f"{path}: {len(errors) - COMPLAINTS} more mistakes of this kind; mend these first.")
    return "\n".join(lines)


def _place(tree: Any, location: Sequence[int | str], last_is_key: bool) -> list[int | str]:
    """Return the keys and indices of a place in the input, without pydantic's names for the kinds of a value.

    ``last_is_key`` where the last key is unknown, or missing.
    """
    place: list[int | str] = []
    for number, part in enumerate(location):
        if isinstance(tree, list):
            inside = isinstance(part, int) and part < len(tree)
        else:
            inside = isinstance(tree, Mapping) and part in tree
        if inside:
            tree = tree[part]
        if inside or (last_is_key and number == len(location) - 1):
            place.append(part)
    return place


def _is_plain(part: object) -> TypeGuard[str]:
    return isinstance(part, str) and part.isprintable() and len(part) < 80
