"""The figures that a refinement shows while it runs."""

from __future__ import annotations

import numpy as np
import pytest

from mapmpi.path.quench import Minimum
from mapmpi.pneb.progress import Tally

POINT = np.zeros((1, 3))


def minimum(calls: int, residual: float) -> Minimum:
    return Minimum(POINT, 0.0, residual, calls, np.array([POINT]), np.zeros(1))


def test_the_time_left_counts_frames_by_those_that_are_done() -> None:
    tally = Tally(frames=5)
    tally.quenched(minimum(40, 0.01))
    tally.quenched(minimum(60, 0.03))
    assert tally.time_left_s(10.0) == pytest.approx(3 * 50 / 10)
    assert tally.figures(100)["frames quenched"] == "2/5"
    assert tally.figures(100)["largest residual"] == "0.030 eV/Å"


def test_hessians_are_shown_where_there_are_any() -> None:
    tally = Tally()
    assert "Hessians" not in tally.figures(1)
    tally.hessian_begun(120)
    tally.hessian_begun(60)
    tally.hessian_ended(60)
    assert tally.figures(1)["Hessians"] == "1/2"
    assert tally.time_left_s(10.0) == pytest.approx(12.0)


def test_where_nothing_is_known_to_be_left_no_time_is_told() -> None:
    assert Tally().figures(0)["left"] == "?"
    assert Tally().figures(10)["left"] == "?"
