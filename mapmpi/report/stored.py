"""The refined pathways of a run as a report needs them: the one place that knows how phase 2 keeps them."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from ase import Atoms

from mapmpi.config import Config
from mapmpi.errors import UserError
from mapmpi.path.basins import Matcher
from mapmpi.path.tst import Prefactor, diffusion_coefficient_cm2_s
from mapmpi.pneb import record
from mapmpi.pneb.figure import profile_figure
from mapmpi.pneb.table import PREFACTOR_TEXT, highest_barrier_ev, hop_status, kinetics, ranked, status
from mapmpi.store.rundir import RunDirectory

MOST_PATHWAYS = 40
"""So many files of pathways are read; phase 2 refines a few."""

_TIME = re.compile(r"time_s_([0-9.e+-]+)K")


@dataclass(frozen=True)
class Settings:
    """How rates follow from barriers: a prefactor, and temperatures in K, of which the first ranks."""

    prefactor: Prefactor
    temperatures: tuple[float, ...]

    @property
    def prefactor_text(self) -> str:
        """The prefactor in words."""
        return PREFACTOR_TEXT[self.prefactor]


@dataclass(frozen=True)
class Hop:
    """A hop of a pathway; ``first``, ``top`` and ``last`` are frames of its film, barriers in eV (NaN: not known)."""

    number: int
    name: str
    status: str
    """verified, not verified, or no saddle."""
    reason: str
    forward_ev: float
    backward_ev: float
    residual: float
    curvatures: tuple[float, float]
    first: int
    top: int | None
    last: int


@dataclass(frozen=True)
class Times:
    """At a temperature in K: the sum over the hops (Eq. 3) and the mean first-passage time in s, D of each, cm²/s."""

    kelvin: float
    time_s: float
    passage_s: float
    diffusion_cm2_s: float
    passage_diffusion_cm2_s: float


@dataclass(frozen=True)
class Place:
    """A minimum or saddle: positions (n, 3) Å and energy in eV; ``verified`` of a saddle."""

    positions: np.ndarray
    energy: float
    verified: bool = True


@dataclass(frozen=True)
class Refined:
    """A refined pathway as a film of f frames over all its basins and saddles, n atoms.

    positions (f, n, 3) Å unwrapped; energies (f,) eV above the first basin; way (f,) Å of the tagged atoms; kinds (f,)
    are basin, image or saddle. ``before`` is the stored profile: way in Å and energies in eV above the first basin.
    ``passes`` are all triples minimum, saddle, minimum that are known, those beside the pathway too.
    """

    record: Any
    atoms: Atoms
    positions: np.ndarray
    energies: np.ndarray
    way: np.ndarray
    kinds: list[str]
    hops: list[Hop]
    before: tuple[np.ndarray, np.ndarray] | None
    passes: list[tuple[Place, Place, Place]]

    @property
    def name(self) -> str:
        """Its name, which is its files'."""
        return str(self.record.name)

    @property
    def source(self) -> str:
        """What it was refined from."""
        return str(self.record.source)

    @property
    def notes(self) -> tuple[str, ...]:
        """What phase 2 has to say of it."""
        return tuple(self.record.notes)

    @property
    def tagged(self) -> list[int]:
        """Indices of the tagged atoms."""
        return list(self.record.tagged)

    @property
    def molecule(self) -> list[int]:
        """Indices of the molecule's atoms."""
        return list(self.record.molecule)

    @property
    def status(self) -> str:
        """Whether it is complete, in words."""
        return status(self.record)

    @property
    def verified(self) -> int:
        """How many of its saddles are verified."""
        return sum(hop.status == "verified" for hop in self.hops)

    @property
    def highest_barrier_ev(self) -> float:
        """The highest barrier that is known; NaN if none is."""
        return highest_barrier_ev(self.record)

    @property
    def length_A(self) -> float:
        """How far the tagged atoms come."""
        return float(self.record.length_A)

    @property
    def energy_zero_ev(self) -> float:
        """The energy of the first basin, in eV."""
        return float(self.record.basins[0].energy)

    def tagged_center(self) -> np.ndarray:
        """Return the center of mass of the tagged atoms in every frame, (f, 3) Å."""
        return center(self.positions, self.tagged, self.atoms)

    def times(self, settings: Settings, kelvin: float) -> Times:
        """Return the times at a temperature, NaN where a barrier is missing."""
        one = kinetics(self.record, settings.prefactor, kelvin)
        passage = one.passage_time_s
        known = math.isfinite(passage) and passage > 0
        other = diffusion_coefficient_cm2_s(self.length_A, passage) if known else math.nan
        return Times(kelvin, one.time_s, passage, one.diffusion_cm2_s, other)

    def draw_profile(self, path: Path) -> None:
        """Draw the profile before and after into a file (png, pdf, svg)."""
        with matplotlib.rc_context({"text.parse_math": False}):  # a name with dollar signs is no formula
            profile_figure(path, self.record)


def center(positions: np.ndarray, chosen: Sequence[int], atoms: Atoms) -> np.ndarray:
    """Return the center of mass of chosen atoms in frames (f, n, 3) Å, shape (f, 3)."""
    picked = list(chosen)
    return np.average(positions[:, picked], axis=1, weights=atoms.get_masses()[picked])


def read_refined(path: Path) -> Refined:
    """Return a pathway of RUN_DIR/pathways. Raises UserError when its file is damaged."""
    return refined(record.load(path))


def refined(pathway: Any) -> Refined:
    """Return a pathway of phase 2 as a film."""
    points, zero = pathway.basins, pathway.basins[0].energy
    frames, energies, kinds, hops = [points[0].positions], [points[0].energy], ["basin"], []
    barriers = zip(pathway.barriers_ev(), pathway.barriers_ev(backward=True), strict=True)
    for number, (hop, (forward, back)) in enumerate(zip(pathway.hops, barriers, strict=True), 1):
        first, last = len(frames) - 1, len(hop.band) - 1
        found = hop.saddle is not None
        for image in range(1, last):
            frames.append(hop.band[image])
            energies.append(hop.energies[image])
            kinds.append("saddle" if found and image == hop.top else "image")
        frames.append(points[number].positions)
        energies.append(points[number].energy)
        kinds.append("basin")
        top = first + hop.top if found and 0 < hop.top < last else None
        curvatures = float(hop.curvatures[0]), float(hop.curvatures[1])
        told = hop_status(hop), " ".join(hop.reason.split()), float(forward), float(back), float(hop.residual)
        hops.append(Hop(number, hop.name, *told, curvatures, first, top, len(frames) - 1))
    before = None
    if pathway.before is not None:
        before = np.asarray(pathway.before.progress), np.asarray(pathway.before.energies) - zero
    return Refined(
        record=pathway,
        atoms=pathway.atoms,
        positions=np.array(frames),
        energies=np.array(energies) - zero,
        way=np.asarray(pathway.progress(frames)),
        kinds=kinds,
        hops=hops,
        before=before,
        passes=_passes(pathway),
    )


def _passes(pathway: Any) -> list[tuple[Place, Place, Place]]:
    """Return all minima and saddles that a pathway knows, as triples minimum, saddle, minimum."""
    triples = list(zip(pathway.basins[:-1], pathway.hops, pathway.basins[1:], strict=True))
    triples += [(side.start, side.hop, side.end) for side in pathway.beside]
    found = []
    for start, hop, end in triples:
        if hop.saddle is not None:
            ends = Place(start.positions, float(start.energy)), Place(end.positions, float(end.energy))
            saddle = Place(hop.saddle.positions, float(hop.saddle.energy), bool(hop.verified))
            found.append((ends[0], saddle, ends[1]))
    return found


def read_settings(directory: RunDirectory, config: Config) -> tuple[Settings, list[str]]:
    """Return the prefactor and temperatures of the last ranking, and the names that it ranks.

    They are those of the input where nothing was ranked yet.
    """
    try:
        with open(directory.pathways / "pathways.csv", encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle, strict=True)
            rows = [row for row, _ in zip(reader, range(MOST_PATHWAYS), strict=False)]
        fields = [match[1] for name in reader.fieldnames or () if (match := _TIME.fullmatch(name or ""))]
        kelvins = tuple(value for value in map(float, fields) if 0.0 < value < 1e6)
        prefactor = rows[0]["prefactor"]
        if kelvins and prefactor in PREFACTOR_TEXT:
            return Settings(prefactor, kelvins), [row["name"] or "" for row in rows]
    except (OSError, ValueError, LookupError, csv.Error):
        pass
    return Settings(config.pneb.prefactor, tuple(config.pneb.temperatures)), []


def read_all(directory: RunDirectory, settings: Settings, names: Sequence[str]) -> tuple[list[Refined], list[str]]:
    """Return the refined pathways of a run by their rank, and a sentence for each file that cannot be read.

    ``names`` are those of the last ranking; what lies there besides is of other settings, unless it is newer than the
    ranking: then phase 2 is under way.
    """
    ranking = directory.pathways / "pathways.csv"
    files = sorted(directory.pathways.glob("*.h5"))
    if names:
        since = ranking.stat().st_mtime
        files = [file for file in files if file.stem in names or file.stat().st_mtime > since]
    found, troubles = [], []
    for file in files[:MOST_PATHWAYS]:
        try:
            found.append(read_refined(file))
        except UserError as error:
            troubles.append(str(error))
    order = ranked([one.record for one in found], settings.prefactor, settings.temperatures)
    places = {id(one): place for place, one in enumerate(order)}
    return sorted(found, key=lambda one: places[id(one.record)]), troubles


def matcher(one: Refined, config: Config) -> Matcher:
    """Return what tells when two structures of a run are the same, as phase 2 does."""
    atoms, held = one.atoms, bool(config.structure.fixed_atoms)
    limits = config.pneb.same_distance, config.pneb.same_energy
    return Matcher(atoms.numbers, atoms.cell.array, atoms.pbc, *limits, one.tagged, held)
