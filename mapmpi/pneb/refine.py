"""From a stored path to a refined pathway: quench, cut into segments, search their barriers, lay them end to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from mapmpi.calculation import Calculation
from mapmpi.config import Config
from mapmpi.errors import EngineError
from mapmpi.md.fixed import is_fixed
from mapmpi.path.assembly import assemble, beside
from mapmpi.path.basins import Basin, Chain, group_basins
from mapmpi.path.connection import Connection
from mapmpi.path.matching import StationaryPoint
from mapmpi.path.network import Gap
from mapmpi.path.pathway import Hop, Pathway, Profile, progress
from mapmpi.path.quench import Minimum
from mapmpi.path.segments import profile_segments
from mapmpi.path.tst import frequencies_hz, moving_atoms, vineyard_hz
from mapmpi.pneb.calculator import Calculator, Search
from mapmpi.pneb.choose import StoredPath


class Refinement:
    """The refinement of one stored path."""

    def __init__(self, config: Config, calculator: Calculator, stored: StoredPath) -> None:
        self.settings, self.calculator, self.stored = config.pneb, calculator, stored
        self.tagged = tuple(number - 1 for number in config.structure.tagged_atoms)
        self.molecule = tuple(number - 1 for number in config.structure.molecule)
        self.calls = 0

    def run(self) -> Calculation[Pathway | None]:
        """Return the refined pathway; None where not a single frame could be quenched.

        What else cannot be computed is told by the pathway's notes and its hops' reasons.
        """
        energies = yield from self._energies()
        minima = yield from self._minima(energies)
        chain = group_basins(minima, self.calculator.matcher)
        if not chain.basins:
            return None
        connection = self._connection(chain, minima, energies)
        yield from self._connect(connection)
        kelvin = self.settings.temperatures[0]
        basins, hops, notes = assemble(connection, self.molecule, self.settings.remote_distance, kelvin)
        if self.settings.prefactor == "vineyard":
            between = zip(hops, basins[:-1], basins[1:], strict=True)
            hops = yield [self._with_prefactors(*one) for one in between]
        atoms = self.calculator.atoms
        return Pathway(
            name=self.stored.name,
            source=self.stored.source,
            atoms=atoms,
            tagged=self.tagged,
            molecule=self.molecule,
            basins=basins,
            hops=hops,
            before=Profile(energies, progress(self.stored.positions, basins, atoms, self.tagged)),
            notes=(*notes, *self._notes(hops, chain, minima, energies, connection.ceiling_ev)),
            calls=self.calls,
            reached=self.stored.reached,
            beside=beside(connection, kelvin),
        )

    def _energies(self) -> Calculation[np.ndarray]:
        """Return the energies (f,) eV of all frames; NaN where the engine failed."""
        if self.stored.energies is not None:
            return self.stored.energies
        self.calls += len(self.stored.positions)
        return np.array((yield [self.calculator.energy(frame) for frame in self.stored.positions]))

    def _minima(self, energies: np.ndarray) -> Calculation[dict[int, Minimum | None]]:
        """Return the minima below frames that tell all basins of the path, by frame; None where the engine failed.

        Where every frame is not quenched, the one in the middle between two of different basins is, again and again:
        between two of one basin there is nothing but that basin, or a loop, which would be cut out.
        """
        if self.settings.segmentation == "profile":
            return (yield from self._quench(self._borders(energies), energies))
        last = len(energies) - 1
        minima: dict[int, Minimum | None] = {}
        due = sorted({*range(0, last, self.settings.stride), last})
        while due:
            minima |= yield from self._quench(due, energies)
            minima = dict(sorted(minima.items()))
            due = [
                (one + other) // 2
                for one, other in pairwise(minima)
                if other - one > 1 and not self._same_basin(minima[one], minima[other])
            ]
        return minima

    def _same_basin(self, one: Minimum | None, other: Minimum | None) -> bool:
        return one is not None and other is not None and self.calculator.matcher.match(one, other) is not None

    def _borders(self, energies: np.ndarray) -> list[int]:
        """Return the frames at which the energies (f,) eV cut the path."""
        last = len(energies) - 1
        if not np.isfinite(energies).any():
            return [0, last]
        known = np.where(np.isfinite(energies), energies, np.nanmax(energies))
        segments = profile_segments(known, self.settings.prominence)
        borders = [first for first, _, _ in segments] + [end for _, _, end in segments[-1:]]
        return sorted({0, *borders, last})

    def _quench(self, frames: list[int], energies: np.ndarray) -> Calculation[dict[int, Minimum | None]]:
        """Return the minimum below each of these frames; None where the engine failed."""
        self.calculator.tally.frames += len(frames)
        # the most strained first: their quenches are the longest, and should not be left for the end
        order = [frames[number] for number in np.argsort(-energies[frames], kind="stable")]
        found = yield [self.calculator.quench(self.stored.positions[frame]) for frame in order]
        self.calls += sum(minimum.calls for minimum in found if minimum is not None)
        return dict(zip(order, found, strict=True))

    def _connection(self, chain: Chain, minima: dict[int, Minimum | None], energies: np.ndarray) -> Connection:
        """Return the connection of the chain's basins, with the stored path's frames as first paths."""
        # a frame under the tether's strain lies above the pass that it went over
        ceiling = max(float(np.nanmax(energies)), *(basin.energy for basin in chain.basins)) + 0.1
        connection = Connection(chain.basins, self.calculator.matcher, self.settings.connect, ceiling)
        if self.settings.band.first == "path":
            for number, (start, end) in enumerate(pairwise(chain.basins)):
                connection.guess((number, number + 1), self._path_between(start, end, chain, minima))
        return connection

    def _path_between(
        self, start: Basin, end: Basin, chain: Chain, minima: dict[int, Minimum | None]
    ) -> list[np.ndarray]:
        """Return the way up to the last frame of one basin, the frames between, and the way down to the next."""
        first, last = start.frames[-1], end.frames[0]
        up, down = minima[first], minima[last]
        assert up is not None
        assert down is not None
        path = [start.positions]
        path += [chain.labels[first].apply(place) for place in up.trail[::-1]]
        path += [chain.labels[first].apply(place) for place in self.stored.positions[first + 1 : last]]
        path += [chain.labels[last].apply(place) for place in down.trail]
        return [*path, end.positions]

    def _connect(self, connection: Connection) -> Calculation[None]:
        """Search until the ends are connected or nothing is left to try.

        Searches run side by side, and what they found is taken up in the order of their clocks, in which they would
        end if none had to wait for ranks. So which gaps are searched depends on nothing but the path, however many
        ranks there are and whoever is fast.
        """
        running: list[tuple[Gap, Search]] = []
        begun = self._next_searches(connection, 0)
        while running := [*running, *begun]:
            if begun:
                yield [search for _, search in begun]
            gap, first = min(running, key=lambda one: one[1].clock)  # of equals the one that was begun first
            begun = []
            if not first.done:
                yield []
                continue
            running.remove((gap, first))
            self.calls += first.result.calls
            connection.learn(gap, first.result)
            begun = self._next_searches(connection, first.clock)

    def _next_searches(self, connection: Connection, clock: int) -> list[tuple[Gap, Search]]:
        """Return the searches that are to begin now, at a clock in force calls."""
        begun = []
        for gap in connection.next_gaps():
            first, last = (connection.network.minima[number].energy for number in gap)
            search = self.calculator.search(first, last, connection.begin(gap), connection.verified, clock)
            begun.append((gap, search))
        return begun

    def _with_prefactors(self, hop: Hop, start: StationaryPoint, end: StationaryPoint) -> Calculation[Hop]:
        """Return a hop between two basins with Vineyard's prefactors, or with the reason why it has none."""
        if hop.saddle is None:
            return hop
        atoms, calculator = self.calculator.atoms, self.calculator
        places = start.positions, hop.saddle.positions, end.positions
        movable = moving_atoms(*places, self.settings.moving_distance, is_fixed(atoms))
        try:
            hessians = yield [calculator.hessian(place, movable) for place in places]
            masses, free = atoms.get_masses()[movable], len(movable) == len(atoms)
            at_start, at_saddle, at_end = (frequencies_hz(hessian, masses, free) for hessian in hessians)
            there, back = vineyard_hz(at_start, at_saddle), vineyard_hz(at_end, at_saddle)
            hop = replace(hop, start_hz=at_start, saddle_hz=at_saddle, end_hz=at_end)
            return replace(hop, forward_hz=there, backward_hz=back)
        except (ValueError, EngineError) as error:
            reason = "; ".join(part for part in (hop.reason, f"no Vineyard prefactor: {error}") if part)
            return replace(hop, reason=reason)

    @staticmethod
    def _notes(
        hops: Sequence[Hop],
        chain: Chain,
        minima: dict[int, Minimum | None],
        energies: np.ndarray,
        ceiling_ev: float,
    ) -> list[str]:
        """Say what was left out, and what is doubtful."""
        notes = []
        highest = max((hop.saddle.energy for hop in hops if hop.saddle is not None), default=-np.inf)
        if highest > ceiling_ev:
            above = highest - float(np.nanmax(energies))
            notes.append(
                f"a saddle lies {above:.2f} eV above all frames: there is a lower way, which was not found"
            )
        notes += [f"cut out: a loop from frame {left} back at frame {back}" for left, back in chain.loops]
        notes += [
            f"frame {frame} was left out: the engine failed" for frame, found in minima.items() if found is None
        ]
        rough = [found.residual for found in minima.values() if found and not found.at_rest]
        if rough:
            notes.append(f"{len(rough)} quenches stopped at up to {max(rough):.3f} eV/Å (pneb.quench.calls)")
        return notes
