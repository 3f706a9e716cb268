"""The first convolution in bfloat16: pairs of points along the last axis as channels.

The few channels of a state (one per element) fill a fraction of a processor's matrix unit (AMX). Its first
convolution has stride 2, so two neighbouring points can be taken for one with twice the channels, and their kernel
steps by one: the same sums in half the time. Only the memory is seen otherwise, nothing is moved.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from mapmpi.rl.architecture import Convolution


class Pairs:
    """Grids and kernels of a convolution with stride 2, in pairs, for batches of B states on the CPU."""

    def __init__(self, layer: Convolution, batch: int) -> None:
        assert layer.stride == 2
        self._zero_pairs = (layer.padding + 1) // 2  # before the first point
        self._zero_taps = 2 * self._zero_pairs - layer.padding  # before the kernel's first tap
        self._kernel_pairs = (self._zero_taps + layer.kernel + 1) // 2
        self.stride = (2, 2, 1)
        self.padding = (layer.padding, layer.padding, 0)
        width = 2 * (layer.output_side - 1 + self._kernel_pairs)
        memory = torch.zeros((batch, layer.side, layer.side, width, layer.inputs), dtype=torch.bfloat16)
        self._points = memory.narrow(3, 2 * self._zero_pairs, layer.side).permute(0, 4, 1, 2, 3)
        self._grid = memory.unflatten(3, (-1, 2)).flatten(4).permute(0, 4, 1, 2, 3)

    def grid(self, states: torch.Tensor) -> torch.Tensor:
        """Return states (B, C, G, G, G) as a grid of pairs (B, 2C, G, G, pairs), valid until the next call."""
        self._points.copy_(states)  # exact: whole numbers up to 256 have a bfloat16
        return self._grid

    def kernel(self, weight: torch.Tensor) -> torch.Tensor:
        """Return a kernel (C', C, k, k, k) as one of pairs (C', 2C, k, k, pairs)."""
        after = 2 * self._kernel_pairs - self._zero_taps - weight.shape[4]
        taps = functional.pad(weight, (self._zero_taps, after))
        return taps.unflatten(4, (-1, 2)).permute(0, 5, 1, 2, 3, 4).flatten(1, 2)
