"""A binary tree of sums: drawing in proportion to priorities, in O(log n)."""

from __future__ import annotations

import numpy as np

TOP = 4096
"""Most nodes of the top level. Running sums over all of them are quicker than the levels of a tree above them."""


class SumTree:
    """Priorities p_i >= 0, i = 0 … capacity-1, and the sums over 2, 4, 8 … of them (float64), up to 4096 sums.

    Node i has the children 2i and 2i+1; the leaves are the last nodes. Sums are made when they are asked for, those of
    all priorities that were set since then in one go.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._first_leaf = 1 << (capacity - 1).bit_length()
        self._first = min(TOP, self._first_leaf)
        self._levels = (self._first_leaf // self._first).bit_length() - 1  # below the top
        self._nodes = np.zeros(2 * self._first_leaf)
        self._changed: list[np.ndarray] = []

    @property
    def _top(self) -> np.ndarray:
        self._settle()
        return self._nodes[self._first : 2 * self._first]

    @property
    def total(self) -> float:
        """Sum of all priorities."""
        return float(self._top.sum())

    @property
    def leaves(self) -> np.ndarray:
        """All priorities, shape (capacity,), a view."""
        return self._nodes[self._first_leaf : self._first_leaf + self.capacity]

    def __getitem__(self, index: int | np.ndarray) -> np.ndarray:
        """Return the priorities at one index or many."""
        return self.leaves[index]

    def set(self, indices: np.ndarray, priorities: np.ndarray) -> None:
        """Set the priorities (B,) at ``indices`` (B,)."""
        nodes = indices + self._first_leaf
        self._nodes[nodes] = priorities
        self._changed.append(nodes)

    def _settle(self) -> None:
        """Make the sums over what has changed.

        They are made anew from both children rather than changed by a difference, so that rounding errors do not
        build up.
        """
        if self._changed:
            nodes = np.concatenate(self._changed)
            self._changed.clear()
            for _ in range(self._levels):
                nodes = nodes >> 1
                self._nodes[nodes] = self._nodes[2 * nodes] + self._nodes[2 * nodes + 1]

    def find(self, sums: np.ndarray) -> np.ndarray:
        """Return the indices (B,) at which the running sum of the priorities first exceeds ``sums`` (B,).

        An index with priority 0 is never returned, even if rounding puts a sum beyond the total; there must be
        one with a positive priority.
        """
        running = np.cumsum(self._top)
        sums = np.minimum(sums, np.nextafter(running[-1], 0.0))
        places = np.searchsorted(running, sums, side="right")
        nodes = places + self._first
        sums = sums - (running[places] - self._nodes[nodes])
        for _ in range(self._levels):
            left = self._nodes[2 * nodes]
            right = (sums >= left) & (self._nodes[2 * nodes + 1] > 0.0)
            right |= left == 0.0  # a sum below zero by rounding
            sums = sums - left * right
            nodes = 2 * nodes + right
        return nodes - self._first_leaf
