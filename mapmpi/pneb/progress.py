"""How far a refinement is: frames quenched, segments searched, Hessians, force calls, residuals, time left."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from mapmpi.path.barrier import Barrier
from mapmpi.path.quench import Minimum
from mapmpi.units import duration_text


@dataclass
class Tally:
    """What is asked for and what is done; ``largest_residual`` (eV/Å) is of all minima and saddles so far.

    ``hessian_calls`` are the force calls that Hessians are still waiting for.
    """

    frames: int = 0
    frames_done: int = 0
    segments: int = 0
    segments_done: int = 0
    hessians: int = 0
    hessians_done: int = 0
    hessian_calls: int = 0
    saddles: int = 0
    largest_residual: float = 0.0
    quench_calls: int = 0
    search_calls: int = 0
    began: float = field(default_factory=time.monotonic)

    def quenched(self, minimum: Minimum | None) -> None:
        """Count a frame whose quench has ended."""
        self.frames_done += 1
        if minimum is not None:
            self.quench_calls += minimum.calls
            self.largest_residual = max(self.largest_residual, minimum.residual)

    def searched(self, barrier: Barrier) -> None:
        """Count a segment whose search has ended."""
        self.segments_done += 1
        self.search_calls += barrier.calls
        if barrier.verification is not None and barrier.saddle is not None:
            self.saddles += barrier.verification.verified
            self.largest_residual = max(self.largest_residual, barrier.saddle.residual)

    def hessian_begun(self, calls: int) -> None:
        """Count a Hessian that takes so many force calls."""
        self.hessians += 1
        self.hessian_calls += calls

    def hessian_ended(self, calls: int) -> None:
        """Count a Hessian that is done."""
        self.hessians_done += 1
        self.hessian_calls -= calls

    def time_left_s(self, calls_per_s: float) -> float:
        """Return the seconds for what is known to be left at the calls that such work took so far; NaN if unknown."""
        if not calls_per_s > 0:
            return float("nan")
        quench = self.quench_calls / max(self.frames_done, 1) or 100.0
        search = self.search_calls / max(self.segments_done, 1) or 400.0
        left = (self.frames - self.frames_done) * quench + (self.segments - self.segments_done) * search
        return (left + self.hessian_calls) / calls_per_s

    def figures(self, force_calls: int) -> dict[str, str]:
        """Return the figures in words, in the order in which they are shown; ``force_calls`` are this run's."""
        elapsed = max(time.monotonic() - self.began, 1e-9)
        left = self.time_left_s(force_calls / elapsed)
        hessians = {"Hessians": f"{self.hessians_done}/{self.hessians}"} if self.hessians else {}
        return {
            "time": duration_text(elapsed),
            "left": f"{duration_text(left)} or more" if left > 0 else "?",
            "frames quenched": f"{self.frames_done}/{self.frames}",
            "segments": f"{self.segments_done}/{self.segments}",
            **hessians,
            "saddles": f"{self.saddles}",
            "force calls": f"{force_calls} ({force_calls / elapsed:.0f}/s)",
            "largest residual": f"{self.largest_residual:.3f} eV/Å",
        }
