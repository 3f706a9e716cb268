"""ASE calculators from the input's words, and the one of ASE's that has to be told how far it looks."""

from __future__ import annotations

from importlib import import_module, metadata
from operator import attrgetter

from ase.calculators.calculator import BaseCalculator
from ase.calculators.eam import EAM

from mapmpi import calculators
from mapmpi.config import ForceField
from mapmpi.errors import UserError, why
from mapmpi.md.forcefield import found_file

ROOM = 0.01
"""Å beyond the cutoff within which pairs are listed."""


def make_calculator(forcefield: ForceField) -> BaseCalculator:
    """Return a new calculator of ``forcefield.ase``.

    Raises UserError where it is not installed, or its factory refuses the arguments. The force field is one that
    :func:`mapmpi.config.load` let pass: a ``module:factory`` runs whatever Python code it names.
    """
    assert forcefield.ase is not None
    name = forcefield.ase
    module, _, function = calculators.factory(name).partition(":")
    try:
        make = attrgetter(function)(import_module(module))
    except (ImportError, AttributeError) as error:
        remedy = f"install it (pip install {name})" if name in calculators.KNOWN else "install or correct it"
        raise UserError(f"forcefield.ase: {name} cannot be loaded ({error}); {remedy}.") from None
    arguments = {**forcefield.arguments}
    for key, value in calculators.files(name, arguments).items():
        arguments[key] = str(found_file(value))
    try:
        made = make(**arguments)
    except Exception as error:
        raise UserError(f"forcefield.arguments: {name} refuses them ({why(error)}); mend them.") from None
    if not hasattr(made, "get_property"):
        raise UserError(f"forcefield.ase: {name} gives a {type(made).__name__}, and no ASE calculator; give one.")
    return made


def eam(potential: str, form: str | None = None) -> EAM:
    """Return ASE's EAM for a file of LAMMPS's formats (``form``: eam, alloy, fs or adp; by default its ending).

    By itself it lists pairs up to twice the cutoff and the skin, eight times as many as there are within it.
    """
    made = EAM(potential=potential, form=form)
    made.parameters.skin = ROOM - 0.5 * made.cutoff  # on each atom's radius, which is the cutoff
    return made


def version(forcefield: ForceField) -> str:
    """Return the version of the package that a calculator comes from, as far as Python knows it."""
    assert forcefield.ase is not None
    package = calculators.factory(forcefield.ase).partition(".")[0].partition(":")[0]
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return package
