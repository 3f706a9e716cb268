"""Prioritized replay and n-step returns."""

from collections import deque
from copy import deepcopy

import numpy as np
import pytest

from mapmpi import config
from mapmpi.errors import UserError
from mapmpi.rl.replay import PRIORITY_OFFSET, RECENT, Replay
from mapmpi.rl.returns import NO_STATE, TRANSITION, NStep
from mapmpi.rl.sumtree import SumTree
from mapmpi.store.records import NO_ACTION

SHAPE = (1, 2, 2, 2)


def transition(
    sequence, next_sequence, td_error=1.0, action=0, forbidden=NO_ACTION, ret=0.0, discount=0.9, advised=NO_ACTION
):
    return np.array([(sequence, next_sequence, action, forbidden, ret, discount, td_error, advised)], TRANSITION)


def buffer(capacity=100, streams=1, alpha=1.0, beta=0.4):
    settings = config.ReplaySettings(capacity=capacity, priority_exponent=alpha, importance_exponent=beta)
    return Replay(SHAPE, settings, streams)


def filled(priorities, **settings):
    """Return a buffer whose slots 0, 1, … have transitions of these priorities (at α = 1)."""
    replay = buffer(**settings)
    for sequence, priority in enumerate(priorities):
        replay.add_state(0, sequence, np.full(SHAPE, sequence, np.uint8))
        replay.add_transitions(0, transition(sequence, NO_STATE, priority - PRIORITY_OFFSET))
    return replay


# --- sum tree


@pytest.mark.parametrize("capacity", [1, 2, 5, 64, 101])
def test_tree_finds_where_the_running_sum_exceeds(capacity):
    rng = np.random.default_rng(capacity)
    priorities = rng.integers(0, 4, capacity).astype(float)
    priorities[rng.integers(capacity)] = 2.0
    tree = SumTree(capacity)
    tree.set(np.arange(capacity), np.full(capacity, 7.0))
    tree.set(np.arange(capacity), priorities)
    assert tree.total == priorities.sum()
    sums = np.arange(0, priorities.sum(), 0.5)
    np.testing.assert_array_equal(tree.find(sums), np.searchsorted(np.cumsum(priorities), sums, side="right"))


def test_tree_never_finds_a_zero_even_beyond_the_total():
    tree = SumTree(6)
    tree.set(np.array([1, 3]), np.array([0.1, 0.2]))
    np.testing.assert_array_equal(tree.find(np.array([0.0, 0.1, tree.total, 1.0])), [1, 3, 3, 3])


def test_tree_takes_the_last_of_repeated_indices():
    tree = SumTree(4)
    tree.set(np.array([2, 2, 1]), np.array([5.0, 3.0, 1.0]))
    np.testing.assert_array_equal(tree.leaves, [0, 1, 3, 0])
    assert tree.total == 4.0


# --- sampling


def test_sampling_is_proportional():
    replay = filled([1.0, 2.0, 3.0, 4.0])
    rng = np.random.default_rng(0)
    counts = sum(np.bincount(replay.sample(10, rng).slots, minlength=4) for _ in range(1000))
    expected = np.array([1000, 2000, 3000, 4000])
    assert ((counts - expected) ** 2 / expected).sum() < 11.3  # χ², 3 degrees of freedom, p = 0.01


def test_sampling_is_stratified():
    replay = filled([1.0] * 8)
    np.testing.assert_array_equal(replay.sample(8, np.random.default_rng(0)).slots, np.arange(8))


def test_priority_exponent_zero_samples_evenly():
    replay = filled([1.0, 1000.0], alpha=0.0)
    np.testing.assert_array_equal(replay.sample(4, np.random.default_rng(0)).slots, [0, 0, 1, 1])


def test_importance_weights_by_hand():
    replay = filled([1.0, 3.0, 4.0], beta=0.5)
    batch = replay.sample(8, np.random.default_rng(0))  # eighths of Σp = 8: one of slot 0, three of 1, four of 2
    np.testing.assert_array_equal(batch.slots, [0, 1, 1, 1, 2, 2, 2, 2])
    # N·P = 3/8, 9/8, 12/8; to the power -1/2 and over the largest: 1, 1/√3, 1/2
    np.testing.assert_allclose(batch.weights, [1.0, *[3**-0.5] * 3, *[0.5] * 4], rtol=1e-6)


def test_update_sets_priorities_from_td_errors():
    replay = filled([1.0, 1.0], alpha=0.5)
    replay.update(np.array([0, 1]), np.array([-9.0, 4.0]) + np.array([1, -1]) * PRIORITY_OFFSET)
    np.testing.assert_allclose(replay.state_dict()["priorities"], [3.0, 2.0])
    replay.update(np.array([0]), np.array([0.0]))
    assert replay.state_dict()["priorities"][0] > 0.0


def test_states_without_transition_are_not_sampled():
    replay = buffer()
    with pytest.raises(ValueError):
        replay.sample(1, np.random.default_rng(0))
    for sequence in range(10):
        replay.add_state(0, sequence, np.full(SHAPE, sequence, np.uint8))
    assert len(replay) == 0
    assert (
        replay.add_transitions(0, transition(3, 6, action=2, forbidden=1, ret=5.0, discount=0.25, advised=4)) == 1
    )
    assert len(replay) == 1
    batch = replay.sample(4, np.random.default_rng(0))
    assert set(batch.slots) == {3}
    assert (batch.states == 3).all()
    assert (batch.next_states == 6).all()
    for values, expected in [
        (batch.actions, 2), (batch.next_forbidden, 1), (batch.advised, 4),
        (batch.returns, 5.0), (batch.discounts, 0.25),
    ]:  # fmt: skip
        np.testing.assert_array_equal(values, expected)


def test_useless_transitions_are_dropped():
    replay = buffer(streams=2)
    for sequence in range(3):
        replay.add_state(0, sequence, np.zeros(SHAPE, np.uint8))
    dropped = [transition(2, 3), transition(5, 2), transition(2, 1), transition(0, 1, td_error=np.nan)]
    assert replay.add_transitions(0, np.concatenate(dropped)) == 0
    assert replay.add_transitions(1, transition(0, 1)) == 0
    assert len(replay) == 0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ring_against_a_plain_reference(seed):
    """Interleaved streams of unequal speed, late transitions, overwriting: every sample must be a true one."""
    rng = np.random.default_rng(seed)
    streams, capacity = 4, 101
    replay = buffer(capacity, streams, alpha=0.6)
    ring = deque(maxlen=capacity)  # (stream, sequence) of the states that are in the buffer
    known = {}  # (stream, sequence) → the record, accepted
    sent = [-1] * streams
    late = []
    accepted = refused = checked = 0

    def identity(stream, sequence):
        return np.array([stream, sequence >> 8, sequence & 255, 17, 0, 0, 0, 0], np.uint8).reshape(SHAPE)

    for step in range(4000):
        stream = int(rng.choice(streams, p=[0.6, 0.3, 0.08, 0.02]))
        sent[stream] += 1
        replay.add_state(stream, sent[stream], identity(stream, sent[stream]))
        ring.append((stream, sent[stream]))
        known = {key: record for key, record in known.items() if key in ring}
        if (first := sent[stream] - int(rng.integers(1, 5))) >= 0:
            ends = rng.random() < 0.1
            record = transition(
                first, NO_STATE if ends else sent[stream], rng.exponential(), rng.integers(5),
                rng.integers(-1, 5), rng.normal(), 0.0 if ends else 0.9,
            )  # fmt: skip
            late.append((step + int(rng.integers(100) * (rng.random() < 0.3)), stream, record))
        for item in [item for item in late if item[0] <= step]:
            late.remove(item)
            _, stream, record = item
            first, following = int(record["sequence"][0]), int(record["next_sequence"][0])
            needed = {first} if following == NO_STATE else {first, following}
            here = all((stream, s) in ring and s > sent[stream] - RECENT for s in needed)
            assert replay.add_transitions(stream, record) == here
            if here:
                known[stream, first] = record[0]
            accepted, refused = accepted + here, refused + (not here)
        assert len(replay) == len(known)
        if step % 20 == 19:
            batch = replay.sample(16, rng)
            for i in range(16):
                state = batch.states[i].ravel().astype(int)
                stream, sequence = state[0], state[1] * 256 + state[2]
                record = known[stream, sequence]
                assert batch.actions[i] == record["action"]
                assert batch.returns[i] == record["ret"]
                assert batch.discounts[i] == record["discount"]
                assert batch.next_forbidden[i] == record["next_forbidden"]
                if record["next_sequence"] != NO_STATE:
                    np.testing.assert_array_equal(batch.next_states[i], identity(stream, record["next_sequence"]))
                checked += 1
            replay.update(batch.slots, rng.normal(size=16))
    assert accepted > 3000
    assert refused > 100
    assert checked == 3200


def test_a_checkpoint_of_before_anything_was_advised():
    replay, other = filled([1.0, 2.0]), buffer()
    state = deepcopy(replay.state_dict())
    del state["advised"]
    other.load_state_dict(state)
    assert (other.sample(4, np.random.default_rng(1)).advised == NO_ACTION).all()


@pytest.mark.parametrize("states", [60, 250])
def test_checkpoint_restores_what_is_sampled(states):
    replay, other = buffer(), buffer(streams=3)
    for sequence in range(states):
        replay.add_state(0, sequence, np.full(SHAPE, sequence, np.uint8))
        if sequence % 2:
            record = transition(sequence - 1, sequence, sequence, sequence % 5, ret=sequence, advised=sequence % 3)
            replay.add_transitions(0, record)
    for sequence in (states - 2, states - 1):
        other.add_state(0, sequence, np.zeros(SHAPE, np.uint8))
    other.load_state_dict(deepcopy(replay.state_dict()))
    assert len(other) == len(replay) > 20
    mine, theirs = replay.sample(32, np.random.default_rng(5)), other.sample(32, np.random.default_rng(5))
    for name, array in vars(mine).items():
        np.testing.assert_array_equal(vars(theirs)[name], array, err_msg=name)
    assert other.add_state(0, 0, np.zeros(SHAPE, np.uint8)) == states % 100
    assert other.add_transitions(0, transition(states - 2, states - 1)) == 0  # it belongs to the old agents


def test_batches_lie_in_memory_as_the_network_reads_them():
    replay = Replay((2, 4, 4, 4), config.ReplaySettings(capacity=100), 1)
    state = np.arange(2 * 4**3, dtype=np.uint8).reshape(2, 4, 4, 4)
    replay.add_state(0, 0, state)
    replay.add_transitions(0, np.array([(0, NO_STATE, 0, NO_ACTION, 1.0, 0.0, 1.0, NO_ACTION)], TRANSITION))
    batch = replay.sample(3, np.random.default_rng(0))
    np.testing.assert_array_equal(batch.states, [state] * 3)
    for states in (batch.states, batch.next_states):
        assert np.moveaxis(states, 1, -1).flags.c_contiguous


def test_checkpoint_of_another_capacity_is_refused():
    replay = filled([1.0] * 150)
    with pytest.raises(UserError, match=r"replay\.capacity"):
        buffer(capacity=120).load_state_dict(replay.state_dict())


# --- n-step returns


def test_three_step_returns_by_hand():
    returns = NStep(3, 0.5)
    returns.start(10, np.array([1.0, 2.0]))
    assert len(returns.step(1, 4.0, 11, np.array([0.0, 0.0]))) == 0
    assert len(returns.step(0, 2.0, 12, np.array([0.0, 0.0]))) == 0
    (record,) = returns.step(0, 8.0, 13, np.array([24.0, 80.0]), next_forbidden=1)
    # 4 + 2/2 + 8/4 = 7, γ³ = 1/8, best allowed 24: |7 + 3 - 2| = 8
    assert record.tolist() == (10, 13, 1, 1, 7.0, 0.125, 8.0, NO_ACTION)
    (record,) = returns.step(1, 0.0, 14, np.array([16.0, -1.0]))
    assert record.tolist() == (11, 14, 0, NO_ACTION, 6.0, 0.125, 8.0, NO_ACTION)  # 2 + 8/2; |6 + 2 - 0|


def test_terminal_end_has_nothing_after_it():
    returns = NStep(3, 0.5)
    returns.start(0, np.array([1.0, 0.0]))
    returns.step(0, 4.0, 1, np.array([0.0, 3.0]), advised=1)
    records = returns.step(1, 2.0, 2, np.array([100.0, 100.0]), next_forbidden=0, ended="terminal")
    assert records.tolist() == [
        (0, NO_STATE, 0, NO_ACTION, 5.0, 0.0, 4.0, 1),
        (1, NO_STATE, 1, NO_ACTION, 2.0, 0.0, 1.0, NO_ACTION),
    ]


def test_truncated_end_continues_from_the_final_state():
    returns = NStep(3, 0.5)
    returns.start(0, np.array([1.0, 0.0]))
    returns.step(0, 4.0, 1, np.array([0.0, 3.0]))
    records = returns.step(1, 2.0, 2, np.array([100.0, 8.0]), next_forbidden=0, ended="truncated", advised=0)
    # k = 2: |5 + 8/4 - 1| = 6; k = 1: |2 + 8/2 - 3| = 3
    assert records.tolist() == [(0, 2, 0, 0, 5.0, 0.25, 6.0, NO_ACTION), (1, 2, 1, 0, 2.0, 0.5, 3.0, 0)]


def test_what_is_open_when_an_episode_is_cut_continues_from_where_it_is():
    returns = NStep(3, 0.5)
    returns.start(0, np.array([1.0, 0.0]))
    returns.step(0, 4.0, 1, np.array([0.0, 3.0]))
    returns.step(1, 2.0, 2, np.array([100.0, 8.0]))
    # the same two as above, though the episode had gone on: state 3 is state 2 again
    records = returns.cut(3, np.array([100.0, 8.0]), next_forbidden=0)
    assert records.tolist() == [(0, 3, 0, 0, 5.0, 0.25, 6.0, NO_ACTION), (1, 3, 1, 0, 2.0, 0.5, 3.0, NO_ACTION)]
    with pytest.raises(RuntimeError, match="start"):
        returns.step(0, 1.0, 4, np.zeros(2))


def test_each_state_of_an_episode_gets_one_transition():
    returns = NStep(4, 0.9)
    for start in (0, 100):
        returns.start(start, np.zeros(2))
        parts = [
            returns.step(0, 1.0, start + i + 1, np.zeros(2), ended="truncated" if i == 9 else "")
            for i in range(10)
        ]
        records = np.concatenate(parts)
        np.testing.assert_array_equal(records["sequence"], start + np.arange(10))
        np.testing.assert_array_equal(records["next_sequence"], start + np.minimum(np.arange(10) + 4, 10))


def test_a_new_episode_drops_the_unfinished_one():
    returns = NStep(2, 0.9)
    with pytest.raises(RuntimeError, match="start"):
        returns.step(0, 1.0, 1, np.zeros(2))
    returns.start(0, np.zeros(2))
    returns.step(0, 1.0, 1, np.zeros(2))
    returns.start(5, np.zeros(2))
    assert returns.step(0, 1.0, 6, np.zeros(2), ended="terminal")["sequence"].tolist() == [5]
    with pytest.raises(RuntimeError, match="start"):
        returns.step(0, 1.0, 7, np.zeros(2))
