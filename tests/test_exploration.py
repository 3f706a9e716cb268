"""Exploration rates and ε-greedy choice."""

import numpy as np
import pytest

from mapmpi import config
from mapmpi.rl.exploration import choose, epsilons, masked_argmax
from mapmpi.store.records import NO_ACTION


def test_apex_rates_are_those_of_horgan():
    rates = epsilons(config.Exploration(epsilon_max=0.4, alpha=7.0), 3)
    np.testing.assert_allclose(rates, [0.4, 0.4**4.5, 0.4**8])


def test_linear_rates_are_even_and_never_zero():
    rates = epsilons(config.Exploration(epsilon_max=0.4, schedule="linear"), 4)
    np.testing.assert_allclose(rates, [0.4, 0.3, 0.2, 0.1])


@pytest.mark.parametrize("schedule", ["apex", "linear"])
def test_one_agent_has_the_largest_rate(schedule):
    np.testing.assert_allclose(epsilons(config.Exploration(epsilon_max=0.3, schedule=schedule), 1), [0.3])


def test_masked_argmax_skips_the_forbidden():
    q = np.array([1.0, 3.0, 2.0])
    assert masked_argmax(q) == masked_argmax(q, NO_ACTION) == 1
    assert masked_argmax(q, 1) == 2
    assert masked_argmax(q, 0) == 1
    assert masked_argmax(np.array([-np.inf, 0.0]), 1) == 0
    with pytest.raises(ValueError):
        masked_argmax(np.array([1.0]), 0)


def test_greedy_at_zero_epsilon():
    rng = np.random.default_rng(1)
    assert {choose(np.array([0.0, 2.0, 1.0]), 0.0, NO_ACTION, rng, lambda: 2) for _ in range(50)} == {1}
    assert {choose(np.array([0.0, 2.0, 1.0]), 0.0, 1, rng) for _ in range(50)} == {2}


def test_random_actions_are_even_over_the_allowed_ones():
    rng = np.random.default_rng(2)
    drawn = [choose(np.array([0.0, 9.0, 1.0, 2.0]), 1.0, 1, rng) for _ in range(3000)]
    counts = np.bincount(drawn, minlength=4)
    assert counts[1] == 0
    np.testing.assert_allclose(counts[[0, 2, 3]], 1000, atol=100)  # 4 standard deviations


def test_epsilon_is_the_rate_of_planned_choices():
    rng = np.random.default_rng(3)
    planned = sum(choose(np.zeros(5), 0.3, NO_ACTION, rng, lambda: 4) == 4 for _ in range(4000))
    assert planned == pytest.approx(1200, abs=120)
