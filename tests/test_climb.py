"""The largest rise of a path, which both phases rank by."""

from __future__ import annotations

import numpy as np
import pytest

from mapmpi.climb import Heights, largest_rise

UP_AND_DOWN = np.array([1.0, 3.0, 0.5, 2.0, 2.8, 1.0])
"""eV: rises by 2.0 from the start, and by 2.3 from 0.5 to 2.8."""


@pytest.mark.parametrize(
    ("energies", "climb", "rise", "part"),
    [
        (UP_AND_DOWN, 2.3, 2.0, (2, 4)),
        (np.array([4.0, 3.0, 3.0, -1.0]), 0.0, 0.0, (0, 0)),
        (np.array([0.0, 1.0, 2.5]), 2.5, 2.5, (0, 2)),
        (np.array([0.0, 1.0, 0.0, 1.0]), 1.0, 1.0, (0, 1)),  # the first of two equal ones
        (np.array([7.0]), 0.0, 0.0, (0, 0)),
    ],
)
def test_worked_by_hand(energies: np.ndarray, climb: float, rise: float, part: tuple[int, int]) -> None:
    heights = Heights.of(energies)
    assert heights.climb == pytest.approx(climb)
    assert heights.rise == pytest.approx(rise)
    assert (heights.first, heights.low, heights.high) == (energies[0], energies.min(), energies.max())
    assert largest_rise(energies) == part


def test_it_is_that_of_all_pairs() -> None:
    random = np.random.default_rng(3)
    for _ in range(50):
        energies = random.normal(size=12)
        pairs = [energies[j] - energies[i] for j in range(12) for i in range(j + 1)]
        assert Heights.of(energies).climb == pytest.approx(max(pairs))
        low, top = largest_rise(energies)
        assert low <= top
        assert energies[top] - energies[low] == pytest.approx(max(pairs))


@pytest.mark.parametrize("cut", range(1, 7))
def test_it_goes_on_from_anywhere(cut: int) -> None:
    whole = Heights.of(UP_AND_DOWN)
    before = Heights.of(UP_AND_DOWN[:cut])
    assert before.after(UP_AND_DOWN[cut:]) == whole
    assert before.after(UP_AND_DOWN[cut - 1 :]) == whole  # a continuing episode shows the last one again
    one_by_one = before
    for energy in UP_AND_DOWN[cut:]:
        one_by_one = one_by_one.after(energy)
    assert one_by_one == whole


def test_without_energies_there_are_none() -> None:
    with pytest.raises(ValueError, match="without energies"):
        Heights.of(np.empty(0))
    with pytest.raises(ValueError, match="without energies"):
        largest_rise(np.empty(0))
