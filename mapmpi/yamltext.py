"""YAML that somebody else wrote: read within limits, and quoted in messages without flooding the terminal."""

from __future__ import annotations

import re
import reprlib
from pathlib import Path
from typing import Any

import yaml

from mapmpi.errors import UserError
from mapmpi.limits import TooCostly, limited

LARGEST = 512 << 10
"""Bytes of an input file; a list of 50,000 atoms fits."""

S_PER_MB = 40.0
"""What each MB may take to read: PyYAML's reader in Python took 5.5 s where it was measured; others are slower."""

_WHOLE = re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$")


class _Loader(yaml.SafeLoader):
    """YAML's safe loader without numbers to the base of sixty: 12:00 is a time, as 08:00 is, and not 720."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, _WHOLE if tag == "tag:yaml.org,2002:int" else pattern) for tag, pattern in resolvers]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


_SHORT = reprlib.Repr()
_SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 200, 80, 80
_SHORT.maxlevel = 3


def quoted(value: Any) -> str:
    """Return a value as Python writes it, shortened to what fits into a sentence."""
    try:
        return " ".join(_SHORT.repr(value).split())
    except ValueError:  # Python writes no number of more than 4300 digits
        return f"a {type(value).__name__} of very many digits"


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds. Raises UserError when it cannot be read, or is no YAML."""
    try:
        with open(path, "rb") as handle:
            data = handle.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise UserError(f"{path}: expected a YAML file of {LARGEST >> 10} kB at most, found a larger one.")
        return parse_yaml(data.decode("utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot read the input file ({error.strerror}); give an existing file.") from None
    except ValueError as error:
        raise UserError(f"{path}: not a YAML file: {' '.join(str(error).split())}.") from None


def parse_yaml(text: str) -> Any:
    """Return what a YAML text holds. Raises ValueError when it is none, or takes long to read."""
    try:
        with limited(len(text), S_PER_MB):
            return yaml.load(text, Loader=_Loader)  # a SafeLoader: only plain values
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    # dates such as 2026-99-99, whole numbers of 5000 digits and others fail in their own ways
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, OverflowError, TooCostly) as error:
        raise ValueError(" ".join(str(error).split())[:300] or type(error).__name__) from None
