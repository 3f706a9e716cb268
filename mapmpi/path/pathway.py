"""A refined pathway: the basins it visits, a hop over a saddle between each two, and the times that follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Annotated

import numpy as np
from ase import Atoms

from mapmpi.climb import Heights
from mapmpi.path.barrier import Barrier
from mapmpi.path.matching import Alignment, StationaryPoint
from mapmpi.path.saddle import Saddle
from mapmpi.path.tst import (
    Prefactor,
    diffusion_coefficient_cm2_s,
    log_rate,
    mean_first_passage_time_s,
    pathway_time_s,
    prefactor_hz,
)
from mapmpi.store.codec import COMPACT


@dataclass(frozen=True)
class Hop:
    """From one basin of a pathway to the next.

    ``saddle`` is None where none was found, and ``reason`` then says why (``not converged: …``); it also says what
    is wrong with a saddle that was not ``verified``. ``band`` (m, n, 3) Å, with ``energies`` (m,) eV, leads from the
    basin over the saddle (``top``, its number) to the next basin: the ways down from the saddle; without a
    saddle it is the first band. ``curvatures`` (2,) eV/Å² are the two lowest at the saddle, ``residual`` the largest
    force there in eV/Å. ``name`` says what moves, ``remote`` that this is far from the molecule. The two
    prefactors are Vineyard's, NaN where they were not asked for or have none; with them come the frequencies (k,) of
    the atoms that move, in the basin, at the saddle (the imaginary one negative) and in the next basin.
    """

    band: Annotated[np.ndarray, "Angstrom", COMPACT]
    energies: Annotated[np.ndarray, "eV"]
    top: int
    name: str
    remote: bool
    saddle: Saddle | None = None
    verified: bool = False
    reason: str = ""
    residual: Annotated[float, "eV/Angstrom"] = np.nan
    curvatures: Annotated[np.ndarray, "eV/Angstrom^2"] = field(default_factory=lambda: np.full(2, np.nan))
    forward_hz: Annotated[float, "Hz"] = np.nan
    backward_hz: Annotated[float, "Hz"] = np.nan
    start_hz: Annotated[np.ndarray, "Hz"] = field(default_factory=lambda: np.zeros(0))
    saddle_hz: Annotated[np.ndarray, "Hz"] = field(default_factory=lambda: np.zeros(0))
    end_hz: Annotated[np.ndarray, "Hz"] = field(default_factory=lambda: np.zeros(0))

    @property
    def ends(self) -> tuple[StationaryPoint, StationaryPoint]:
        """The two minima, as its band has them."""
        start, end = (StationaryPoint(self.band[image], float(self.energies[image])) for image in (0, -1))
        return start, end

    def relabelled(self, labels: Alignment) -> Hop:
        """Return the same hop in other labels of the atoms."""
        saddle = self.saddle and self.saddle.relabelled(labels)
        return replace(self, band=np.array([labels.apply(image) for image in self.band]), saddle=saddle)

    def joined(self, before: Hop | None = None, after: Hop | None = None) -> Hop:
        """Return the same hop, its band longer by those of a hop that leads to it and of one that leads on."""
        parts = [hop for hop in (before, self, after) if hop is not None]
        band = np.concatenate([hop.band for hop in parts])
        energies = np.concatenate([hop.energies for hop in parts])
        return replace(
            self, band=band, energies=energies, top=self.top + (0 if before is None else len(before.band))
        )

    def reversed(self) -> Hop:
        """Return the hop back."""
        return replace(
            self,
            band=self.band[::-1],
            energies=self.energies[::-1],
            top=len(self.band) - 1 - self.top,
            saddle=self.saddle and replace(self.saddle, mode=-self.saddle.mode),
            forward_hz=self.backward_hz,
            backward_hz=self.forward_hz,
            start_hz=self.end_hz,
            end_hz=self.start_hz,
        )


def over_saddle(barrier: Barrier) -> Hop:
    """Return what a search has found as a hop between the minima to which the ways down led, in its own labels."""
    saddle, sides, verification = barrier.saddle, barrier.sides, barrier.verification
    assert saddle is not None, "no hop without a saddle"
    assert sides is not None, "no hop without minima"
    assert verification is not None, "what joins two minima was looked at"
    # the first push off the saddle may lead uphill where it is narrow: that is not part of the hop
    down, up = (side.trail_energies <= saddle.energy for side in sides)
    return Hop(
        band=np.array([*sides[0].trail[down][::-1], saddle.positions, *sides[1].trail[up]]),
        energies=np.array([*sides[0].trail_energies[down][::-1], saddle.energy, *sides[1].trail_energies[up]]),
        top=int(down.sum()),
        name="",
        remote=False,
        saddle=saddle,
        verified=verification.verified,
        reason="; ".join(verification.faults),
        residual=saddle.residual,
        curvatures=verification.curvatures,
    )


@dataclass(frozen=True)
class Profile:
    """The pathway as it was stored: energies (f,) eV of its frames, and the progress (f,) Å of the tagged atoms.

    The progress is that of :meth:`Pathway.progress`.
    """

    energies: Annotated[np.ndarray, "eV"]
    progress: Annotated[np.ndarray, "Angstrom"]


def center(positions: np.ndarray, atoms: Atoms, some: Sequence[int]) -> np.ndarray:
    """Return the center of mass (…, 3) Å of some atoms (indices) at positions (…, n, 3) Å."""
    return np.average(positions[..., list(some), :], axis=-2, weights=atoms.get_masses()[list(some)])


def progress(
    positions: Sequence[np.ndarray] | np.ndarray,
    basins: Sequence[StationaryPoint],
    atoms: Atoms,
    tagged: Sequence[int],
) -> np.ndarray:
    """Return how far (k,) Å tagged atoms (indices) are along the line from the first to the last of the basins."""
    first, last = (center(basins[end].positions, atoms, tagged) for end in (0, -1))
    along = (last - first) / max(np.linalg.norm(last - first), 1e-12)
    return (center(np.asarray(positions), atoms, tagged) - first) @ along


@dataclass(frozen=True)
class Pathway:
    """A refined pathway. ``basins`` are one more than ``hops``; all are in one continuous labelling, unwrapped.

    ``atoms`` has elements, cell and periodicity; ``tagged`` and ``molecule`` are atom indices from 0. ``source`` says
    where the path came from, ``notes`` what was dropped or cut out on the way. ``before`` is None for a pathway that
    no trajectory shows (the network's), whose mean first-passage times are those of a walker on the whole network and
    given as ``passage_times_s`` for each temperature in K; ``quantum_passage_times_s`` are those corrected by
    :mod:`mapmpi.path.quantum`, where the prefactors are Vineyard's. ``reached`` tells that the stored path came to its
    goal; ``calls`` are the force calls it took. ``beside`` are hops over verified saddles that were found off the
    pathway, each in labels of its own.
    """

    name: str
    source: str
    atoms: Atoms
    tagged: tuple[int, ...]
    molecule: tuple[int, ...]
    basins: list[StationaryPoint]
    hops: list[Hop]
    before: Profile | None = None
    notes: tuple[str, ...] = ()
    calls: int = 0
    reached: bool = True
    passage_times_s: tuple[tuple[float, float], ...] = ()
    beside: tuple[Hop, ...] = ()
    quantum_passage_times_s: tuple[tuple[float, float], ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every hop has a saddle, verified or not."""
        return all(hop.saddle is not None for hop in self.hops)

    @property
    def verified(self) -> int:
        """How many hops have a verified saddle."""
        return sum(hop.verified for hop in self.hops)

    @property
    def length_A(self) -> float:
        """The distance in Å between the tagged atoms' centers in the first basin and in the last."""
        first, last = (center(self.basins[end].positions, self.atoms, self.tagged) for end in (0, -1))
        return float(np.linalg.norm(last - first))

    @property
    def climb_ev(self) -> float:
        """The largest rise of the energy from a basin to any later saddle; NaN if a saddle is missing."""
        saddles = [hop.saddle.energy for hop in self.hops if hop.saddle is not None]
        if len(saddles) < len(self.hops):
            return float("nan")
        basins = [basin.energy for basin in self.basins]
        return Heights.of(np.array([*chain(*zip(basins, saddles, strict=False)), basins[-1]])).climb

    def frames(self) -> Iterator[tuple[StationaryPoint, str, int, int]]:
        """Yield the way over all saddles frame by frame, a basin between two hops once: each with its kind and place.

        The kind is basin, image or saddle; the place its hop (from 1; a basin belongs to the one that ends there, the
        first to hop 0) and its number in that hop's band (from 0).
        """
        yield self.basins[0], "basin", 0, 0
        for number, hop in enumerate(self.hops, 1):
            last = len(hop.band) - 1
            for image in range(1, last):
                kind = "saddle" if hop.saddle is not None and image == hop.top else "image"
                yield StationaryPoint(hop.band[image], float(hop.energies[image])), kind, number, image
            # the basin itself: the band comes as near to it as its quench did
            yield self.basins[number], "basin", number, last

    def progress(self, positions: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """Return how far (k,) Å the tagged atoms are along the line from the first to the last basin.

        ``positions`` are k configurations (n, 3) Å.
        """
        return progress(positions, self.basins, self.atoms, self.tagged)

    def barriers_ev(self, backward: bool = False) -> np.ndarray:
        """Return the barrier (hops,) of every hop, or of the hops back; NaN where there is no saddle."""
        basins = self.basins[1:] if backward else self.basins[:-1]
        return np.array(
            [
                hop.saddle.energy - basin.energy if hop.saddle is not None else np.nan
                for hop, basin in zip(self.hops, basins, strict=True)
            ]
        )

    def attempts_hz(self, prefactor: Prefactor, temperature_k: float, backward: bool = False) -> np.ndarray:
        """Return the prefactor (hops,) of every hop's rate, or of the rate back."""
        if prefactor == "vineyard":
            return np.array([hop.backward_hz if backward else hop.forward_hz for hop in self.hops])
        return np.full(len(self.hops), prefactor_hz(prefactor, temperature_k))

    def time_s(self, prefactor: Prefactor, temperature_k: float) -> float:
        """Return the time by the paper's Eq. 3; NaN for an incomplete pathway and one without hops."""
        if not self.complete or not self.hops:
            return float("nan")
        return pathway_time_s(self.barriers_ev(), temperature_k, self.attempts_hz(prefactor, temperature_k))

    def passage_time_s(self, prefactor: Prefactor, temperature_k: float) -> float:
        """Return the mean first-passage time from the first basin to the last, hops back included.

        Of a network's route, from which a walker may stray, it is known only at the temperatures, and with the
        prefactor, of its computation; NaN at others.
        """
        if self.passage_times_s:
            return dict(self.passage_times_s).get(temperature_k, float("nan"))
        if not self.complete or not self.hops:
            return float("nan")
        rates = [
            log_rate(self.barriers_ev(back), temperature_k, self.attempts_hz(prefactor, temperature_k, back))
            for back in (False, True)
        ]
        return mean_first_passage_time_s(*rates)

    def diffusion_cm2_s(self, time_s: float) -> float:
        """Return D = L²/2t in cm²/s for a time in s and L the pathway's length; NaN for a time that is not known."""
        return diffusion_coefficient_cm2_s(self.length_A, time_s) if time_s > 0 else float("nan")
