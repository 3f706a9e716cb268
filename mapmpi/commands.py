"""Which LAMMPS commands an input may hold: those that define forces, and none that run programs or write files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatch
from unicodedata import category

from mapmpi.errors import CONSENT

_COMMANDS = """
angle_coeff angle_style atom_modify bond_coeff bond_style comm_modify compute compute_modify dielectric
dihedral_coeff dihedral_style fix fix_modify group improper_coeff improper_style kspace_modify kspace_style
mass neigh_modify neighbor newton package pair_coeff pair_modify pair_style region set special_bonds
suffix variable
"""
COMMANDS = frozenset(_COMMANDS.split())
"""First words of commands that define forces."""

_FIXES = """
acks2/* addforce addtorque aveforce cmap dispersion/* drude efield efield/* gravity indent lineforce planeforce
polarize/* property/atom qeq/* qtpie/* rattle restrain setforce shake spring spring/* wall/*
"""
FIXES = tuple(_FIXES.split())
"""Fixes that are part of a force field; of the others many write files, open sockets or call Python."""

VARIABLES = frozenset(["atom", "delete", "equal", "index", "internal", "string", "vector"])
"""Variables that only compute; others run programs, call Python, or read files and the environment."""

CODE = frozenset(["mliap", "python", "kim", "plugin", "unified"])
"""Words of pair styles and computes that load and run code, or unpickle it."""

LETTERS = frozenset(["Lu", "Ll", "Lo", "Mn"])
"""Unicode's categories of signs that may stand in the name of a file, besides ASCII: letters and their accents."""

LONGEST = 1000
"""Characters; LAMMPS's lines are as long as they like, a mistake is longer."""

_ACCELERATED = re.compile(r"/(gpu|intel|kk|kk/device|kk/host|omp|opt)$")


def refusal(commands: Sequence[str], allowed: bool = False) -> str | None:
    """Return why one of the commands is not issued, as a half sentence that names it; None if all are.

    ``allowed`` lets everything pass that is one line.
    """
    for command in commands:
        if len(command) > LONGEST or not command.isprintable():
            return f"{command[:40]!r} is not one line of text; write one command an entry"
        if not allowed and (word := _forbidden(command)) is not None:
            return (
                f"{command[:80]!r} is refused, as {word!r} is not among what defines forces; leave it out, or "
                f"{CONSENT}"
            )
    return None


def _forbidden(command: str) -> str | None:
    """Return the word for which a command is refused, or None.

    LAMMPS takes quotes away and puts variables in before it looks at a word.
    """
    if "$" in command:
        return "$"
    for sign in command:  # LAMMPS takes some that look like a quote, a blank or a hyphen for one
        if not sign.isascii() and category(sign) not in LETTERS:
            return sign
    words = [word.strip("\"'") for word in command.split()] or [""]
    name, style = words[0], _ACCELERATED.sub("", words[3]) if len(words) > 3 else ""
    if name not in COMMANDS:
        return name
    if name in ("compute", "fix", "group", "variable"):
        for word in command.split()[1:4]:
            if word.count('"') % 2 or word.count("'") % 2:  # a name with blanks moves the style behind it
                return word
    if name == "fix" and not any(fnmatch(style, pattern) for pattern in FIXES):
        return words[3] if style else name
    if name == "variable" and (words[2:] or [""])[0] not in VARIABLES:
        return (words[2:] or [name])[0]
    return next((word for word in words if word.partition("/")[0] in CODE), None)
