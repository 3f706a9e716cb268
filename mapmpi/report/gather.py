"""Everything that a run directory holds for a report, read with care; what cannot be read is a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from mapmpi.config import Config, Pneb, parse
from mapmpi.errors import UserError
from mapmpi.path.diffusion import Diffusion
from mapmpi.path.pathway import Pathway
from mapmpi.pneb.diffusion import FILE, read_diffusion
from mapmpi.pneb.table import Kinetics, kinetics
from mapmpi.report.energymap import Map, read_map
from mapmpi.report.stored import read_all, read_settings
from mapmpi.store.metrics import LEARNER_FIELDS, read_learner, read_metrics
from mapmpi.store.records import EPISODE
from mapmpi.store.rundir import RunDirectory

LOGS, LOG_LINES, LOG_BYTES = 64, 20, 1 << 20
"""Logs that are looked into, warnings that are kept, and bytes from the end of each log."""

_FORCES = re.compile(r"Forces: ReaxFF, (.*), titled “(.*)”\.")

Found = TypeVar("Found")


@dataclass
class Run:
    """What is known of a run. Tables are empty where nothing was trained; ``troubles`` are sentences."""

    directory: RunDirectory
    config: Config
    input_text: str
    facts: dict[str, str]
    """The comments at the head of config.yaml: versions, date, ranks, forces."""
    episodes: np.ndarray
    """(episodes,) of dtype EPISODE, in the order in which they ended."""
    learner: np.ndarray
    settings: Pneb
    """The input's, with prefactor and temperatures of the last ranking."""
    refined: list[Pathway]
    """The best first."""
    map: Map | None
    warnings: list[str]
    """The last warnings and errors in the logs."""
    troubles: list[str] = field(default_factory=list)
    diffusion: dict[tuple[float, str], Diffusion] = field(default_factory=dict)
    """D of a walker on the network, for each temperature in K and kind of nuclei."""

    @property
    def forces(self) -> str:
        """The force field in a few words."""
        if (match := _FORCES.fullmatch(self.facts.get("forces", ""))) is not None:
            return f"ReaxFF “{match[2]}” ({Path(match[1]).name})"
        forcefield = self.config.forcefield
        if forcefield.simulated is not None:
            return "a simulated engine (no result means anything)"
        if forcefield.ase is not None:
            return f"ASE’s calculator {forcefield.ase}"
        if forcefield.commands is not None:
            style = next(
                (line for line in forcefield.commands if line.startswith("pair_style")), "LAMMPS commands"
            )
            return f"LAMMPS’s {style.removeprefix('pair_style ')}"
        file = forcefield.reaxff_file
        return f"ReaxFF ({file.name if file is not None else 'ffield.reax of the installed LAMMPS'})"

    def times(self, one: Pathway, kelvin: float | None = None) -> Kinetics:
        """Return times and D of a pathway at a temperature, that of the ranking if none is given; NaN if unknown."""
        return kinetics(one, self.settings.prefactor, kelvin or self.settings.temperatures[0])

    @property
    def goals(self) -> np.ndarray:
        """The episodes that reached the goal."""
        return self.episodes[self.episodes["outcome"] == b"goal"]


def gather(path: Path, with_map: bool = True) -> Run:
    """Read a run directory. Raises UserError for what is none, or whose config.yaml cannot be read."""
    directory = RunDirectory.open(path)
    config, text = read_config(directory)
    troubles: list[str] = []

    def attempt(read: Callable[[], Found], otherwise: Found) -> Found:
        try:
            return read()
        except UserError as error:
            troubles.append(" ".join(str(error).split()))
        except OSError as error:
            troubles.append(f"{error.filename}: cannot read it ({error.strerror}).")
        return otherwise

    episodes, learner = np.empty(0, EPISODE), np.empty(0, [(name, "f8") for name in LEARNER_FIELDS])
    if directory.metrics.exists():
        episodes = attempt(lambda: read_metrics(directory.metrics), episodes)
    if directory.learner.exists():
        learner = attempt(lambda: read_learner(directory.learner), learner)
    settings, names = read_settings(directory, config)
    nothing: tuple[list[Pathway], list[str]] = ([], [])
    refined, unread = attempt(lambda: read_all(directory, settings, names), nothing)
    no_d: dict[tuple[float, str], Diffusion] = {}
    diffusion = attempt(lambda: read_diffusion(directory.pathways / FILE), no_d)
    found = attempt(lambda: read_map(directory, config, refined), None) if with_map else None
    return Run(
        directory=directory,
        config=config,
        input_text=text,
        facts=_facts(text),
        episodes=episodes[np.argsort(episodes["ended"], kind="stable")],
        learner=learner,
        settings=settings,
        refined=refined,
        map=found,
        warnings=attempt(lambda: _warnings(directory), []),
        troubles=troubles + unread,
        diffusion=diffusion,
    )


def read_config(directory: RunDirectory) -> tuple[Config, str]:
    """Return the input of a run and its text. Files that it names need not be there any more. Raises UserError."""
    try:
        return parse(directory.config), directory.config.read_text(encoding="utf-8")
    except UserError as error:
        first, *others = str(error).splitlines()
        more = f" ({len(others)} more such complaints)" if others else ""
        raise UserError(
            f"{first.removesuffix('.')}{more}; restore the file, or use the version that wrote it."
        ) from None


def _facts(text: str) -> dict[str, str]:
    """Return the comments at the head of a config.yaml by their names."""
    facts = {}
    for line in text.splitlines():
        if not line.startswith("# "):
            break
        name, colon, value = line[2:].partition(": ")
        if colon:
            facts[name] = value
    return facts


def _warnings(directory: RunDirectory) -> list[str]:
    """Return the last warnings and errors of the logs in the order of their times."""
    found: list[str] = []
    for file in sorted(directory.logs.glob("rank-*.log"))[:LOGS]:
        with open(file, "rb") as handle:
            handle.seek(max(0, file.stat().st_size - LOG_BYTES))
            lines = handle.read(LOG_BYTES).decode("utf-8", "replace").splitlines()
        found += [line for line in lines if " WARNING " in line or " ERROR " in line]
    return [line[:500] for line in sorted(found)[-LOG_LINES:]]
