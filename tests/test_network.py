"""The Q function: torch and numpy from one architecture."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from mapmpi import config
from mapmpi.rl.architecture import architecture
from mapmpi.rl.inference import QFunction
from mapmpi.rl.network import QNetwork, as_grid, pack, unpack
from mapmpi.rl.pairs import Pairs

torch.set_num_threads(1)

CASES = [
    ((3, 16, 16, 16), 5, config.NetworkSettings()),
    ((3, 16, 16, 16), 5, config.NetworkSettings(dueling=False)),
    ((2, 13, 13, 13), 26, config.NetworkSettings(kernel=5, channels=[7, 5], hidden=11)),
    ((1, 9, 9, 9), 6, config.NetworkSettings(channels=[4, 4, 4, 4, 4], hidden=9)),  # deep enough to reach stride 1
    ((4, 4, 4, 4), 2, config.NetworkSettings(kernel=5, channels=[3], hidden=8, dueling=False)),
]


def networks(case):
    torch.manual_seed(0)
    module, function = QNetwork(*case), QFunction(*case)
    function.load(pack(module))
    return module, function


@pytest.mark.parametrize("case", CASES)
def test_numpy_equals_torch(case):
    module, function = networks(case)
    states = np.random.default_rng(0).integers(0, 256, (4, *case[0]), dtype=np.uint8)
    expected = module(torch.from_numpy(states)).detach().numpy()
    q = np.array([function(state) for state in states])
    assert q.dtype == np.float32
    np.testing.assert_allclose(q, expected, atol=1e-5)
    assert np.ptp(q, axis=0).min() > 1e-5  # it does depend on the state


@pytest.mark.parametrize("case", CASES)
def test_bfloat16_is_near_and_pairs_change_nothing(case):
    torch.manual_seed(0)
    module = QNetwork(*case)
    states = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, *case[0]), dtype=np.uint8))
    pairs = Pairs(module.architecture.convolutions[0], 4)
    pairs.grid(255 - states)  # leaves nothing behind
    exact, rounded = module(states), module.values(as_grid(states, torch.bfloat16))
    in_pairs = module.values(pairs.grid(states), pairs)
    scale = 1.0 + float(exact.detach().abs().max())  # Q of untrained networks is smaller than their features
    assert in_pairs.dtype == rounded.dtype == torch.float32
    np.testing.assert_allclose(rounded.detach(), exact.detach(), atol=0.01 * scale)
    np.testing.assert_allclose(in_pairs.detach(), rounded.detach(), atol=0.002 * scale)
    wanted = [
        torch.cat([slope.ravel() for slope in torch.autograd.grad(q.square().sum(), module.parameters())])
        for q in (exact, in_pairs)
    ]
    assert float((wanted[0] - wanted[1]).norm() / wanted[0].norm()) < 0.05


@pytest.mark.parametrize(("side", "kernel"), [(16, 3), (13, 3), (12, 5), (9, 5), (4, 3)])
def test_pairs_make_the_same_sums(side, kernel):
    case = (2, side, side, side), 3, config.NetworkSettings(kernel=kernel, channels=[4])
    layer = QNetwork(*case).architecture.convolutions[0]
    pairs = Pairs(layer, 2)
    random = torch.Generator().manual_seed(1)
    states = torch.randint(0, 256, (2, 2, side, side, side), generator=random, dtype=torch.uint8)
    weight = torch.randint(
        -8, 9, (4, 2, kernel, kernel, kernel), generator=random
    ).float()  # sums without rounding
    plain = torch.nn.functional.conv3d(states.float(), weight, None, 2, kernel // 2)
    grid, taps = pairs.grid(states).float(), pairs.kernel(weight)
    torch.testing.assert_close(
        torch.nn.functional.conv3d(grid, taps, None, pairs.stride, pairs.padding), plain, rtol=0, atol=0
    )


@pytest.mark.parametrize("case", CASES)
def test_weights_survive_the_flat_vector(case):
    module, function = networks(case)
    flat = pack(module)
    assert flat.dtype == np.float32
    assert flat.shape == (function.architecture.size,) == (sum(p.numel() for p in module.parameters()),)
    shapes = [tuple(parameter.shape) for parameter in module.parameters()]
    assert shapes == list(function.architecture.shapes)
    other = QNetwork(*case)
    assert not np.array_equal(pack(other), flat)
    unpack(other, flat)
    for mine, theirs in zip(module.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_loaded_weights_are_a_copy():
    module, function = networks(CASES[0])
    flat = pack(module)
    function.load(flat)
    state = np.full(CASES[0][0], 200, np.uint8)
    before = function(state).copy()
    flat[:] = 0.0
    np.testing.assert_array_equal(function(state), before)


def test_wrong_weights_are_refused():
    module, function = networks(CASES[0])
    with pytest.raises(ValueError, match=r"109414 parameters.*109413"):
        function.load(pack(module)[:-1])
    with pytest.raises(RuntimeError, match="load"):
        QFunction(*CASES[0])(np.zeros(CASES[0][0], np.uint8))


def test_convolutions_halve_the_side_while_two_points_remain():
    layers = architecture((1, 9, 9, 9), 6, config.NetworkSettings(channels=[4] * 5)).convolutions
    assert [layer.side for layer in layers] == [9, 5, 3, 2, 2]
    assert [layer.stride for layer in layers] == [2, 2, 2, 1, 1]


def test_dueling_adds_the_advantage_less_its_mean():
    module = QNetwork((1, 4, 4, 4), 3, config.NetworkSettings(channels=[2], hidden=2))
    unpack(module, np.zeros(module.architecture.size, np.float32))
    value, advantage = (stream[2].bias for stream in module.streams)
    with torch.no_grad():
        value.fill_(10.0)
        advantage.copy_(torch.tensor([1.0, 2.0, 6.0]))
    q = module(torch.zeros(1, 1, 4, 4, 4, dtype=torch.uint8))
    np.testing.assert_allclose(q.detach().numpy(), [[8.0, 9.0, 13.0]])


def test_agents_do_not_import_torch():
    rooms = "exploration, inference, replay, returns"
    code = f"import sys; from mapmpi.rl import {rooms}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
