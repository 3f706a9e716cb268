"""What forces tell about curvatures: a Hessian that learns from every step, and the lowest modes at a point.

Both are kept as a small matrix over the preconditioner's metric, so that their cost grows only linearly with the
number of atoms. Gradients are minus forces, (n, 3) eV/Å.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapmpi.calculation import Calculation
from mapmpi.path.preconditioner import Metric
from mapmpi.path.quench import clipped

PROBE = 0.02
"""Longest displacement of an atom in a finite difference, Å. A mode that swings an O-H bond is curved: 0.05 Å along a
straight line stretch the bond enough to hide a curvature of -0.3 eV/Å². 0.01 Å show the same as 0.02 (ReaxFF, water
in silica)."""
SOFTEST = 0.02
"""Curvatures nearer to zero count as this, in units of the metric: noise leads no step far astray."""
SETTLED = 4
"""Directions added without changing the lowest curvatures, after which these count as known."""

FAINT = 5e-3
"""Curvatures nearer to zero than this, in units of the metric, are told apart no better (0.01 eV/Å² of soft modes)."""


class CurvatureModel:
    """The Hessian as far as forces have shown it: P, but for a subspace in which it is a full matrix.

    The subspace is spanned by the rows of ``vectors`` (k, 3n), orthonormal in the metric P; ``duals`` are P times
    those. Every pair of a step and the gradient's change along it is taken up by the TS-BFGS formula, which lets
    curvatures be negative; its change lies in span(step, P⁻¹·change), so the subspace grows by two at most.
    """

    def __init__(self, metric: Metric, size: int) -> None:
        self.metric = metric
        self.vectors, self.duals, self.matrix = np.zeros((0, size)), np.zeros((0, size)), np.zeros((0, 0))
        self._eigen = np.zeros(0), self.matrix

    def _span(self, vector: np.ndarray) -> None:
        """Add the part of ``vector`` (3n,) outside the subspace to it."""
        length = np.sqrt(vector @ self.metric.times(vector))
        for _ in range(2):  # the second time removes what rounding left
            vector = vector - self.vectors.T @ (self.duals @ vector)
        dual = self.metric.times(vector)
        left = np.sqrt(max(vector @ dual, 0.0))
        if left > 1e-6 * length:
            self.vectors = np.vstack([self.vectors, vector / left])
            self.duals = np.vstack([self.duals, dual / left])
            larger = np.eye(len(self.vectors))
            larger[:-1, :-1] = self.matrix
            self.matrix = larger

    def learn(self, step: np.ndarray, change: np.ndarray) -> None:
        """Take up a step (n, 3) Å and the change (n, 3) eV/Å of the gradient along it."""
        step, change = step.ravel(), change.ravel()
        self._span(step)
        self._span(self.metric.solve(change))
        s, y = self.duals @ step, self.vectors @ change
        values, modes = np.linalg.eigh(self.matrix)
        absolute = modes @ (abs(values) * (modes.T @ s))
        u = (y @ s) * y + (s @ absolute) * absolute
        self._eigen = values, modes
        if u @ s < 1e-12 * np.linalg.norm(u) * np.linalg.norm(s):
            return
        u /= u @ s
        rest = y - self.matrix @ s
        self.matrix = self.matrix + np.outer(rest, u) + np.outer(u, rest) - (s @ rest) * np.outer(u, u)
        self._eigen = np.linalg.eigh(self.matrix)

    def saddle_step(self, gradient: np.ndarray, tangent: np.ndarray | None = None) -> np.ndarray:
        """Return the step (n, 3) Å uphill along the lowest mode and downhill along all others.

        With ``tangent`` (n, 3) it is uphill along that while no curvature is negative.
        """
        flat = gradient.ravel()
        values, modes = self._eigen
        inside = self.vectors @ flat
        uphill = modes[:, 0] if tangent is None or values[0] < 0 else self.duals @ tangent.ravel()
        mirrored = inside - 2 * uphill * (uphill @ inside) / (uphill @ uphill)
        shares = -(modes.T @ mirrored) / np.maximum(abs(values), SOFTEST)
        outside = self.metric.solve(flat) - self.vectors.T @ inside
        return (self.vectors.T @ (modes @ shares) - outside).reshape(gradient.shape)

    def lowest_mode(self) -> np.ndarray:
        """Return the lowest mode (3n,), of unit length in the metric."""
        return self.vectors.T @ self._eigen[1][:, 0]

    @property
    def curvatures(self) -> np.ndarray:
        """The curvatures (k,) in the subspace, in units of the metric, ascending."""
        return self._eigen[0]


@dataclass(frozen=True)
class Modes:
    """Lowest modes: curvatures (k,) relative to the metric, vectors (k, n, 3) Å of unit length in the metric,
    what the Hessian makes of them, actions (k, n, 3) eV/Å, whether the curvatures had settled, and the
    force calls it took."""

    curvatures: np.ndarray
    vectors: np.ndarray
    actions: np.ndarray
    accurate: bool
    calls: int


def lowest_modes(
    positions: np.ndarray,
    gradient: np.ndarray | None,
    guess: np.ndarray,
    metric: Metric,
    count: int = 1,
    accuracy: float = 0.5,
    max_calls: int = 8,
) -> Calculation[Modes]:
    """Find the lowest modes of the Hessian at ``positions`` (n, 3) Å by Davidson's method, from a guess (n, 3).

    H v = λ P v is solved in a space that grows by P⁻¹ times the residual of the first mode that is not yet right
    (E. R. Davidson, J. Comput. Phys. 17, 87 (1975)), with finite differences of forces: one-sided from
    ``gradient`` there, central without it. Only what moves by the metric takes part; where that is everything, a
    translation is left out if it meets no force. Ends
    when the ``count`` lowest curvatures have changed by no more than ``accuracy`` of their values since SETTLED
    directions ago, or after ``max_calls``; of a single mode also when its residual is as small. (A small residual does
    not show that a mode is the lowest, and the anharmonic part of the differences may keep it large.)
    """
    history: list[np.ndarray] = []
    drift = np.zeros((0, guess.size))
    directions, actions = np.zeros((0, guess.size)), np.zeros((0, guess.size))
    mobile, random = np.repeat(metric.mobile, 3), np.random.default_rng(1)
    new, calls = guess.ravel() * mobile, 0
    while True:
        while (outside := _outside(new, drift, directions, metric)) is None:  # the space is closed: look elsewhere
            new = random.normal(size=guess.size) * mobile
        new = outside
        probe = clipped(1e6 * new.reshape(positions.shape), PROBE)
        if gradient is None:
            ahead, behind = yield [positions + probe, positions - probe]
            change, calls = 0.5 * (behind.forces - ahead.forces), calls + 2
        else:
            (ahead,) = yield [positions + probe]
            change, calls = -ahead.forces - gradient, calls + 1
        action = change.ravel() * np.linalg.norm(new) / np.linalg.norm(probe)
        if not len(directions) and mobile.all() and np.linalg.norm(change.sum(axis=0)) < 1e-3 * abs(change).sum():
            drift = np.tile(np.eye(3), len(positions)) / np.sqrt(len(positions))
            new = new - drift.T @ (drift @ new)  # of the guess, too, the translation met no force
            new, action = new / metric.length(new), action / metric.length(new)
        directions, actions = np.vstack([directions, new]), np.vstack([actions, action])
        matrix = directions @ actions.T
        values, ritz = np.linalg.eigh(0.5 * (matrix + matrix.T))
        rests = metric.solve(ritz.T @ actions) - values[:, None] * (ritz.T @ directions)
        history.append(np.resize(values, count) if len(values) < count else values[:count])
        changes = abs(history[-1] - history[-1 - SETTLED]) if len(history) > SETTLED else np.full(count, np.inf)
        lengths = np.sqrt((rests * metric.times(rests)).sum(axis=1))[:count]
        scale = accuracy * np.maximum(abs(history[-1]), FAINT)
        settled = bool((changes <= scale).all()) or (count == 1 and bool(lengths[0] <= scale[0]))
        complete = len(values) + len(drift) == mobile.sum()
        if calls >= max_calls or complete or settled:
            break
        new = rests[int(np.argmax(lengths / scale[: len(lengths)]))]
    shape = (-1, *positions.shape)
    vectors, actions = (ritz.T @ directions).reshape(shape), (ritz.T @ actions).reshape(shape)
    return Modes(values, vectors, actions, settled or complete, calls)


def _outside(vector: np.ndarray, drift: np.ndarray, directions: np.ndarray, metric: Metric) -> np.ndarray | None:
    """Return the part of a vector (3n,) outside the translations and the directions so far, of unit length.

    The length is in the metric. None where nothing but rounding is left.
    """
    length = metric.length(vector)
    for _ in range(2):  # the second time removes what rounding left
        vector = vector - drift.T @ (drift @ vector)
        vector = vector - directions.T @ (directions @ metric.times(vector))
    left = metric.length(vector)
    return vector / left if left > 1e-6 * length else None
