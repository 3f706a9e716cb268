"""The learner: targets, the update, and what it learns."""

import numpy as np
import pytest
import torch

from mapmpi import config
from mapmpi.errors import UserError
from mapmpi.rl import arithmetic
from mapmpi.rl.dqn import MARGIN, Learner, shortfall, td_targets
from mapmpi.rl.inference import QFunction
from mapmpi.rl.network import QNetwork, pack, unpack
from mapmpi.rl.replay import PRIORITY_OFFSET, Replay
from mapmpi.rl.returns import NO_STATE, TRANSITION, NStep
from mapmpi.store.records import NO_ACTION

torch.set_num_threads(1)

SHAPE = (1, 4, 4, 4)
NETWORK = config.NetworkSettings(channels=[8], hidden=32, dueling=False)


def learner_on(records, network=NETWORK, actions=2, alpha=1.0, beta=0.4, advised=NO_ACTION, **learning):
    """Return a learner whose buffer has a state for every record and one after them."""
    replay = Replay(
        SHAPE, config.ReplaySettings(capacity=100, priority_exponent=alpha, importance_exponent=beta), 1
    )
    rng = np.random.default_rng(0)
    for sequence in range(len(records) + 1):
        replay.add_state(0, sequence, rng.integers(0, 256, SHAPE, dtype=np.uint8))
    transitions = np.array([(*record, advised) for record in records], TRANSITION)
    assert replay.add_transitions(0, transitions) == len(records)
    learning = {"device": "cpu", "precision": "float32", **learning}
    return Learner(SHAPE, actions, network, config.Learning(**learning), replay, seed=1)


def constant(module: QNetwork, q):
    """Make Q(s, ·) = q for every state."""
    unpack(module, np.zeros(module.architecture.size, np.float32))
    with torch.no_grad():
        module.streams[-1][2].bias.copy_(torch.tensor(q))


def test_targets_by_hand():
    next_q = torch.tensor([[1.0, 5.0, 3.0]]).repeat(4, 1)
    choosing_q = torch.tensor([[2.0, 0.0, 1.0]]).repeat(4, 1)
    returns = torch.tensor([1.0, 1.0, 1.0, 1.0])
    discounts = torch.tensor([0.5, 0.5, 0.0, 0.25])
    forbidden = torch.tensor([NO_ACTION, 1, NO_ACTION, 0], dtype=torch.int16)
    vanilla = td_targets(returns, discounts, forbidden, next_q, next_q)
    np.testing.assert_allclose(vanilla, [3.5, 2.5, 1.0, 2.25])
    double = td_targets(returns, discounts, forbidden, next_q, choosing_q)
    np.testing.assert_allclose(double, [1.5, 1.5, 1.0, 1.75])


@pytest.mark.parametrize(
    ("double", "forbidden", "target"),
    [
        (False, NO_ACTION, 1 + 0.5 * 5),
        (True, NO_ACTION, 1 + 0.5 * 2),
        (False, 1, 1 + 0.5 * 2),
        (True, 0, 1 + 0.5 * 5),
    ],
)
def test_update_takes_the_right_target(double, forbidden, target):
    learner = learner_on([(0, 1, 1, forbidden, 1.0, 0.5, 1.0)], double=double, batch=4)
    constant(learner.behaviour, [4.0, -10.0])
    constant(learner.target, [2.0, 5.0])
    stats = learner.update()
    assert stats.q == pytest.approx(-10.0)
    assert stats.td_error == pytest.approx(target + 10.0)
    assert stats.loss == pytest.approx((target + 10.0) ** 2)
    priority = learner.replay.state_dict()["priorities"][0]
    assert priority == pytest.approx(target + 10.0 + PRIORITY_OFFSET)


def test_terminal_transitions_ignore_what_follows():
    learner = learner_on([(0, NO_STATE, 0, NO_ACTION, 3.0, 0.0, 1.0)], batch=2)
    constant(learner.behaviour, [0.0, 0.0])
    constant(learner.target, [100.0, 100.0])
    assert learner.update().td_error == pytest.approx(3.0)


def test_loss_is_weighted_by_importance():
    # Priorities 1 and 3, β = 1, all four strata: slot 0 once with weight 1, slot 1 three times with weight 1/3.
    error = np.array([1.0, 3.0]) - PRIORITY_OFFSET
    records = [(0, NO_STATE, 0, NO_ACTION, 1.0, 0.0, error[0]), (1, NO_STATE, 0, NO_ACTION, 6.0, 0.0, error[1])]
    learner = learner_on(records, beta=1.0, batch=4)
    constant(learner.behaviour, [0.0, 0.0])
    stats = learner.update()
    assert stats.loss == pytest.approx((1 * 1.0**2 + 3 * 6.0**2 / 3) / 4)
    assert stats.td_error == pytest.approx((1 + 3 * 6) / 4)


def test_what_an_advised_action_falls_short_by_hand():
    q = torch.tensor([[1.0, 1.2, 0.0]]).repeat(4, 1)
    advised = torch.tensor([0, 1, 2, NO_ACTION], dtype=torch.int16)
    np.testing.assert_allclose(shortfall(q, advised), [0.2 + MARGIN, MARGIN - 0.2, 1.2 + MARGIN, 0.0], rtol=1e-6)
    assert shortfall(torch.tensor([[MARGIN + 0.1, 0.0]]), torch.tensor([0])) == 0.0


def test_what_is_not_learned_yet_is_replayed_sooner():
    learner = learner_on([(0, NO_STATE, 1, NO_ACTION, 3.0, 0.0, 1.0)], batch=2, advised=0, imitation=2.0)
    constant(learner.behaviour, [0.0, 1.0])
    stats = learner.update()
    assert stats.td_error == pytest.approx(2.0)
    assert stats.loss == pytest.approx(2.0**2 + 2.0 * (1.0 + MARGIN))
    priority = learner.replay.state_dict()["priorities"][0]
    assert priority == pytest.approx(2.0 + 2.0 * (1.0 + MARGIN) + PRIORITY_OFFSET)


def test_what_is_advised_is_learned_though_another_action_was_taken():
    record = (0, NO_STATE, 1, NO_ACTION, 3.0, 0.0, 1.0)
    for advised, imitation, chosen in ((0, 3.0, 0), (0, 0.0, 1), (NO_ACTION, 3.0, 1)):
        learner = learner_on([record], batch=2, learning_rate=1e-2, advised=advised, imitation=imitation)
        constant(learner.behaviour, [0.0, 1.0])
        for _ in range(300):
            learner.update()
        q = QFunction(SHAPE, 2, NETWORK)
        q.load(learner.weights())
        values = q(learner.replay.state_dict()["states"].rows[0])
        assert values.argmax() == chosen
        if chosen == 0:
            assert values[0] - values[1] > 0.9 * MARGIN
        else:
            assert values[1] == pytest.approx(3.0, abs=0.3)


def test_a_step_goes_towards_the_target():
    learner = learner_on([(0, NO_STATE, 1, NO_ACTION, 3.0, 0.0, 1.0)], batch=2, learning_rate=1e-2)
    state = learner.replay.state_dict()["states"].rows[0]
    q = QFunction(SHAPE, 2, NETWORK)
    for _ in range(100):
        learner.update()
    q.load(learner.weights())
    assert q(state)[1] == pytest.approx(3.0, abs=0.1)


def test_gradient_is_clipped():
    records = [(0, NO_STATE, 0, NO_ACTION, 1000.0, 0.0, 1.0)]
    learner = learner_on(records, batch=2, gradient_clip=0.5)
    learner.update()
    norm = torch.cat([parameter.grad.ravel() for parameter in learner.behaviour.parameters()]).norm()
    assert float(norm) == pytest.approx(0.5, rel=1e-3)


def test_a_network_that_is_lost_is_not_used_on():
    learner = learner_on([(0, NO_STATE, 0, NO_ACTION, 1.0, 0.0, 1.0)], batch=2)
    constant(learner.behaviour, [np.inf, 0.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        learner.update()


def plain_steps(learner, count):
    """Return weights, losses and |TD errors| after steps written down as the formulas have them."""
    network = QNetwork(SHAPE, 2, NETWORK)
    unpack(network, learner.weights())
    target = pack(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=learner.learning.learning_rate)
    frozen = QNetwork(SHAPE, 2, NETWORK)
    unpack(frozen, target)

    def values(module, states):
        features = module.convolutions(torch.tensor(states).float() / 255.0).flatten(1)
        return module.streams[0](features)

    losses, errors = [], []
    for update in range(count):
        batch = learner.replay.sample(learner.learning.batch, np.random.default_rng((learner.seed, update)))
        with torch.no_grad():
            next_q, choosing = values(frozen, batch.next_states), values(network, batch.next_states)
        best = next_q[torch.arange(len(next_q)), choosing.argmax(1)]
        q = values(network, batch.states)[torch.arange(len(best)), torch.tensor(batch.actions)]
        td = torch.tensor(batch.returns) + torch.tensor(batch.discounts) * best - q
        loss = (torch.tensor(batch.weights) * td**2).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), learner.learning.gradient_clip)
        optimizer.step()
        losses.append(float(loss))
        errors.append(float(td.abs().mean()))
    return pack(network), losses, errors


DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("precision", "near"), [("float32", 1e-5), ("bfloat16", 3e-2)])
def test_steps_are_those_of_the_formulas(device, precision, near):
    records = [(i, i + 1, i % 2, NO_ACTION, float(i % 3), 0.5, 1.0) for i in range(20)]
    # uniform sampling: the plain steps need no priorities
    learner = learner_on(records, alpha=0.0, batch=16, precision=precision, device=device)
    weights, losses, errors = plain_steps(learner, 5)
    seen = [learner.update() for _ in range(5)]
    np.testing.assert_allclose([stats.loss for stats in seen], losses, rtol=near)
    np.testing.assert_allclose([stats.td_error for stats in seen], errors, rtol=near)
    moved = np.linalg.norm(weights - learner_on([]).weights())
    assert np.linalg.norm(learner.weights() - weights) < (1e-3 if precision == "float32" else 0.3) * moved


def test_precision_follows_the_processor_and_a_deterministic_training(monkeypatch):
    cpu = torch.device("cpu")
    for there, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(arithmetic, "has_matrix_unit", lambda there=there: there)
        assert arithmetic.choose_precision(config.Learning(), cpu) is expected
    monkeypatch.setattr(arithmetic, "has_matrix_unit", lambda: True)
    assert arithmetic.choose_precision(config.Learning(), torch.device("cuda")) is torch.float32
    assert arithmetic.choose_precision(config.Learning(precision="float32"), cpu) is torch.float32
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    assert arithmetic.choose_precision(config.Learning(), cpu) is torch.float32
    assert arithmetic.choose_precision(config.Learning(precision="bfloat16"), cpu) is torch.bfloat16


def test_a_gpu_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert arithmetic.choose_device(config.Learning()).type == "cpu"
    with pytest.raises(UserError, match=r"learning\.device"):
        arithmetic.choose_device(config.Learning(device="cuda"))


def test_target_network_is_copied_at_its_interval_only():
    learner = learner_on([(0, 1, 1, NO_ACTION, 1.0, 0.5, 1.0)], target_interval=3, batch=4)
    first = pack(learner.target)
    np.testing.assert_array_equal(first, learner.weights())
    for updates in (1, 2):
        learner.update()
        assert learner.updates == updates
        np.testing.assert_array_equal(pack(learner.target), first)
        assert not np.array_equal(learner.weights(), first)
    learner.update()
    np.testing.assert_array_equal(pack(learner.target), learner.weights())
    learner.update()
    assert not np.array_equal(pack(learner.target), learner.weights())


def test_seed_decides_the_weights_and_leaves_torch_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = learner_on([]).weights()
    torch.testing.assert_close(torch.rand(3), expected)
    np.testing.assert_array_equal(learner_on([]).weights(), first)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_restart_goes_on_as_if_nothing_had_been(precision):
    records = [(i, i + 1, i % 2, NO_ACTION, float(i), 0.5, 1.0) for i in range(20)]
    settings = {"target_interval": 4, "batch": 8, "precision": precision}
    straight, stopped = (learner_on(records, **settings) for _ in range(2))
    for _ in range(6):
        straight.update()
        stopped.update()
    resumed = learner_on(records, **settings)
    resumed.update()  # has a state of its own to be replaced
    resumed.load_state_dict({key: array.copy() for key, array in stopped.state_dict().items()})
    resumed.replay.load_state_dict(stopped.replay.state_dict())
    for _ in range(5):
        assert resumed.update() == straight.update()
    assert resumed.updates == straight.updates == 11
    np.testing.assert_array_equal(resumed.weights(), straight.weights())
    np.testing.assert_array_equal(pack(resumed.target), pack(straight.target))


def test_checkpoint_of_another_network_is_refused():
    other = learner_on([], network=config.NetworkSettings(channels=[4], hidden=3))
    with pytest.raises(UserError, match="network"):
        learner_on([]).load_state_dict(other.state_dict())


@pytest.mark.parametrize(("paper", "precision"), [(True, "float32"), (False, "float32"), (False, "bfloat16")])
def test_values_of_a_chain_are_learned(paper, precision):
    """States 0 … 4 in a row, left and right; 1 for stepping off the right end, -0.1 for every action."""
    gamma, end = 0.8, 5
    states = np.zeros((end, *SHAPE), np.uint8)
    for i in range(end):
        states[i].reshape(-1)[12 * i : 12 * i + 12] = 250

    def move(place, action):
        place = max(place - 1, 0) if action == 0 else place + 1
        return place, (1.0 if place == end else 0.0) - 0.1

    exact = np.zeros((end, 2))
    for _ in range(200):
        for place in range(end):
            for action in (0, 1):
                after, reward = move(place, action)
                exact[place, action] = reward + (gamma * exact[after].max() if after < end else 0.0)

    replay = Replay(SHAPE, config.ReplaySettings(capacity=2000), 1)
    returns, rng, sequence, place = NStep(1, gamma), np.random.default_rng(3), 0, 0
    replay.add_state(0, sequence, states[place])
    returns.start(sequence, np.zeros(2))
    for _ in range(600):
        action = int(rng.integers(2))
        place, reward = move(place, action)
        ended = place == end
        sequence += 1
        records = returns.step(action, reward, sequence, np.zeros(2), ended="terminal" if ended else "")
        if ended:
            place = int(rng.integers(end))
            returns.start(sequence, np.zeros(2))
        replay.add_state(0, sequence, states[place])
        assert replay.add_transitions(0, records) == 1

    network = config.NetworkSettings(channels=[8], hidden=32, dueling=not paper)
    learning = config.Learning(
        double=not paper, batch=64, learning_rate=3e-3, target_interval=25, device="cpu", precision=precision
    )
    learner = Learner(SHAPE, 2, network, learning, replay, seed=2)
    for _ in range(700):
        learner.update()
    q = QFunction(SHAPE, 2, network)
    q.load(learner.weights())
    np.testing.assert_allclose([q(state) for state in states], exact, atol=0.05)
