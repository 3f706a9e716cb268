"""The terms of the reward: signs, units, weights, switches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mapmpi.config import Rewards
from mapmpi.env.rewards import Outcome, failure_terms, reward_terms
from mapmpi.store.records import REWARD_TERMS

CALM = Outcome(
    coordinate_before=3.0,
    coordinate=3.0,
    energy=-100.0,
    reference_energy=-100.0,
    highest_energy=-99.0,
    distances=np.array([]),
    tether_length=0.2,
)
ONES = Rewards.model_validate({term: {"weight": 1.0} for term in REWARD_TERMS})


def terms(outcome: Outcome, rewards: Rewards = ONES) -> dict[str, float]:
    return dict(zip(REWARD_TERMS, reward_terms(rewards, outcome).tolist(), strict=True))


def test_nothing_happens_and_only_time_costs() -> None:
    assert terms(CALM) == {**dict.fromkeys(REWARD_TERMS, 0.0), "time": -1.0}


def test_position_is_progress_or_the_papers_coordinate() -> None:
    forward = replace(CALM, coordinate=3.4)
    assert terms(forward)["position"] == pytest.approx(0.4)
    assert terms(replace(CALM, coordinate=2.6))["position"] == pytest.approx(-0.4)
    paper = ONES.model_copy(update={"position": ONES.position.model_copy(update={"measure": "coordinate"})})
    assert terms(forward, paper)["position"] == pytest.approx(3.4)


def test_energy_rewards_a_fall_below_the_reference_and_saturates() -> None:
    assert terms(replace(CALM, energy=-100.5))["energy"] == pytest.approx(+0.5)
    assert terms(replace(CALM, energy=-99.5))["energy"] == pytest.approx(-0.5)
    assert terms(replace(CALM, energy=-150.0))["energy"] == ONES.energy.clip
    assert terms(replace(CALM, energy=-50.0))["energy"] == -ONES.energy.clip


def test_barrier_punishes_only_a_new_height() -> None:
    assert terms(replace(CALM, energy=-99.5))["barrier"] == 0.0
    assert terms(replace(CALM, energy=-98.25))["barrier"] == pytest.approx(-0.75)


def test_density_punishes_atoms_that_are_too_near() -> None:
    near = replace(CALM, distances=np.array([0.65, 1.3, 2.0]))  # radius 1.3 Å: half an overlap, none, none
    assert terms(near)["density"] == pytest.approx(-0.5)


def test_distance_punishes_beyond_the_threshold() -> None:
    assert terms(replace(CALM, tether_length=1.0))["distance"] == 0.0
    assert terms(replace(CALM, tether_length=1.4))["distance"] == pytest.approx(-0.4)


@pytest.mark.parametrize("term", REWARD_TERMS)
def test_each_term_has_its_weight_and_its_switch(term: str) -> None:
    busy = Outcome(3.0, 3.4, -98.0, -97.5, -98.5, np.array([0.5]), 1.7)
    whole = terms(busy)
    assert all(whole.values())
    doubled = Rewards.model_validate({t: {"weight": 2.0 if t == term else 1.0} for t in REWARD_TERMS})
    off = Rewards.model_validate({t: {"weight": 1.0, "enabled": t != term} for t in REWARD_TERMS})
    assert terms(busy, doubled) == pytest.approx({**whole, term: 2 * whole[term]})
    assert terms(busy, off) == pytest.approx({**whole, term: 0.0})


def test_a_failure_costs_the_time_of_all_actions_left() -> None:
    values = dict(zip(REWARD_TERMS, failure_terms(ONES, actions_left=9), strict=True))
    assert values == {**dict.fromkeys(REWARD_TERMS, 0.0), "time": -10.0}
