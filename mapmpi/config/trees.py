"""Inputs as they are read, before they are checked: dictionaries in dictionaries."""

from __future__ import annotations

from typing import Any

from mapmpi.errors import UserError
from mapmpi.yamltext import parse_yaml, quoted

RENAMED = {
    "minimum_force": ("quench", "force"),
    "minimum_calls": ("quench", "calls"),
    "saddle_force": ("saddle", "force"),
    "saddle_calls": ("saddle", "calls"),
    "first_band": ("band", "first"),
    "image_spacing": ("band", "spacing"),
    "max_images": ("band", "images"),
    "searches": ("connect", "searches"),
    "searches_at_once": ("connect", "at_once"),
}
"""Keys of ``pneb`` that inputs and run directories of before have, and what they are called now."""


def renamed(tree: dict[str, Any]) -> dict[str, Any]:
    """Return an input, or the settings of a pathway, in which the keys of ``pneb`` have their present names."""
    if not isinstance(tree.get("pneb"), dict):
        return tree
    pneb: dict[str, Any] = {}
    for key, value in tree["pneb"].items():
        section, name = RENAMED.get(key, (key, None))
        pneb = merged(pneb, {section: value if name is None else {name: value}})
    return {**tree, "pneb": pneb}


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` laid over it, section by section."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def setting(text: str) -> dict[str, Any]:
    """Turn ``a.b.c=value`` into ``{a: {b: {c: value}}}``; the value is read as YAML."""
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        raise UserError(f"setting {quoted(text)}: expected key=value, for example train.stop.wall_time=60s.")
    try:
        tree = parse_yaml(value)
    except ValueError:
        raise UserError(
            f"setting {quoted(text)}: {quoted(value)} is not YAML; write it as in the input file."
        ) from None
    for part in reversed(key.split(".")):
        tree = {part: tree}
    return tree
