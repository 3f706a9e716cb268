"""Units. Inside mapmpi: Å, fs, eV, K, amu, elementary charges; forces in eV/Å.

Constants are CODATA 2018, the set that ASE 3.29 and SciPy agree on to the digits written here.
"""

from __future__ import annotations

import re

KCAL_PER_MOL_IN_EV = 0.0433641153087705
"""One kcal/mol (thermochemical, per molecule) in eV: 4184 J / N_A / e."""

BOLTZMANN_EV_PER_K = 8.617333262e-5
"""k_B in eV/K."""

PLANCK_EV_S = 4.135667696e-15
"""h in eV·s."""

HBAR_EV_S = 6.582119569e-16
"""ℏ = h/2π in eV·s."""

AMU_A2_PER_FS2_IN_EV = 103.642696562
"""One amu·Å²/fs² in eV; turns m·v² into eV."""

SECONDS_PER_DAY = 86400.0

DURATION = r"^\s*([0-9]*\.?[0-9]+\s*(s|sec|min|m|h|d)?|[0-9]+(:[0-9]{1,2}){1,2})\s*$"
"""Pattern of the texts that :func:`seconds` takes, for the input's JSON Schema."""

_DURATION = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*(s|sec|min|m|h|d)?\s*", re.IGNORECASE)
_SECONDS = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": SECONDS_PER_DAY}


def seconds(text: object) -> float:
    """Return a duration such as ``60s``, ``10min``, ``2h``, ``1d`` or ``01:30:00`` in seconds.

    A bare number is seconds. Raises ValueError for anything else.
    """
    hint = "is not a duration; write for example 60s, 10min, 2h or 1d"
    if isinstance(text, (int, float)) and not isinstance(text, bool) and abs(text) < 1e300:
        return float(text)
    if not isinstance(text, str) or len(text) > 40:
        raise ValueError(f"this {type(text).__name__} {hint}")
    if re.fullmatch(r"\d+(:\d{1,2}){1,2}", text.strip()):
        total = 0.0
        for part in text.strip().split(":"):
            total = 60.0 * total + float(part)
        return total if text.count(":") == 2 else 60.0 * total
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} {hint}")
    return float(match.group(1)) * _SECONDS[(match.group(2) or "s").lower()]


def duration_text(duration_s: float) -> str:
    """Return a duration in the unit that a reader would choose, from picoseconds to years."""
    if duration_s == 0.0:
        return "0 s"
    steps = [("ps", 1e-12, 1e3), ("ns", 1e-9, 1e3), ("µs", 1e-6, 1e3), ("ms", 1e-3, 1e3), ("s", 1.0, 120.0)]
    steps += [("min", 60.0, 120.0), ("h", 3600.0, 48.0), ("days", SECONDS_PER_DAY, 1000.0)]
    for unit, size, limit in steps:
        if duration_s / size < limit:
            return f"{duration_s / size:.3g} {unit}"
    return f"{duration_s / (365.25 * SECONDS_PER_DAY):.4g} years"
