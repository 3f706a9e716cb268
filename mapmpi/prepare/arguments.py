"""The command line of ``mapmpi prepare``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mapmpi.config import ForceField, load_forcefield
from mapmpi.errors import of_option
from mapmpi.parser import Parser
from mapmpi.structures.insert import START
from mapmpi.structures.labyrinth import DISTANCE, LENGTH, OBSTACLES

EXAMPLE = """COMMAND --help has an example of each: mapmpi prepare silica --help"""

SILICA = """example:
  mapmpi prepare silica --formula-units 64 --insert H2O --output glass.data"""

INSERT = """example:
  mapmpi prepare insert crystal.cif --molecule O2 --axis z --output start.data"""


def _number(kind: Callable[[str], float], least: float, text: str) -> Callable[[str], float]:
    """Return an argparse type for finite numbers of at least, or for ``float`` above, ``least``."""

    def convert(word: str) -> float:
        value = kind(word)
        if not (value < float("inf") and (value > least or (kind is int and value == least))):
            raise argparse.ArgumentTypeError(f"{word} is not {text}")
        return value

    convert.__name__ = text  # argparse names it when the word is no number at all
    return convert


POSITIVE = _number(float, 0.0, "a positive number")
COUNT = _number(int, 1, "a whole number of at least 1")
SEED = _number(int, 0, "a whole number of at least 0")


def _placing(command: argparse.ArgumentParser) -> None:
    """Add the options that say where a molecule goes and what is written."""
    add = command.add_argument
    add("--axis", choices="xyz", default="x", help="cell vector across the start plane (default x)")
    slab = f"the void's slab along it (default {START[0]} {START[1]})"
    add("--start", nargs=2, type=float, default=START, metavar=("LOW", "HIGH"), help=slab)
    add("--seed", type=SEED, default=1, help="of all random numbers (default 1)")
    add("--forcefield", type=Path, metavar="FILE", help="YAML file with a forcefield: section")
    written = "to write; an extxyz file comes beside it"
    add("--output", type=Path, required=True, metavar="FILE.data", help=written)
    add("--allow-commands", action="store_true", help="let it hold any LAMMPS command or Python code")
    add("--force", action="store_true", help="overwrite existing files")
    command.set_defaults(no_relax=False)


def _structure(command: argparse.ArgumentParser) -> None:
    """Add the arguments that name an existing structure."""
    command.add_argument("structure", type=Path, help="a LAMMPS data file, or any file that ASE reads")
    elements = "of the atom types in order (default: by mass)"
    command.add_argument("--elements", nargs="+", metavar="SYMBOL", help=elements)


def _labyrinth(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command that makes a labyrinth."""
    labyrinth = commands.add_parser(
        "labyrinth", help="obstacles whose lowest pass is known",
        description="Frozen random Lennard-Jones obstacles and a tracer. Writes OUTPUT.data, the input OUTPUT.yaml, "
        "and OUTPUT.truth.json with the lowest possible highest energy of a way to the goal, and that way.",
        epilog="example: mapmpi prepare labyrinth maze --seed 1",
    )  # fmt: skip
    add = labyrinth.add_argument
    add("output", type=Path, metavar="OUTPUT", help="name of the files, without an ending")
    add("--seed", type=SEED, default=1, help="of all random numbers (default 1)")
    add("--obstacles", type=COUNT, default=OBSTACLES, help=f"how many (default {OBSTACLES})")
    add("--length", type=POSITIVE, default=LENGTH, help=f"edge of the cubic cell in Å (default {LENGTH:g})")
    add("--distance", type=POSITIVE, default=DISTANCE, help=f"to the goal, in Å along +x (default {DISTANCE:g})")
    add("--force", action="store_true", help="overwrite existing files")


def _crystals(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the commands that make a crystal with an atom that hops."""
    vacancy = commands.add_parser(
        "vacancy", help="a vacancy in a crystal, and its input",
        epilog="example: mapmpi prepare vacancy Cu copper-vacancy --eam Cu_mishin1.eam.alloy",
    )  # fmt: skip
    interstitial = commands.add_parser(
        "interstitial", help="a small atom in a crystal, and its input",
        epilog="example: mapmpi prepare interstitial Ni H nickel-hydrogen --eam NiAlH_jea.eam.alloy --repeat 3",
    )  # fmt: skip
    slab = commands.add_parser(
        "slab", help="an adatom on a slab, and its input",
        usage="%(prog)s ELEMENT OUTPUT --eam FILE [options]",
        epilog="example: mapmpi prepare slab Cu copper-slab --facet 111 --eam Cu_mishin1.eam.alloy",
    )  # fmt: skip
    for command in (vacancy, interstitial, slab):
        add = command.add_argument
        add("element", help="of the crystal, for example Cu; it must be fcc, bcc or diamond")
        if command is interstitial:
            add("guest", help="element of the atom between the sites, for example H")
        add("output", type=Path, metavar="OUTPUT", help="name of both files, without an ending")
        forces = command.add_mutually_exclusive_group(required=True)
        forces.add_argument("--eam", metavar="FILE", help="eam/alloy file, yours or one of the installed LAMMPS")
        forces.add_argument("--forcefield", type=Path, metavar="FILE", help="YAML file with a forcefield: section")
        add("--allow-commands", action="store_true", help="let FILE hold any LAMMPS command")
        add("--lattice", type=POSITIVE, help="lattice constant in Å (default: that of the least energy)")
        add("--repeat", type=COUNT, default=4, help="cells along each axis (default 4)")
        add("--force", action="store_true", help="overwrite existing files")
    slab.add_argument("--facet", choices=("100", "111"), default="100", help="of the surface (default 100)")
    slab.add_argument("--layers", type=COUNT, default=4, help="of atoms (default 4)")
    held = "of the lowest layers, how many never move (default 2)"
    slab.add_argument("--fixed", type=COUNT, default=2, help=held)


def _polymer(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command that makes a polymer."""
    polymer = commands.add_parser(
        "polyethylene", help="amorphous polyethylene",
        description="Straight chains in a wide cell are compressed step by step in hot dynamics, cooled and relaxed.",
        usage="%(prog)s --output FILE.data [options]",
        epilog="example: mapmpi prepare polyethylene --chains 5 --carbons 14 --insert O2 "
        "--forcefield cho.yaml --output polyethylene.data",
    )  # fmt: skip
    add = polymer.add_argument
    add("--chains", type=COUNT, default=5, help="how many (default 5)")
    add("--carbons", type=COUNT, default=14, help="in each (default 14)")
    add("--density", type=POSITIVE, default=0.85, help="without the molecule, g/cm³ (default 0.85)")
    add("--insert", metavar="MOLECULE", help="O2, another name that ASE knows, or a file")
    _placing(polymer)


def _siloxane(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command that makes a strained siloxane with water beside it."""
    siloxane = commands.add_parser(
        "siloxane", help="water by a strained Si–O ring, and its input",
        description="A hydroxylated ring (SiO(OH)2)n whose far end is held, and a water molecule beside it.",
        epilog="example: mapmpi prepare siloxane siloxane-water --members 2",
    )  # fmt: skip
    add = siloxane.add_argument
    add("output", type=Path, metavar="OUTPUT", help="name of both files, without an ending")
    add("--members", type=int, choices=(2, 3), default=2, help="silicon atoms of the ring (default 2)")
    forces = "YAML file with a forcefield: section (default ReaxFF)"
    add("--forcefield", type=Path, metavar="FILE", help=forces)
    add("--allow-commands", action="store_true", help="let FILE hold any LAMMPS command")
    add("--force", action="store_true", help="overwrite existing files")


def _probe(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command that measures good settings."""
    probe = commands.add_parser(
        "probe", help="good settings, measured on your input",
        description="Drags the molecule of an input straight on with several settings, and proposes the cheapest "
        "whose climb is that of a careful drag: a part of an input, with the figures as comments.",
        epilog="example: mapmpi prepare probe input.yaml --output probed.yaml",
    )  # fmt: skip
    add = probe.add_argument
    add("input", type=Path, help="input file, as for a training")
    add("--length", type=POSITIVE, help="Å to drag (default: to the goal, at most 4)")
    key = "override a key of the input"
    add("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help=key)
    add("--output", type=Path, metavar="FILE.yaml", help="to write what is proposed to")
    add("--allow-commands", action="store_true", help="let the input hold any LAMMPS command")
    add("--force", action="store_true", help="overwrite an existing file")


def parser() -> argparse.ArgumentParser:
    """Return the parser; its namespace has ``command`` and that command's options."""
    raw = partial(argparse.RawDescriptionHelpFormatter, max_help_position=26)  # fits a terminal of 80 columns
    top = Parser(
        prog="mapmpi prepare", description="Make the structure that a path is to be found in.",
        epilog=EXAMPLE, formatter_class=raw,
    )  # fmt: skip
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    silica = commands.add_parser(
        "silica", help="silica glass by melt–quench",
        description="Random SiO2 is melted at 4000 K for 10 ps and cooled to 300 K (Vashishta\n"
        "potential), then relaxed (ReaxFF).", epilog=SILICA, formatter_class=raw,
        usage="%(prog)s --formula-units N --output FILE [options]",
    )  # fmt: skip
    silica.add_argument("--formula-units", type=COUNT, required=True, metavar="N", help="number of SiO2")
    size = silica.add_mutually_exclusive_group()
    size.add_argument("--density", type=POSITIVE, default=2.20, help="of the glass, g/cm³ (default 2.20)")
    size.add_argument("--length", type=POSITIVE, help="edge of the cubic cell in Å, instead of a density")
    silica.add_argument("--rate", type=POSITIVE, default=50.0, help="of cooling, K/ps (default 50)")
    silica.add_argument("--insert", metavar="MOLECULE", help="H2O, another name that ASE knows, or a file")
    _placing(silica)

    insert = commands.add_parser(
        "insert", help="a molecule into a void of your structure",
        description="Puts a molecule where there is most room near the start plane, and relaxes.",
        epilog=INSERT, formatter_class=raw, usage="%(prog)s STRUCTURE --output FILE [options]",
    )  # fmt: skip
    _structure(insert)
    molecule = "H2O (default), a name ASE knows, or a file"
    insert.add_argument("--molecule", dest="insert", default="H2O", metavar="MOLECULE", help=molecule)
    insert.add_argument("--no-relax", action="store_true", help="leave all atoms where they are")
    _placing(insert)

    _labyrinth(commands)
    _crystals(commands)
    _polymer(commands)
    _siloxane(commands)
    _probe(commands)

    report = commands.add_parser(
        "report", help="coordination, defects … of silica",
        epilog="example: mapmpi prepare report glass.data",
    )  # fmt: skip
    _structure(report)
    report.add_argument("--json", action="store_true", help="as JSON")
    return top


def read_forcefield(file: Path | None, allow_commands: bool = False) -> ForceField:
    """Return the ``forcefield:`` section of a YAML file (ReaxFF without a file).

    Raises UserError when there is none, or when it is wrong, or has commands that need ``allow_commands``.
    """
    if file is None:
        return ForceField()
    with of_option("--forcefield"):
        return load_forcefield(file, allow_commands)
