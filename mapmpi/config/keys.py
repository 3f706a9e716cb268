"""Every key of the input in words, from the models themselves."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from textwrap import fill

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from mapmpi.config.model import Config
from mapmpi.config.schema import input_schema
from mapmpi.panel import WIDTH
from mapmpi.parser import Parser


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


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = Parser(
        prog="mapmpi keys",
        description="List every key of the input with its default, unit and meaning, or those whose line has a word.",
        epilog="examples: mapmpi keys pneb; mapmpi keys rewards tether; mapmpi keys --schema > schema.json",
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="part of a key's name or of its description")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of the input, for editors")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Print all keys, or those that contain one of the words, or the input's JSON Schema."""
    args = make_parser().parse_args(argv)
    if args.schema:
        print(json.dumps(input_schema(), indent=2, ensure_ascii=False))
        return 0
    for line in describe(Config):
        if not args.words or any(word in line for word in args.words):
            indent = " " * (8 if line.startswith(" ") else 2)
            print(*(fill(part, WIDTH, subsequent_indent=indent) for part in line.split("\n")), sep="\n")
    return 0
