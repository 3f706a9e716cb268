"""The regression behind the energy map: a Gaussian process over what surrounds a place."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.linalg import cholesky, solve_triangular

MOST_CENTERS = 100
"""Places that are known through which the process goes. In silica it predicted as well through 100 as through all."""
LENGTHS, SUMS, NOISES = (1.0, 2.0), (0.3, 3.0, 30.0), (0.01, 0.03, 0.1, 0.3)
"""What the evidence chooses from: the distance within which values are alike, in units of √f (two places taken at
random are √(2f) apart; with half of it to choose, maps of glasses missed half as many walls again); the variance of a
sum over atoms, and that of the noise of a value that counts once, in units of the variance of what differs from such a
sum."""

PIECE = 20_000
"""Places that are predicted at once, lest covariances with the centers fill the memory."""


@dataclass(frozen=True)
class Covariance:
    """exp(-d²/2fl²) + s x·x'/f for two places with f features, x and x', d apart.

    The second part is that of a linear function, which the energy is as far as it is a sum over pairs of atoms; the
    first is what differs from it.
    """

    length: float
    sums: float

    def __call__(self, some: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return the covariances of features (m, f) with others (n, f), (m, n)."""
        products = some @ others.T
        apart = (some**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2.0 * products
        count = some.shape[1]
        return np.exp(np.maximum(apart, 0.0) / (-2.0 * count * self.length**2)) + self.sums / count * products


class Process:
    """Gaussian process regression of values on features, with the covariance and the noise of the most evidence.

    Rasmussen & Williams, *Gaussian Processes for Machine Learning*, 2006, Eqs. 2.25, 2.26 and 5.8, for a process that
    goes through MOST_CENTERS of the known places, those farthest from each other, so that a fit costs no more than in
    proportion to what is known (Quiñonero-Candela & Rasmussen, J. Mach. Learn. Res. 6, 1939 (2005), section 5).
    Features are scaled to zero mean and unit spread over ``sample`` (g, f).
    """

    def __init__(self, sample: np.ndarray) -> None:
        self._mean = sample.mean(axis=0, dtype=float)
        self._spread = sample.std(axis=0, dtype=float) + 1e-6

    def scaled(self, features: np.ndarray) -> np.ndarray:
        """Return features (m, f) scaled, without outliers."""
        return np.clip((features - self._mean) / self._spread, -5.0, 5.0)

    def fit(self, features: np.ndarray, values: np.ndarray, weights: np.ndarray) -> None:
        """Fit values (m,) at scaled features (m, f), each counted ``weights`` (m,) times."""
        self._offset = float(np.average(values, weights=weights))
        rest = values - self._offset
        self._unit = max(float(np.sqrt(np.average(rest**2, weights=weights))), 1e-6)
        roots, centers = np.sqrt(weights), features[far_apart(features, MOST_CENTERS)]
        fits = [
            fit
            for length, sums in product(LENGTHS, SUMS)
            for fit in _fits(Covariance(length, sums), centers, features, rest / self._unit * roots, roots)
        ]
        self._fit = max(fits, key=lambda fit: fit.evidence)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the mean at scaled features (m, f), (m,)."""
        pieces = [self._fit.predict(features[first : first + PIECE]) for first in range(0, len(features), PIECE)]
        return self._offset + self._unit * np.concatenate(pieces)


def far_apart(points: np.ndarray, most: int) -> np.ndarray:
    """Return the indices of at most so many of points (m, f): the first, then always the one farthest from all."""
    chosen, apart = [0], ((points - points[0]) ** 2).sum(axis=1)
    while len(chosen) < most and apart.max() > 1e-6:
        chosen.append(int(apart.argmax()))
        apart = np.minimum(apart, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return np.array(chosen)


@dataclass(frozen=True)
class _Fit:
    """A process through centers (c, f) with a covariance, in units of the values' spread.

    Coefficients (c,) are what the mean is in the covariances with the centers.
    """

    covariance: Covariance
    centers: np.ndarray
    coefficients: np.ndarray
    evidence: float
    """The logarithm of the density of what is known, but for a constant."""

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the mean at features (m, f), (m,), computed in their precision."""
        covariances = self.covariance(features, self.centers.astype(features.dtype))
        return covariances @ self.coefficients.astype(features.dtype)


def _fits(
    covariance: Covariance, centers: np.ndarray, features: np.ndarray, values: np.ndarray, roots: np.ndarray
) -> list[_Fit]:
    """Return the fits with each of NOISES; with ``roots`` (m,), those of the weights, values are multiplied.

    A ``basis`` (c, c) makes functions φ of the covariances with the centers, whose products are the covariance again.
    """
    basis = _whitening(covariance(centers, centers))
    functions = covariance(features, centers) @ basis * roots[:, None]
    squares, along = functions.T @ functions, functions.T @ values
    fits = []
    for noise in NOISES:
        known = _whitening(squares + noise * np.eye(len(squares)))  # W with W Wᵀ = (Σ w φφᵀ + noise)⁻¹
        coefficients = known @ (known.T @ along)
        misfit = (values @ values - along @ coefficients) / noise
        volume = (len(values) - len(along)) * np.log(noise) - 2.0 * np.log(known.diagonal()).sum()
        fits.append(_Fit(covariance, centers, basis @ coefficients, -0.5 * float(misfit + volume)))
    return fits


def _whitening(matrix: np.ndarray) -> np.ndarray:
    """Return the upper triangular W with W Wᵀ the inverse of a symmetric positive matrix (n, n)."""
    least = 1e-6 * matrix.trace() / len(matrix)  # what rounding could make of nothing
    lower = cholesky(matrix + least * np.eye(len(matrix)), lower=True)
    return solve_triangular(lower, np.eye(len(matrix)), lower=True).T
