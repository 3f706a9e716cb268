"""The input as a JSON Schema, for editors, and as the reference page of the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mapmpi.config.model import Config

DIALECT = "https://json-schema.org/draft/2020-12/schema"
LARGE = 1e6
"""Bounds from here on only keep nonsense out, and are not worth saying."""


def input_schema() -> dict[str, Any]:
    """Return the JSON Schema of an input file: what a user may write, with every description and default.

    pydantic's own, less the titles that it makes up from the names, and less the defaults of whole sections, which
    repeat those of their keys.
    """
    schema = Config.model_json_schema()
    for model in [schema, *schema["$defs"].values()]:
        model.pop("title", None)
        model["description"] = " ".join(model.get("description", "").split()).replace("``", "`")
        for entry in model["properties"].values():
            entry.pop("title", None)
            if "$ref" in entry:
                entry.pop("default", None)
    return {"$schema": DIALECT, "title": "Input of mapmpi", **schema}


def reference() -> str:
    """Return all keys of the input in Markdown: a heading for each section, and a table of its keys."""
    schema = input_schema()
    return "\n".join(_section(schema, schema, ""))


def _section(schema: dict[str, Any], model: dict[str, Any], path: str) -> Iterator[str]:
    """Yield the lines of a section and of all below it."""
    rows, below = [], []
    for name, entry in model["properties"].items():
        if "$ref" in entry:
            below.append((f"{path}{name}", _resolved(schema, entry)))
            continue
        below += [(f"{path}{name}", _resolved(schema, choice)) for choice in _choices(entry) if "$ref" in choice]
        default = json.dumps(entry.get("default"), ensure_ascii=False)
        default = "required" if name in model.get("required", []) else default.replace("null", "none")
        cells = (f"`{name}`", default, _values(schema, entry), entry["description"])
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    if rows:
        yield from ("| key | default | values | |", "|---|---|---|---|", *rows, "")
    for section, inner in below:
        yield from (f"{'#' * (2 + section.count('.'))} {section}", "", inner["description"], "")
        yield from _section(schema, inner, f"{section}.")


def _choices(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the kinds of values of which a key may hold any, where it has several."""
    choices = entry.get("anyOf") or entry.get("oneOf") or []
    return [kind for choice in choices for kind in _choices(choice) or [choice]]


def _resolved(schema: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """Return what an entry refers to, or the entry itself."""
    return schema["$defs"][entry["$ref"].rpartition("/")[2]] if "$ref" in entry else entry


def _values(schema: dict[str, Any], entry: dict[str, Any]) -> str:
    """Return what a key may hold, in words."""
    if "$ref" in entry:
        return "a section with " + ", ".join(f"`{name}`" for name in _resolved(schema, entry)["properties"])
    if choices := _choices(entry):
        return " or ".join(_values(schema, choice) for choice in choices if choice.get("type") != "null")
    if words := entry.get("enum") or ([entry["const"]] if "const" in entry else None):
        return ", ".join(f"`{word}`" for word in words)
    if entry["type"] == "array":
        items = entry.get("items") or entry["prefixItems"][0]
        size = f" of {entry['minItems']}" if "prefixItems" in entry else ""
        return f"list{size}: {_values(schema, items)}"
    if "pattern" in entry:
        return "duration" if ":" in entry["pattern"] else "text"
    kinds = {
        "integer": "whole number", "number": "number", "boolean": "`true`, `false`", "string": "text",
        "object": "keys and values",
    }  # fmt: skip
    kind = "path" if entry.get("format") == "path" else kinds[entry["type"]]
    return f"{kind}{_bounds(entry)}"


def _bounds(entry: dict[str, Any]) -> str:
    """Return between which numbers a value must lie, where the schema says so."""
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {entry[key]:g}" for key, sign in signs.items() if key in entry and abs(entry[key]) < LARGE]
    return f" {', '.join(found)}" if found else ""
