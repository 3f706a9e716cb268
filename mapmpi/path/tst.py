"""Transition-state theory: from barriers and frequencies to rates, times and a diffusion coefficient.

Energies in eV, temperatures in K, rates and prefactors in Hz, times in s. A barrier that is not known is NaN and
makes every time that needs it NaN: the pathway is incomplete. A time beyond float64 is infinite.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
from scipy.linalg import null_space
from scipy.sparse.csgraph import breadth_first_order
from scipy.special import logsumexp

from mapmpi.calculation import Calculation
from mapmpi.units import AMU_A2_PER_FS2_IN_EV, BOLTZMANN_EV_PER_K, HBAR_EV_S, PLANCK_EV_S

Prefactor = Literal["hbar", "h", "vineyard"]
"""k_BT/ℏ as the paper's Eq. 3 prints it, Eyring's k_BT/h, or Vineyard's ratio of frequencies."""

ZERO_MODE_HZ = 5e10
"""No atom in a solid swings as slowly (1.7 cm⁻¹); what does is free to move, or numerical noise."""


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


def pathway_time_s(
    barriers_ev: Sequence[float] | np.ndarray, temperature_k: float, prefactor: np.ndarray | float
) -> float:
    """Return the time of a pathway by the paper's Eq. 3, Σ exp(E/k_BT)/prefactor over its forward barriers.

    ``prefactor`` in Hz is one number or one a barrier; a barrier of 0 takes the attempt time. Hops back are not
    counted. NaN when a barrier is NaN: the pathway is incomplete. Errors as for :func:`log_rate`.
    """
    log_rates = log_rate(np.asarray(barriers_ev, dtype=float), temperature_k, prefactor)
    with np.errstate(over="ignore"):
        return float(np.exp(-log_rates).sum())


def mean_first_passage_time_s(log_forward: np.ndarray, log_backward: np.ndarray) -> float:
    """Return the mean time in which a walker on a chain of basins first reaches the last, hops back included.

    C. W. Gardiner, Handbook of Stochastic Methods, one-step processes; here a network like any other. Both are
    ln(rate/Hz) (k,), one a saddle: log_forward[i] from basin i to i+1, log_backward[i] back from i+1 to i (the last
    has no part in it: the walk has ended there). NaN when one of them is.
    """
    rates, steps = np.array([log_forward, log_backward]), np.arange(len(log_forward))
    if np.isnan(rates).any():
        return float("nan")
    chain = np.full((len(steps) + 1, len(steps) + 1), -np.inf)
    chain[steps, steps + 1], chain[steps + 1, steps] = rates
    return first_passage_time_s(chain, 0, [len(steps)])


def first_passage_time_s(log_rates: np.ndarray, start: int, goals: Collection[int]) -> float:
    """Return the mean time to reach any of ``goals`` from ``start`` for ln(rates/Hz) (n, n), -inf for no edge.

    Nodes are eliminated one by one, their rates and waiting times handed on to their neighbours: the graph
    transformation of D. J. Wales, J. Chem. Phys. 130, 204111 (2009), with escape rates summed and never
    subtracted (W. K. Grassmann, M. I. Taksar, D. P. Heyman, Oper. Res. 33, 1107 (1985)), here in logarithms:
    exact to rounding however stiff the rates. Infinite when no goal can be reached. Hops must go both ways
    wherever they go at all; raises ValueError otherwise.
    """
    linked = np.isfinite(log_rates)
    np.fill_diagonal(linked, False)
    if not np.array_equal(linked, linked.T):
        raise ValueError("a rate has no rate back")
    ends = sorted(set(goals))
    if start in ends:
        return 0.0
    if not set(breadth_first_order(linked, start, return_predecessors=False)) & set(ends):
        return float("inf")
    outside_goals = linked.copy()
    outside_goals[ends] = outside_goals[:, ends] = False
    states = breadth_first_order(outside_goals, start, return_predecessors=False)
    # node 0 stands for all goals, node 1 is the start
    rates = np.full((len(states) + 1, len(states) + 1), -np.inf)
    rates[1:, 0] = logsumexp(log_rates[np.ix_(states, ends)], axis=1)
    rates[1:, 1:] = log_rates[np.ix_(states, states)]
    waits = np.zeros(len(rates))
    for node in range(len(rates) - 1, 1, -1):
        share = rates[:node, node] - logsumexp(rates[node, :node])
        waits[:node] = np.logaddexp(waits[:node], share + waits[node])
        rates[:node, :node] = np.logaddexp(rates[:node, :node], share[:, None] + rates[node, :node])
    with np.errstate(over="ignore"):
        return float(np.exp(waits[1] - rates[1, 0]))


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


ASKED_BYTES = 20_000_000
"""Configurations that a Hessian asks for at once: those of all hops wait on one rank, with their forces."""


def hessian_calculation(
    positions: np.ndarray, movable: Sequence[int] | np.ndarray, displacement_A: float
) -> Calculation[np.ndarray]:
    """Compute the Hessian (3m, 3m) eV/Å² of the m atoms ``movable`` (indices), all others held fixed.

    Central differences of the forces: 6m configurations, asked for together as far as ASKED_BYTES holds them; made
    symmetric.
    """
    atoms = np.asarray(movable, dtype=int)
    if len(atoms) == 0 or len(np.unique(atoms)) != len(atoms) or not displacement_A > 0:
        raise ValueError("a Hessian needs atoms, each once, and a positive displacement")
    moves = [(atom, axis, sign * displacement_A) for atom in atoms for axis in range(3) for sign in (1.0, -1.0)]
    together, rows = max(1, ASKED_BYTES // positions.nbytes), []
    for first in range(0, len(moves), together):
        configurations = [positions.copy() for _ in moves[first : first + together]]
        for displaced, (atom, axis, way) in zip(configurations, moves[first:], strict=False):
            displaced[atom, axis] += way
        answers = yield configurations
        rows += [answer.forces[atoms].ravel() for answer in answers]
    forces = np.array(rows)
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
