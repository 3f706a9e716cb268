"""Transition-state theory: from barriers and frequencies to rates, times and a diffusion coefficient.

Energies in eV, temperatures in K, rates and prefactors in Hz, times in s. A barrier that is not known is NaN and
makes every time that needs it NaN: the pathway is incomplete. A time beyond float64 is infinite.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.linalg import null_space

from mapmpi.calculation import Calculation
from mapmpi.units import AMU_A2_PER_FS2_IN_EV, BOLTZMANN_EV_PER_K, HBAR_EV_S, PLANCK_EV_S

Prefactor = Literal["hbar", "h", "vineyard"]
"""k_BT/ℏ as the paper's Eq. 3 prints it, Eyring's k_BT/h, or Vineyard's ratio of frequencies."""

ZERO_MODE_HZ = 5e10
"""No atom in a solid swings as slowly (1.7 cm⁻¹); what does is free to move, or numerical noise."""


def barrier_ev(basin_ev: float, saddle_ev: float) -> float:
    """Return the barrier of the step that leaves a basin over a saddle.

    Raises ValueError when the saddle lies below the basin: then it is not the saddle of this step.
    """
    if saddle_ev < basin_ev:
        raise ValueError(f"the saddle ({saddle_ev:.4f} eV) lies below the basin ({basin_ev:.4f} eV)")
    return saddle_ev - basin_ev


def prefactor_hz(kind: Literal["hbar", "h"], temperature_k: float) -> float:
    """Return k_BT/ℏ (the paper's Eq. 3) or k_BT/h (H. Eyring, J. Chem. Phys. 3, 107 (1935))."""
    if not temperature_k > 0:
        raise ValueError(f"the temperature is {temperature_k} K; it must be positive")
    return BOLTZMANN_EV_PER_K * temperature_k / {"hbar": HBAR_EV_S, "h": PLANCK_EV_S}[kind]


def vineyard_hz(minimum_hz: np.ndarray, saddle_hz: np.ndarray) -> float:
    """Return Π ν_minimum / Π ν_saddle, without the imaginary mode of the saddle.

    G. H. Vineyard, J. Phys. Chem. Solids 3, 121 (1957). Both are (k,) from :func:`frequencies_hz`, of the same
    atoms. Raises ValueError when the minimum has an
    imaginary mode, the saddle not exactly one, or either a zero mode.
    """
    minimum_hz, saddle_hz = np.asarray(minimum_hz), np.asarray(saddle_hz)
    if minimum_hz.shape != saddle_hz.shape:
        raise ValueError(f"{minimum_hz.size} modes at the minimum and {saddle_hz.size} at the saddle")
    for name, modes, imaginary in (("minimum", minimum_hz, 0), ("saddle", saddle_hz, 1)):
        if (np.abs(modes) < ZERO_MODE_HZ).any():
            raise ValueError(f"the {name} has a zero mode; if all atoms move, leave the translations out")
        if (modes < 0).sum() != imaginary:
            raise ValueError(f"the {name} has {(modes < 0).sum()} imaginary modes, not {imaginary}")
    return float(np.exp(np.log(minimum_hz).sum() - np.log(saddle_hz[saddle_hz > 0]).sum()))


def log_rate(barriers_ev: np.ndarray | float, temperature_k: float, prefactor: np.ndarray | float) -> np.ndarray:
    """Return ln(rate/Hz) = ln(prefactor/Hz) - E/k_BT of each barrier; NaN for NaN.

    Raises ValueError for a negative barrier and for a temperature or prefactor that is not positive.
    """
    barriers_ev, prefactor = np.asarray(barriers_ev, dtype=float), np.asarray(prefactor, dtype=float)
    if (barriers_ev < 0).any():
        raise ValueError(f"a barrier is negative: {barriers_ev.min():.4f} eV")
    if not temperature_k > 0 or (prefactor <= 0).any():
        raise ValueError(f"temperature {temperature_k} K and prefactor {prefactor} Hz must be positive")
    return np.log(prefactor) - barriers_ev / (BOLTZMANN_EV_PER_K * temperature_k)


def rate_hz(barriers_ev: np.ndarray | float, temperature_k: float, prefactor: np.ndarray | float) -> np.ndarray:
    """Return the rate of crossing each barrier; errors as for :func:`log_rate`."""
    return np.exp(log_rate(barriers_ev, temperature_k, prefactor))


def residence_time_s(
    barriers_ev: np.ndarray | float, temperature_k: float, prefactor: np.ndarray | float
) -> np.ndarray:
    """Return each term of the paper's Eq. 3, exp(E/k_BT)/prefactor; for E = 0 the attempt time.

    ``prefactor`` in Hz is one number or one a barrier. Errors as for :func:`log_rate`.
    """
    with np.errstate(over="ignore"):
        return np.exp(-log_rate(barriers_ev, temperature_k, prefactor))


def pathway_time_s(
    barriers_ev: Sequence[float] | np.ndarray, temperature_k: float, prefactor: np.ndarray | float
) -> float:
    """Return the time of a pathway by Eq. 3, the sum over its forward barriers; hops back are not counted.

    NaN when a barrier is NaN: the pathway is incomplete.
    """
    return float(residence_time_s(np.asarray(barriers_ev, dtype=float), temperature_k, prefactor).sum())


def mean_first_passage_time_s(
    forward_hz: Sequence[float] | np.ndarray, backward_hz: Sequence[float] | np.ndarray
) -> float:
    """Return the mean time in which a walker on a chain of basins first reaches the last, hops back included.

    Both rates are per saddle: forward_hz[i] from basin i to i+1, backward_hz[i] back from i+1 to i (the last
    is not used: the walk has ended there). C. W. Gardiner, Handbook of Stochastic Methods, one-step processes:
    T = Σ_i Σ_{j≤i} (1/f_j) Π_{l=j+1…i} (b_{l-1}/f_l), here as τ_i = 1/f_i + (b_{i-1}/f_i) τ_{i-1}, T = Στ_i,
    in logarithms: nothing is subtracted, so no spread of the rates costs digits.
    """
    forward, backward = np.asarray(forward_hz, dtype=float), np.asarray(backward_hz, dtype=float)
    if forward.shape != backward.shape or (forward < 0).any() or (backward < 0).any():
        raise ValueError("one forward and one backward rate a saddle are needed, none negative")
    if np.isnan(forward).any():
        return float("nan")
    if (forward == 0).any():
        return float("inf")
    with np.errstate(divide="ignore", over="ignore"):
        forward, backward = np.log(forward), np.log(backward)
        passage, total = -np.inf, -np.inf
        for index, out in enumerate(forward):
            back = backward[index - 1] + passage if index else -np.inf
            passage = np.logaddexp(0.0, back) - out
            total = np.logaddexp(total, passage)
        return float(np.exp(total))


def diffusion_coefficient_cm2_s(length_A: float, time_s: float) -> float:
    """Return D = L²/2t in cm²/s for a way of ``length_A`` Å in one dimension that takes ``time_s``."""
    return (length_A * 1e-8) ** 2 / (2.0 * time_s)


def arrhenius_fit(
    temperatures_k: Sequence[float] | np.ndarray, diffusion_cm2_s: Sequence[float] | np.ndarray
) -> tuple[float, float]:
    """Fit ln D = ln D0 - E/k_BT by least squares and return (D0 in cm²/s, activation energy in eV).

    Raises ValueError with fewer than two temperatures or when a D is not positive and finite.
    """
    temperatures, values = np.asarray(temperatures_k, dtype=float), np.asarray(diffusion_cm2_s, dtype=float)
    if len(np.unique(temperatures)) < 2:
        raise ValueError("an Arrhenius fit needs two temperatures or more")
    if not (np.isfinite(values) & (values > 0)).all():
        raise ValueError("an Arrhenius fit needs diffusion coefficients that are positive and finite")
    slope, intercept = np.polyfit(1.0 / (BOLTZMANN_EV_PER_K * temperatures), np.log(values), 1)
    return float(np.exp(intercept)), float(-slope)


def moving_atoms(
    start: np.ndarray, saddle: np.ndarray, end: np.ndarray, threshold_A: float, fixed: np.ndarray | None = None
) -> np.ndarray:
    """Return the indices of the atoms that are farther than ``threshold_A`` from their place at the saddle.

    The three are (n, 3) Å, of one band: same labels, unwrapped, no net translation. At least the atom that
    moves most is returned, and none that is ``fixed`` (n,) bool.
    """
    apart = np.maximum(np.linalg.norm(start - saddle, axis=1), np.linalg.norm(end - saddle, axis=1))
    if fixed is not None:
        apart = np.where(fixed, -1.0, apart)
    return np.flatnonzero(apart >= min(threshold_A, apart.max()))


def hessian_calculation(
    positions: np.ndarray, movable: Sequence[int] | np.ndarray, displacement_A: float = 0.01
) -> Calculation[np.ndarray]:
    """Compute the Hessian (3m, 3m) eV/Å² of the m atoms ``movable`` (indices), all others held fixed.

    Central differences of the forces: 6m configurations, asked for all at once; made symmetric.
    """
    atoms = np.asarray(movable, dtype=int)
    if len(atoms) == 0 or len(np.unique(atoms)) != len(atoms) or not displacement_A > 0:
        raise ValueError("a Hessian needs atoms, each once, and a positive displacement")
    configurations = []
    for atom in atoms:
        for axis in range(3):
            for sign in (1.0, -1.0):
                displaced = positions.copy()
                displaced[atom, axis] += sign * displacement_A
                configurations.append(displaced)
    answers = yield configurations
    forces = np.array([answer.forces[atoms].ravel() for answer in answers])
    hessian = (forces[1::2] - forces[0::2]) / (2.0 * displacement_A)
    return 0.5 * (hessian + hessian.T)


def frequencies_hz(
    hessian: np.ndarray, masses_amu: np.ndarray, leave_out_translations: bool = False
) -> np.ndarray:
    """Return the frequencies ν = √(λ)/2π in ascending order, imaginary ones as negative numbers.

    λ are the eigenvalues of the Hessian (3m, 3m) eV/Å² weighted by the masses (m,). Where all atoms are free,
    the three translations have no frequency: leave them out (projected, (3m - 3,) remain). With atoms held
    fixed there are none.
    """
    roots = np.sqrt(np.repeat(np.asarray(masses_amu, dtype=float), 3))
    weighted = hessian / np.outer(roots, roots)
    if leave_out_translations:
        translations = roots[:, None] * np.tile(np.eye(3), (len(masses_amu), 1))
        basis = null_space(translations.T)
        weighted = basis.T @ weighted @ basis
    curvatures = np.linalg.eigvalsh(weighted) / AMU_A2_PER_FS2_IN_EV  # fs⁻²
    return np.sign(curvatures) * np.sqrt(np.abs(curvatures)) / (2 * np.pi) * 1e15
