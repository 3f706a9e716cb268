"""Which ASE calculators an input may name: those that compute from numbers, and none that runs code of its choosing.

The names are short for a factory in a module. Any other calculator is written ``module:factory``, which imports
and calls whatever Python finds there: it needs the consent that LAMMPS commands need which run programs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mapmpi.errors import CONSENT


@dataclass(frozen=True)
class Known:
    """A calculator that needs no consent: its factory, and the keyword arguments that it may be given.

    Arguments of a calculator that are not listed may name files that are unpickled, or programs. ``files`` are those
    whose value is a file of plain text.
    """

    factory: str
    arguments: frozenset[str] = field(default_factory=frozenset)
    files: frozenset[str] = field(default_factory=frozenset)


KNOWN = {
    "emt": Known("ase.calculators.emt:EMT", frozenset({"asap_cutoff"})),
    "eam": Known("mapmpi.md.ase_calculators:eam", frozenset({"potential", "form"}), frozenset({"potential"})),
    "lj": Known("ase.calculators.lj:LennardJones", frozenset({"sigma", "epsilon", "rc", "ro", "smooth"})),
    "morse": Known("ase.calculators.morse:MorsePotential", frozenset({"epsilon", "r0", "rho0", "rcut1", "rcut2"})),
    "chgnet": Known("chgnet.model.dynamics:CHGNetCalculator", frozenset({"use_device"})),
}
"""Calculators by their names."""


def factory(name: str) -> str:
    """Return the ``module:factory`` of a calculator's name, which may be one itself."""
    return KNOWN[name].factory if name in KNOWN else name


def files(name: str, arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return those of a calculator's arguments that are names of files of parameters."""
    known = KNOWN[name].files if name in KNOWN else frozenset()
    return {key: value for key, value in arguments.items() if key in known and isinstance(value, str)}


def refusal(name: str, arguments: Mapping[str, Any], allowed: bool = False) -> str | None:
    """Return why a calculator is not made, as a half sentence that names it; None if it is.

    ``allowed`` lets every factory and every argument pass.
    """
    module, colon, function = name.partition(":")
    if name not in KNOWN and not (colon and _is_dotted(module) and _is_dotted(function)):
        return f"{name[:80]!r} is no calculator known here; give {', '.join(KNOWN)}, or module:factory"
    if allowed:
        return None
    if name not in KNOWN:
        return f"{name[:80]!r} may run any Python code; give one of {', '.join(KNOWN)}, or {CONSENT}"
    for key, value in arguments.items():
        if key not in KNOWN[name].arguments or not isinstance(value, str | int | float | bool):
            free = ", ".join(sorted(KNOWN[name].arguments))
            return (
                f"{name}'s argument {str(key)[:80]!r} is not among those that only compute ({free}); leave it out, or "
                f"{CONSENT}"
            )
    return None


def _is_dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))
