"""Action vectors and what undoes them."""

from __future__ import annotations

import numpy as np
import pytest

from mapmpi.config import Actions, Goal
from mapmpi.env.actions import action_vectors, goal_frame, reversals
from mapmpi.store.records import NO_ACTION


def test_the_papers_five_vectors_in_its_order() -> None:
    vectors = action_vectors(Actions(directions="forward5", displacement=0.5), Goal(distance=1))
    expected = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, -1, 0], [0, 0, -1]]
    np.testing.assert_allclose(vectors, 0.5 * np.array(expected), atol=1e-12)


def test_the_set_follows_the_goal_direction() -> None:
    vectors = action_vectors(
        Actions(directions="forward5", displacement=1.0), Goal(distance=1, direction=(0, 0, -2))
    )
    np.testing.assert_allclose(vectors[0], [0, 0, -1], atol=1e-12)
    assert not np.isclose(vectors @ [0, 0, -1], -1).any()  # never backward
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)


@pytest.mark.parametrize("direction", [(1, 0, 0), (0, -1, 0), (1, 1, 1), (-0.2, 3, 0.1)])
def test_the_goal_frame_is_orthonormal(direction: tuple[float, float, float]) -> None:
    frame = goal_frame(direction)
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(frame[0], np.array(direction) / np.linalg.norm(direction), atol=1e-12)


@pytest.mark.parametrize(("name", "count"), [("forward5", 5), ("axes6", 6), ("all26", 26)])
def test_sets_have_distinct_vectors_of_one_length(name: str, count: int) -> None:
    vectors = action_vectors(Actions(directions=name, displacement=0.3), Goal(distance=1))  # type: ignore[arg-type]
    assert vectors.shape == (count, 3)
    assert len(np.unique(vectors.round(9), axis=0)) == count
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 0.3)


def test_own_vectors_are_taken_at_the_set_length() -> None:
    vectors = action_vectors(Actions(directions=[(2, 0, 0), (0, 0, -3)], displacement=0.4), Goal(distance=1))
    np.testing.assert_allclose(vectors, [[0.4, 0, 0], [0, 0, -0.4]])


def test_reversals() -> None:
    forward = action_vectors(Actions(directions="forward5"), Goal(distance=1))
    assert reversals(forward).tolist() == [NO_ACTION, 3, 4, 1, 2]
    everywhere = action_vectors(Actions(directions="all26"), Goal(distance=1))
    undone = reversals(everywhere)
    np.testing.assert_allclose(everywhere[undone], -everywhere, atol=1e-12)
