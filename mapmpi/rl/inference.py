"""The Q function in numpy, for the agents.

An agent values one state at a time, which numpy does about as fast as torch; without torch a rank needs some
200 MB less memory, and a thousand ranks need not load torch from a shared file system at once.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mapmpi import config
from mapmpi.rl.architecture import GRID_MAX, Convolution, architecture


class QFunction:
    """The same function as ``network.QNetwork`` of the same arguments and weights."""

    def __init__(self, shape: tuple[int, ...], actions: int, network: config.NetworkSettings) -> None:
        self.architecture = architecture(shape, actions, network)
        self._columns = [_Columns(layer) for layer in self.architecture.convolutions]
        self._kernels: list[tuple[np.ndarray, np.ndarray]] = []
        self._streams: list[list[np.ndarray]] = []

    def load(self, flat: np.ndarray) -> None:
        """Take over the weights (architecture.size,) float32 of ``network.pack``; ``flat`` may be reused after.

        Raises ValueError for another length.
        """
        arrays = self.architecture.split(flat.astype(np.float32))
        convolutions = len(self._columns)
        self._kernels = [
            (np.ascontiguousarray(weight.transpose(2, 3, 4, 1, 0)).reshape(-1, len(bias)), bias)
            for weight, bias in zip(arrays[: 2 * convolutions : 2], arrays[1 : 2 * convolutions : 2], strict=True)
        ]
        self._streams = [arrays[first : first + 4] for first in range(2 * convolutions, len(arrays), 4)]

    def __call__(self, state: np.ndarray) -> np.ndarray:
        """Return Q (A,) float32 of a state (C, G, G, G) uint8; RuntimeError before the first ``load``."""
        if not self._streams:
            raise RuntimeError("QFunction has no weights yet; call load first")
        grid = state.transpose(1, 2, 3, 0) / np.float32(GRID_MAX)  # channels last, so that windows copy in runs
        for columns, (kernel, bias) in zip(self._columns, self._kernels, strict=True):
            result = columns(grid) @ kernel
            result += bias
            grid = np.maximum(result, 0.0, out=result).reshape(*columns.grid_shape, -1)
        features = grid.transpose(3, 0, 1, 2).ravel()  # torch flattens channels first
        outputs = [_forward(stream, features) for stream in self._streams]
        if len(outputs) == 1:
            return outputs[0]
        value, advantage = outputs
        return value + advantage - advantage.mean()


class _Columns:
    """The windows of a convolution as the rows of a matrix (im2col), in arrays that are reused."""

    def __init__(self, layer: Convolution) -> None:
        margin, side, kernel, step = layer.padding, layer.side, layer.kernel, layer.stride
        padded = np.zeros((side + 2 * margin,) * 3 + (layer.inputs,), np.float32)
        inner = slice(margin, margin + side)
        self._grid = padded[inner, inner, inner]
        windows = sliding_window_view(padded, (kernel,) * 3, axis=(0, 1, 2))[::step, ::step, ::step]
        self._windows = windows.transpose(0, 1, 2, 4, 5, 6, 3)  # (o, o, o, k, k, k, C)
        self._rows = np.empty(self._windows.shape, np.float32)
        self.grid_shape = self._rows.shape[:3]

    def __call__(self, grid: np.ndarray) -> np.ndarray:
        """Return the windows (o³, k³·C) of a grid (G, G, G, C); valid until the next call."""
        self._grid[...] = grid
        np.copyto(self._rows, self._windows)
        return self._rows.reshape(int(np.prod(self.grid_shape)), -1)


def _forward(stream: list[np.ndarray], features: np.ndarray) -> np.ndarray:
    weight, bias, last_weight, last_bias = stream
    return last_weight @ np.maximum(weight @ features + bias, 0.0) + last_bias
