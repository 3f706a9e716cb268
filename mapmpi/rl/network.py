"""The Q function as a torch module, for the learner."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from mapmpi import config
from mapmpi.rl.architecture import GRID_MAX, Convolution, Stream, architecture
from mapmpi.rl.pairs import Pairs


class QNetwork(nn.Module):
    """A 3-D convolutional network from states (B, C, G, G, G) to the values of all actions (B, A)."""

    def __init__(self, shape: tuple[int, ...], actions: int, network: config.NetworkSettings) -> None:
        super().__init__()
        self.architecture = architecture(shape, actions, network)
        # The order of these two is the order of the flat weights.
        self.convolutions = nn.Sequential(*map(_convolution, self.architecture.convolutions))
        self.streams = nn.ModuleList(map(_stream, self.architecture.streams))
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return Q (B, A) float32 of states (B, C, G, G, G) uint8, computed in float32."""
        return self.values(as_grid(states))

    def values(self, grid: torch.Tensor, pairs: Pairs | None = None) -> torch.Tensor:
        """Return Q (B, A) float32 of a grid, all but the output layer computed in the grid's precision.

        The grid is ``as_grid``'s, or that of ``pairs``.
        """
        layers = self.architecture.convolutions
        for layer, (kernel, bias) in zip(layers, map(nn.Module.parameters, self.convolutions), strict=True):
            weight: torch.Tensor = kernel
            stride, padding = (layer.stride,) * 3, (layer.padding,) * 3
            if layer is layers[0]:
                weight = weight / GRID_MAX  # a thousand numbers, in place of all grids
                if pairs is not None:
                    weight, stride, padding = pairs.kernel(weight), pairs.stride, pairs.padding
            weight = weight.to(grid.dtype)
            grid = functional.conv3d(grid, weight, bias.to(grid.dtype), stride, padding).relu_()
        features = grid.flatten(1)
        outputs = [_values(features, *stream.parameters()) for stream in self.streams]
        if len(outputs) == 1:
            return outputs[0]
        value, advantage = outputs
        return value + advantage - advantage.mean(dim=1, keepdim=True)  # Wang et al. 2016, Eq. 9


def as_grid(states: torch.Tensor, precision: torch.dtype = torch.float32) -> torch.Tensor:
    """Return states (B, C, G, G, G) uint8 as convolutions read them fastest: in a precision, channels last."""
    return states.to(precision, memory_format=torch.channels_last_3d)


def _values(features: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
    """Return what a stream gives; the last layer in float32, as bfloat16 would round the values to 3 digits."""
    weight, bias, last_weight, last_bias = parameters
    hidden = functional.linear(features, weight.to(features.dtype), bias.to(features.dtype)).relu_()
    return functional.linear(hidden.float(), last_weight, last_bias)


def _convolution(layer: Convolution) -> nn.Module:
    convolution = nn.Conv3d(layer.inputs, layer.outputs, layer.kernel, layer.stride, layer.padding)
    return nn.Sequential(convolution, nn.ReLU())


def _stream(layer: Stream) -> nn.Module:
    return nn.Sequential(nn.Linear(layer.inputs, layer.hidden), nn.ReLU(), nn.Linear(layer.hidden, layer.outputs))


def pack(module: QNetwork) -> np.ndarray:
    """Return all parameters as one flat float32 vector (architecture.size,), a copy."""
    return flatten([parameter.detach() for parameter in module.parameters()])


def flatten(tensors: list[torch.Tensor]) -> np.ndarray:
    """Return tensors one after the other as a flat float32 vector, whatever their memory format and device."""
    return np.concatenate([tensor.cpu().numpy().ravel() for tensor in tensors])


@torch.no_grad()
def unpack(module: QNetwork, flat: np.ndarray) -> None:
    """Set all parameters from a flat vector as ``pack`` makes it; ValueError for another length."""
    for parameter, array in zip(module.parameters(), module.architecture.split(flat), strict=True):
        parameter.copy_(torch.tensor(array))
