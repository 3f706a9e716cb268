"""What phase 2 computes, and remembers: a run that starts again computes nothing twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms

from mapmpi.calculation import Calculation, Memory, Result, Subcalculation, Task
from mapmpi.config import Config
from mapmpi.errors import EngineError
from mapmpi.md.fixed import is_fixed
from mapmpi.md.forcefield import fingerprint
from mapmpi.path.band import images_for, interpolation, path_lengths, resample, without_drift
from mapmpi.path.barrier import Barrier, BarrierSearch
from mapmpi.path.matching import Matcher, StationaryPoint
from mapmpi.path.preconditioner import Metric
from mapmpi.path.quench import Minimum, quench
from mapmpi.path.saddle import Saddle
from mapmpi.path.transition import Verification
from mapmpi.path.tst import hessian_calculation
from mapmpi.pneb.parts import Parts
from mapmpi.pneb.progress import Tally
from mapmpi.store.journal import Journal, digest

RESULTS = (Barrier, Minimum, Saddle, Verification)
"""The dataclasses that a journal of phase 2 holds."""

FORMAT = 3
"""Counted up when the meaning of a remembered result changes."""


class Search(Task[Barrier]):
    """A search of a barrier.

    Its ``clock`` counts force calls: those up to which it ``began``, and its own. It is the time that the search would
    show on a machine where nobody has to wait for ranks.
    """

    def __init__(self, calculation: Calculation[Barrier], began: int, memory: Memory | None) -> None:
        super().__init__(calculation, lambda: self.clock, memory)
        self.began = began

    @property
    def clock(self) -> int:
        """The force calls up to now; of a search that is done, up to its end."""
        return self.began + (self.result.calls if self.done else self.calls)


class Calculator:
    """Quenches, barriers and Hessians of one system of ``atoms`` by the force field of ``config``.

    Every result is kept in the journal under all that determines it, and until then the ``parts`` of a search, if
    there is a place for them. ``lost`` are the groups of ranks that have died so far.
    """

    def __init__(
        self,
        config: Config,
        atoms: Atoms,
        journal: Journal | dict[bytes, Any],
        parts: Parts | None,
        tally: Tally,
        lost: Sequence[int] = (),
    ) -> None:
        self.settings, self.atoms, self.tally = config.pneb, atoms, tally
        self.journal, self.parts, self.lost = journal, parts, lost
        tagged = [number - 1 for number in config.structure.tagged_atoms]
        fixed = is_fixed(atoms)
        self.matcher = Matcher.of(atoms, tagged, self.settings, held=bool(fixed.any()))
        self._system = (
            FORMAT,
            fingerprint(config.forcefield),
            atoms.numbers,
            atoms.cell.array,
            atoms.pbc,
            fixed,
        )

    def _key(self, *about: Any) -> bytes:
        """Return the key of a result of this system."""
        return digest(*self._system, *about)

    def _remembered(self, key: bytes, calculation: Calculation[Result]) -> Calculation[Result]:
        """Return a result from the journal, or compute it and write it there."""
        if key in self.journal:
            return self.journal[key]
        result = yield from calculation
        failed = result is None or (isinstance(result, Barrier) and result.status == "engine failed")
        if not (failed and self.lost):  # ranks that died may have been to blame: try again the next time
            self.journal[key] = result
        return result

    def energy(self, positions: np.ndarray) -> Calculation[float]:
        """Return the potential energy in eV of positions (n, 3) Å; NaN where the engine failed."""

        def compute() -> Calculation[float]:
            (here,) = yield [positions]
            return float(here.energy)

        try:
            return (yield from self._remembered(self._key("energy", positions), compute()))
        except EngineError:
            return float("nan")

    def quench(self, positions: np.ndarray) -> Calculation[Minimum | None]:
        """Return the minimum below positions (n, 3) Å; None where the engine failed on the way."""
        settings = self.settings.quench

        def compute() -> Calculation[Minimum | None]:
            metric = Metric(self.atoms, positions)
            try:
                (found,) = yield [Subcalculation(quench, (positions, metric, settings))]
            except EngineError:
                return None
            return found

        found = yield from self._remembered(self._key("quench", positions, settings.model_dump()), compute())
        self.tally.quenched(found)
        return found

    def search(
        self, start_ev: float, end_ev: float, path: Sequence[np.ndarray], known: Sequence[Barrier], began: int = 0
    ) -> Search:
        """Return the search of a barrier along a path (configurations (n, 3) Å) between minima of energies in eV.

        A path of the two ends alone is interpolated. Saddles of ``known`` barriers are not checked again.
        ``began`` is the search's clock, see :class:`Search`.
        """
        known = tuple(known)  # those of now: what others find meanwhile depends on who is fast
        line = without_drift(path, self.atoms)
        images = images_for(path_lengths(line)[-1], self.settings.band)
        limits = self.settings.model_dump(include={"quench", "band", "saddle", "same_distance", "same_energy"})
        saddles = [barrier.saddle.positions for barrier in known if barrier.saddle is not None]
        key = self._key("barrier", start_ev, end_ev, line, images, limits, *saddles)

        def compute() -> Calculation[Barrier]:
            band = yield from self._first_band(line, images)
            ends = StationaryPoint(band[0], start_ev), StationaryPoint(band[-1], end_ev)
            return (yield from BarrierSearch(*ends, band, self.atoms, self.matcher, self.settings, known).run())

        def find() -> Calculation[Barrier]:
            found = yield from self._remembered(key, compute())
            if self.parts is not None and key in self.journal:
                self.parts.forget(key)
            self.tally.searched(found)
            return found

        self.tally.segments += 1
        return Search(find(), began, None if self.parts is None or key in self.journal else self.parts.of(key))

    def _first_band(self, line: np.ndarray, images: int) -> Calculation[np.ndarray]:
        """Return so many images (m, n, 3) Å of a path, whose ends may be all that is known of it."""
        if len(line) > 2:
            return resample(line, images, self.atoms)
        # it takes as long as force calls do: rank 0, on whom all groups wait, does not do it for all of them
        (band,) = yield [Subcalculation(interpolation, (*line, images, self.atoms))]
        return band

    def hessian(self, positions: np.ndarray, movable: np.ndarray) -> Calculation[np.ndarray]:
        """Return the Hessian (3m, 3m) eV/Å² of m atoms (indices), the others fixed. Raises EngineError."""
        step = self.settings.hessian_step

        def compute() -> Calculation[np.ndarray]:
            calls = 6 * len(movable)
            self.tally.hessian_begun(calls)
            try:
                return (yield from hessian_calculation(positions, movable, step))
            finally:
                self.tally.hessian_ended(calls)

        return (yield from self._remembered(self._key("hessian", positions, movable, step), compute()))
