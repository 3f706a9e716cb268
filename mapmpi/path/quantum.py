"""Nuclei as quantum oscillators: what the zero point and tunnelling make of a rate of Vineyard's.

Frequencies are those of :func:`mapmpi.path.tst.frequencies_hz`, (k,) in Hz, imaginary ones as negative numbers, of the
atoms that a hop moves; all others count as classical and rigid. Energies in eV, temperatures in K.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mapmpi.path.pathway import Hop, Pathway
from mapmpi.units import BOLTZMANN_EV_PER_K, PLANCK_EV_S

SAFE = 2.0
"""Wigner's factor is trusted from so many crossover temperatures upwards. There it is 1.41, and the tunnelling through
a parabola, whose series it begins, (u/2)/sin(u/2) with u = hν‡/k_BT, is 1.57; at the crossover that has no bounds."""


def zero_point_ev(modes_hz: np.ndarray) -> float:
    """Return the zero-point energy ½hΣν in eV; an imaginary mode has none."""
    return float(0.5 * PLANCK_EV_S * np.maximum(modes_hz, 0.0).sum())


def quantum_ratio(minimum_hz: np.ndarray, saddle_hz: np.ndarray, temperature_k: float) -> float:
    """Return the rate of quantum harmonic transition-state theory over that of the classical one.

    Π f(x_saddle) / Π f(x_minimum) with f = (x/2)/sinh(x/2), a quantum oscillator's partition function over a classical
    one's, and x = hν/k_BT, over real modes alone (E. Wigner, Trans. Faraday Soc. 34, 29 (1938); T. L. Hill, An
    Introduction to Statistical Thermodynamics, ch. 4). It contains the zero point, so it goes to 1 at high
    temperatures, and not together with a barrier that was corrected for it. Raises ValueError for a temperature that
    is not positive.
    """
    if not temperature_k > 0:
        raise ValueError(f"the temperature is {temperature_k} K; it must be positive")
    halves = [0.5 * PLANCK_EV_S / (BOLTZMANN_EV_PER_K * temperature_k) * one for one in (minimum_hz, saddle_hz)]
    at_minimum, at_saddle = (_log_sinh_ratio(half[half > 0]).sum() for half in halves)
    with np.errstate(over="ignore"):
        return float(np.exp(at_minimum - at_saddle))


def _log_sinh_ratio(half: np.ndarray) -> np.ndarray:
    """Return ln(sinh(y)/y) for positive y (k,), without an overflow."""
    return half + np.log(-np.expm1(-2.0 * half) / (2.0 * half))


def crossover_k(saddle_hz: np.ndarray) -> float:
    """Return T_c = hν‡/(2πk_B) in K, below which tunnelling overtakes going over the top; NaN without a saddle's mode.

    M. J. Gillan, J. Phys. C 20, 3621 (1987); P. Hänggi, P. Talkner, M. Borkovec, Rev. Mod. Phys. 62, 251 (1990).
    """
    imaginary = -saddle_hz[saddle_hz < 0]
    return float(PLANCK_EV_S * imaginary[0] / (2 * np.pi * BOLTZMANN_EV_PER_K)) if imaginary.size == 1 else np.nan


def wigner_factor(saddle_hz: np.ndarray, temperature_k: float) -> float:
    """Return κ = 1 + (hν‡/k_BT)²/24, the first correction for tunnelling (E. Wigner, Z. Phys. Chem. B 19, 203 (1932)).

    Only where the temperature is well above the crossover (:data:`SAFE`): below it is too small, soon by decades.
    Raises ValueError for a temperature that is not positive.
    """
    if not temperature_k > 0:
        raise ValueError(f"the temperature is {temperature_k} K; it must be positive")
    return 1.0 + (2 * np.pi * crossover_k(saddle_hz) / temperature_k) ** 2 / 24.0


def wigner_holds(saddle_hz: np.ndarray, temperature_k: float) -> bool:
    """Tell whether a temperature is high enough for Wigner's factor."""
    return temperature_k >= SAFE * crossover_k(saddle_hz)


def zero_point_barriers_ev(pathway: Pathway, backward: bool = False) -> np.ndarray:
    """Return the barrier (hops,) of each hop with zero-point energies, or of the hops back; NaN where not known."""
    barriers = pathway.barriers_ev(backward)
    for number, hop in enumerate(pathway.hops):
        minimum_hz = hop.end_hz if backward else hop.start_hz
        shift = zero_point_ev(hop.saddle_hz) - zero_point_ev(minimum_hz) if hop.saddle_hz.size else np.nan
        barriers[number] += shift
    return barriers


def corrected_hop(hop: Hop, temperature_k: float) -> Hop:
    """Return a hop with both prefactors times the quantum ratio and Wigner's factor at a temperature.

    So it counts at that temperature alone. NaN where the frequencies are not known; what is beyond float64 becomes the
    largest or the smallest number there is.
    """
    if not hop.saddle_hz.size:
        return replace(hop, forward_hz=np.nan, backward_hz=np.nan)
    there, back = (quantum_ratio(one, hop.saddle_hz, temperature_k) for one in (hop.start_hz, hop.end_hz))
    tunnelling, limits = wigner_factor(hop.saddle_hz, temperature_k), np.finfo(float)
    forward, backward = np.clip(
        [hop.forward_hz * there * tunnelling, hop.backward_hz * back * tunnelling], limits.tiny, limits.max
    )
    return replace(hop, forward_hz=float(forward), backward_hz=float(backward))


def corrected_pathway(pathway: Pathway, temperature_k: float) -> Pathway:
    """Return a pathway whose times by Vineyard's prefactor are corrected, at one temperature and no other.

    A walker's on the whole network are those that were stored with it; NaN if none were.
    """
    hops = [corrected_hop(hop, temperature_k) for hop in pathway.hops]
    passages: tuple[tuple[float, float], ...] = ()
    if pathway.passage_times_s:
        stored = dict(pathway.quantum_passage_times_s)
        passages = ((temperature_k, stored.get(temperature_k, np.nan)),)
    return replace(pathway, hops=hops, passage_times_s=passages)
