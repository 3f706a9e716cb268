"""Where and how precisely the learner computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mapmpi import config
from mapmpi.errors import UserError
from mapmpi.rl.architecture import Architecture
from mapmpi.rl.network import QNetwork, as_grid
from mapmpi.rl.pairs import Pairs


def choose_device(learning: config.Learning) -> torch.device:
    """Return the device that ``learning.device`` asks for. Raises UserError for a GPU that torch does not see."""
    there = torch.cuda.is_available()
    if learning.device == "cuda" and not there:
        raise UserError("learning.device: cuda, but torch sees no GPU; say auto, or install torch for CUDA.")
    return torch.device("cuda" if there and learning.device != "cpu" else "cpu")


def choose_precision(learning: config.Learning, device: torch.device) -> torch.dtype:
    """Return the precision that ``learning.precision`` asks for.

    ``auto`` is bfloat16 where it was measured to pay, on processors with AMX: with AVX-512's alone a step takes longer
    than in float32. A training that is to repeat its numbers gets float32, whatever machine it goes on with.
    """
    if learning.precision != "auto":
        return getattr(torch, learning.precision)
    fast = device.type == "cpu" and has_matrix_unit() and not torch.are_deterministic_algorithms_enabled()
    return torch.bfloat16 if fast else torch.float32


def has_matrix_unit() -> bool:
    """Whether this processor multiplies matrices in bfloat16 (AMX), as Linux says; False on other systems."""
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False


class Arithmetic:
    """Values of batches of B states on a device, in a precision."""

    def __init__(
        self, architecture: Architecture, batch: int, device: torch.device, precision: torch.dtype
    ) -> None:
        self.device, self.precision = device, precision
        in_pairs = device.type == "cpu" and precision == torch.bfloat16
        self._pairs = Pairs(architecture.convolutions[0], batch) if in_pairs else None

    def tensor(self, array: np.ndarray) -> torch.Tensor:
        """Return an array as a tensor on the device."""
        return torch.from_numpy(array).to(self.device)

    def grid(self, states: np.ndarray) -> torch.Tensor:
        """Return what ``values`` takes for states (B, C, G, G, G) uint8; valid until the next call."""
        tensor = self.tensor(states)
        return as_grid(tensor, self.precision) if self._pairs is None else self._pairs.grid(tensor)

    def values(self, network: QNetwork, grid: torch.Tensor) -> torch.Tensor:
        """Return Q (B, A) float32; its gradient must be had before the next call of ``grid``."""
        return network.values(grid, self._pairs)
