"""Reads an input, or its section ``forcefield:``, checks it, and finds the files that it names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mapmpi import calculators, commands
from mapmpi.config.complaints import complaint
from mapmpi.config.material import ForceField
from mapmpi.config.model import PAPER, Config
from mapmpi.config.trees import merged, renamed, setting
from mapmpi.errors import CONSENT, ConsentError, UserError
from mapmpi.yamltext import quoted, read_yaml


def parse(source: Path | str | Mapping[str, Any], settings: Sequence[str] = ()) -> Config:
    """Return an input checked, with every default filled in, whether or not the files that it names are there.

    Arguments as those of :func:`load`. Raises UserError, a sentence a line.
    """
    path = _path_of(source)
    tree = dict(source) if isinstance(source, Mapping) else read_yaml(path)
    if not isinstance(tree, dict):
        raise UserError(f"{path}: expected keys and values (structure:, goal:, …), found {type(tree).__name__}.")
    tree = renamed(tree)
    for text in settings:
        tree = merged(tree, renamed(setting(text)))
    if tree.get("mode") == "paper":
        tree = merged(PAPER, tree)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise UserError(complaint(path, tree, error)) from None


def _path_of(source: Path | str | Mapping[str, Any]) -> Path:
    """Return an input's file; of a dictionary what stands for it in errors."""
    return Path("input") if isinstance(source, Mapping) else Path(source)


def load(
    source: Path | str | Mapping[str, Any],
    settings: Sequence[str] | None = None,
    structure_needed: bool = True,
    allow_commands: bool = False,
) -> Config:
    """Read an input file, or a dictionary like one, and return it checked, with every default filled in.

    Paths become absolute; those of a dictionary are relative to the working directory. ``settings`` are ``key=value``
    texts that go before the file. Without ``structure_needed`` the structure's file may be missing: a run directory
    holds the structure itself. With ``allow_commands`` the commands of the force field may be any of LAMMPS's, those
    that run programs among them, and its ASE calculator any Python code. Raises UserError for anything wrong.
    """
    path, config = _path_of(source), parse(source, settings or [])
    if structure_needed:
        config.structure.file = _existing(path, "structure.file", config.structure.file)
        if config.exploration.prior is not None:
            config.exploration.prior = _existing(path, "exploration.prior", config.exploration.prior)
    _settle_forces(path, config.forcefield, allow_commands)
    return config


def load_forcefield(
    source: Path | Mapping[str, Any], allow_commands: bool = False, name: str = "input"
) -> ForceField:
    """Return the ``forcefield:`` section of a YAML file, or a dictionary like it, checked as :func:`load` does.

    ``name`` is what errors call a dictionary. Raises UserError when there is none, or when it is wrong, or needs
    ``allow_commands``.
    """
    path = Path(name) if isinstance(source, Mapping) else source
    tree = {"forcefield": dict(source)} if isinstance(source, Mapping) else read_yaml(source)
    if not isinstance(tree, dict) or "forcefield" not in tree:
        raise UserError(f"{path}: expected YAML with a section forcefield:, found none.")
    try:
        forcefield = ForceField.model_validate(tree["forcefield"])
    except ValidationError as error:
        raise UserError(complaint(path, tree["forcefield"], error, ("forcefield",))) from None
    _settle_forces(path, forcefield, allow_commands)
    return forcefield


def _settle_forces(path: Path, forcefield: ForceField, allowed: bool) -> None:
    """Make the paths of a force field absolute; refuse what is not there, and what needs consent."""
    if (reason := commands.refusal(forcefield.commands or [], allowed)) is not None:
        raise _refused(f"{path}: forcefield.commands: {reason}.")
    if forcefield.reaxff_file is not None:
        beside, bare = path.parent / forcefield.reaxff_file, forcefield.reaxff_file.name.startswith("ffield.reax.")
        # a name such as ffield.reax.cho is looked for among the files of the installed LAMMPS
        if os.path.isfile(beside) or not bare or len(forcefield.reaxff_file.parts) > 1:
            forcefield.reaxff_file = _existing(path, "forcefield.reaxff_file", forcefield.reaxff_file)
    if forcefield.ase is None:
        return
    if (reason := calculators.refusal(forcefield.ase, forcefield.arguments, allowed)) is not None:
        raise _refused(f"{path}: forcefield.ase: {reason}.")
    for key, value in calculators.files(forcefield.ase, forcefield.arguments).items():
        beside = path.parent / value
        if os.path.isfile(beside):  # else it is looked for among those of the installed LAMMPS
            forcefield.arguments[key] = str(beside.resolve())


def _refused(sentence: str) -> UserError:
    """Return the error for a force field that is not taken: some are not whoever allows them."""
    return (ConsentError if CONSENT in sentence else UserError)(sentence)


def _existing(input_path: Path, key: str, file: Path) -> Path:
    """Return the file as seen from the input file's folder; raise UserError when it is not there."""
    if not os.path.isfile(found := input_path.parent / file):  # False, too, for names that no file can have
        raise UserError(
            f"{input_path}: {key}: no file {quoted(str(found))}; paths are relative to the input file."
        )
    return found.resolve()
