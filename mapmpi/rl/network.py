"""The Q function as a torch module, for the learner."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from mapmpi import config
from mapmpi.rl.architecture import GRID_MAX, Convolution, Stream, architecture


class QNetwork(nn.Module):
    """A 3-D convolutional network from states (B, C, G, G, G) to the values of all actions (B, A)."""

    def __init__(self, shape: tuple[int, ...], actions: int, network: config.Network) -> None:
        super().__init__()
        self.architecture = architecture(shape, actions, network)
        # The order of these two is the order of the flat weights.
        self.convolutions = nn.Sequential(*map(_convolution, self.architecture.convolutions))
        self.streams = nn.ModuleList(map(_stream, self.architecture.streams))
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return Q (B, A) float32 of states (B, C, G, G, G) uint8."""
        grid = states.to(torch.float32, memory_format=torch.channels_last_3d) / GRID_MAX
        features = self.convolutions(grid).flatten(1)
        outputs = [stream(features) for stream in self.streams]
        if len(outputs) == 1:
            return outputs[0]
        value, advantage = outputs
        return value + advantage - advantage.mean(dim=1, keepdim=True)  # Wang et al. 2016, Eq. 9


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
