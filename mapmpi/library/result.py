"""A refined path as a notebook wants it: barriers as numbers, structures as ASE's atoms, the profile as a picture."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from mapmpi.errors import UserError
from mapmpi.path.matching import StationaryPoint
from mapmpi.path.pathway import Pathway
from mapmpi.path.tst import Prefactor

if TYPE_CHECKING:
    from mapmpi.pneb.figure import Figure  # matplotlib's


@dataclass(frozen=True, repr=False)
class RefinedPath:
    """A path over transition states, from one minimum to another. ``pathway`` has all that is known of it."""

    pathway: Pathway

    @property
    def barrier(self) -> float:
        """The highest transition state above the first minimum in eV; NaN where one on the way was not found."""
        return self._highest() - self.pathway.basins[0].energy

    @property
    def reverse_barrier(self) -> float:
        """The highest transition state above the last minimum in eV; NaN where one on the way was not found."""
        return self._highest() - self.pathway.basins[-1].energy

    def _highest(self) -> float:
        return max(self._saddle_energies()) if self.pathway.complete and self.pathway.hops else float("nan")

    def _saddle_energies(self) -> list[float]:
        return [hop.saddle.energy for hop in self.pathway.hops if hop.saddle is not None]

    @property
    def barriers(self) -> np.ndarray:
        """The barrier in eV from each minimum to the next, (minima - 1,); NaN where no transition state was found."""
        return self.pathway.barriers_ev()

    @property
    def verified(self) -> bool:
        """Whether every transition state was found and has exactly one negative curvature between its two minima."""
        return self.pathway.complete and self.pathway.verified == len(self.pathway.hops)

    @property
    def faults(self) -> list[str]:
        """What is missing or doubtful, a sentence each: why a transition state was not found or not verified."""
        return [f"hop {number}: {hop.reason}" for number, hop in enumerate(self.pathway.hops, 1) if hop.reason]

    @property
    def minima(self) -> list[Atoms]:
        """The minima along the path, each with its energy."""
        return [self._atoms(basin) for basin in self.pathway.basins]

    @property
    def transition_states(self) -> list[Atoms]:
        """The transition states that were found, each with its energy; ``arrays["mode"]`` is the unstable mode."""
        found = [hop.saddle for hop in self.pathway.hops if hop.saddle is not None]
        states = [self._atoms(saddle) for saddle in found]
        for state, saddle in zip(states, found, strict=True):
            state.set_array("mode", saddle.mode)
        return states

    @property
    def transition_state(self) -> Atoms:
        """The highest of the transition states. Raises UserError where none was found."""
        if not (states := self.transition_states):
            told = "; ".join(self.faults) or "the path never leaves one minimum"
            raise UserError(f"no transition state was found ({told}); give frames on the way, or other settings.")
        return states[int(np.argmax(self._saddle_energies()))]

    @property
    def images(self) -> list[Atoms]:
        """The whole path, from minimum over transition state to minimum, each image with its energy."""
        return [self._atoms(point) for point, *_ in self.pathway.frames()]

    def _atoms(self, point: StationaryPoint) -> Atoms:
        atoms = self.pathway.atoms.copy()
        atoms.positions = point.positions
        atoms.calc = SinglePointCalculator(atoms, energy=float(point.energy))
        return atoms

    def time_s(self, temperature_k: float, prefactor: Prefactor = "hbar") -> float:
        """Return the mean first-passage time from the first minimum to the last in s; NaN for an incomplete path.

        ``prefactor`` is k_BT/ℏ, k_BT/h (``h``), or ``vineyard``, which the path must have been refined with.
        """
        return self.pathway.passage_time_s(prefactor, temperature_k)

    def plot(self, file: Path | str | None = None) -> Figure:
        """Return the energy profile as a figure of matplotlib's.

        It is also written to a file (png, svg, pdf) if one is named. Raises UserError where that cannot be written.
        """
        from mapmpi.pneb.figure import draw_profile

        figure = draw_profile(self.pathway)
        if file is not None:
            try:
                figure.savefig(file)
            except (OSError, ValueError) as error:
                raise UserError(f"{file}: cannot write the figure there ({error}); give another file.") from None
        return figure

    def _repr_png_(self) -> bytes:
        """Show the profile where a notebook shows a value."""
        picture = io.BytesIO()
        self.plot().savefig(picture, format="png", dpi=110)
        return picture.getvalue()

    def __repr__(self) -> str:
        steps = ", ".join(f"{barrier:.3f}" for barrier in self.barriers)
        checked = "verified" if self.verified else "not verified"
        return f"<RefinedPath: {len(self.pathway.basins)} minima, barriers {steps or 'none'} eV, {checked}>"
