"""The shape of the Q network, from which the torch and the numpy side are both built.

Convolutions see the grid at ever coarser resolution; what they find goes into one fully connected stream, or
into two with dueling: the value of the state, and the advantage of each action (Wang et al. 2016).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mapmpi import config

GRID_MAX = 255.0
"""States are uint8 grids; the network sees them divided by this."""


@dataclass(frozen=True)
class Convolution:
    """A cubic convolution of a grid with ``side`` points along each axis, zero-padded by half its kernel."""

    inputs: int
    outputs: int
    side: int
    kernel: int
    stride: int

    @property
    def padding(self) -> int:
        """Rows of zeros on each face of the grid."""
        return self.kernel // 2

    @property
    def output_side(self) -> int:
        """Points along each axis of the result."""
        return (self.side - 1) // self.stride + 1


@dataclass(frozen=True)
class Stream:
    """Two fully connected layers, inputs → hidden → outputs, with a ReLU between them."""

    inputs: int
    hidden: int
    outputs: int


@dataclass(frozen=True)
class Architecture:
    """Every layer of a Q network; parameters come in the order of ``shapes``."""

    convolutions: tuple[Convolution, ...]
    streams: tuple[Stream, ...]

    @property
    def shapes(self) -> Iterator[tuple[int, ...]]:
        """Shapes of all parameter arrays, a layer's weight before its bias, as torch lays them out."""
        for layer in self.convolutions:
            yield (layer.outputs, layer.inputs, layer.kernel, layer.kernel, layer.kernel)
            yield (layer.outputs,)
        for stream in self.streams:
            yield (stream.hidden, stream.inputs)
            yield (stream.hidden,)
            yield (stream.outputs, stream.hidden)
            yield (stream.outputs,)

    @property
    def size(self) -> int:
        """Number of parameters: the length of the flat vector that holds them all."""
        return sum(int(np.prod(shape)) for shape in self.shapes)

    def split(self, flat: np.ndarray) -> list[np.ndarray]:
        """Return the parameter arrays of a flat vector (size,) as views; ValueError for another length."""
        if flat.shape != (self.size,):
            raise ValueError(f"the network has {self.size} parameters, the weights have shape {flat.shape}")
        shapes = list(self.shapes)
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
        return [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)]


def architecture(shape: tuple[int, ...], actions: int, network: config.NetworkSettings) -> Architecture:
    """Return the layers for states of ``shape`` (C, G, G, G) and a number of actions.

    Each convolution halves the side (stride 2) while at least two points remain.
    """
    features, side = shape[0], shape[1]
    convolutions = []
    for outputs in network.channels:
        stride = 2 if side >= 3 else 1
        convolutions.append(Convolution(features, outputs, side, network.kernel, stride))
        features, side = outputs, convolutions[-1].output_side
    heads = (1, actions) if network.dueling else (actions,)
    streams = tuple(Stream(features * side**3, network.hidden, outputs) for outputs in heads)
    return Architecture(tuple(convolutions), streams)
