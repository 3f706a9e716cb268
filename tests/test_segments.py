from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from mapmpi.path.segments import profile_segments


def test_two_barriers_share_the_minimum_between_them() -> None:
    #                    0    1    2    3    4    5    6    7     8
    energies = np.array([0.0, 0.5, 1.2, 0.4, 0.1, 0.6, 2.0, -0.5, -0.2])
    assert profile_segments(energies, 0.3) == [(0, 2, 4), (4, 6, 7)]


def test_descent_to_the_first_minimum_and_rise_after_the_last_belong_to_no_segment() -> None:
    energies = np.array([0.8, 0.4, 0.0, 1.0, 0.2, 0.5, 0.7])
    assert profile_segments(energies, 0.3) == [(2, 3, 4)]


def test_ripples_below_the_prominence_are_no_maxima() -> None:
    frames = np.arange(201)
    hill = np.sin(np.pi * frames / 100) ** 2  # tops at 50 and 150
    segments = profile_segments(hill + 0.02 * np.cos(2.5 * frames), 0.1)
    assert len(segments) == 2
    assert abs(segments[0][1] - 50) <= 5
    assert abs(segments[1][1] - 150) <= 5
    assert segments[0][2] == segments[1][0]


def test_equal_maxima_without_a_valley_are_one() -> None:
    assert profile_segments(np.array([0.0, 1.0, 0.99, 1.0, 0.0]), 0.3) == [(0, 1, 4)]
    assert len(profile_segments(np.array([0.0, 1.0, 0.5, 1.0, 0.0]), 0.3)) == 2


@pytest.mark.parametrize(
    "energies", [np.arange(9.0), -np.arange(9.0), np.zeros(9), np.zeros(1), np.array([0.0, 1.0])]
)
def test_monotone_and_flat_profiles_have_no_segment(energies: np.ndarray) -> None:
    assert profile_segments(energies, 0.1) == []


def test_segments_never_overlap_and_hold_their_promise() -> None:
    random = np.random.default_rng(3)
    energies = np.cumsum(random.normal(size=400))
    segments = profile_segments(energies, 1.5)
    assert len(segments) > 5
    for before, after in pairwise(segments):
        assert before[2] == after[0]
    for segment in segments:
        inside = energies[segment[0] : segment[2] + 1]
        assert segment[0] < segment[1] < segment[2]
        assert inside.max() == energies[segment[1]]
        assert inside.min() == min(energies[segment[0]], energies[segment[2]])
        assert energies[segment[1]] - max(energies[segment[0]], energies[segment[2]]) >= 1.5


@pytest.mark.parametrize(
    ("energies", "prominence"), [([0.0, np.nan, 0.0], 0.1), ([0.0, 1.0, 0.0], 0.0), ([[0.0]], 0.1)]
)
def test_what_is_no_profile_is_refused(energies: list, prominence: float) -> None:
    with pytest.raises(ValueError):
        profile_segments(np.array(energies), prominence)
