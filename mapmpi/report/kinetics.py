"""Arrhenius plots: time and diffusion coefficient of the pathways, and what was measured of water in glasses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from mapmpi.path.pathway import Pathway
from mapmpi.path.tst import diffusion_coefficient_cm2_s
from mapmpi.pneb.table import PREFACTOR_TEXT
from mapmpi.report.drawing import COLOURS, Drawing, plain, style, with_axes
from mapmpi.report.gather import Run
from mapmpi.units import SECONDS_PER_DAY

SHOWN = 5
"""Pathways in a plot."""

ZERO_CELSIUS_K = 273.15
GAS_CONSTANT_KJ = 8.314462618e-3
"""R in kJ/(mol K)."""

RANGE_K = (ZERO_CELSIUS_K + 150.0, ZERO_CELSIUS_K + 900.0)
"""Temperatures that a plot shows at least."""

MARKS = {
    "1 µs": 1e-6,
    "1 ms": 1e-3,
    "1 s": 1.0,
    "1 h": 3600.0,
    "1 day": SECONDS_PER_DAY,
    "1 year": 365.25 * SECONDS_PER_DAY,
}
"""Times that a plot marks."""

BAND_DECADES = 0.3
"""Half the width of the band in which a measured law is drawn: a factor of two. Its authors give no error."""


MEASURED = (
    "H. Tomozawa and M. Tomozawa, J. Non-Cryst. Solids 109, 311 (1989): water in a commercial borosilicate glass, 200 "
    "to 500 °C, D = 2.8·10⁻⁷ cm²/s · exp(-52 kJ/mol/RT)"
)
"""Of water in glasses the law whose numbers could be checked; it is not of pure silica."""
MEASURED_K = (ZERO_CELSIUS_K + 200.0, ZERO_CELSIUS_K + 500.0)

SIMULATED = (
    "the Molecular Autonomous Pathfinder’s two pathways of water in silica glass, 0.124 and 1.93 days for 3 nm at "
    "350 °C, as D = L²/2t"
)
SIMULATED_K = ZERO_CELSIUS_K + 350.0
SIMULATED_CM2_S = tuple(diffusion_coefficient_cm2_s(30.0, days * SECONDS_PER_DAY) for days in (0.124, 1.93))


def measured_cm2_s(kelvin: np.ndarray) -> np.ndarray:
    """Return the D (k,) in cm²/s of :data:`MEASURED` at temperatures (k,) in K."""
    return 2.8e-7 * np.exp(-52.0 / (GAS_CONSTANT_KJ * kelvin))


def is_water_in_silica(one: Pathway) -> bool:
    """Tell whether a pathway is of water in silica: Si, O and H alone, an O pulled, and two parts O to one of Si."""
    numbers = one.atoms.numbers
    elements = {int(number) for number in numbers}
    if elements != {1, 8, 14} or any(numbers[atom] != 8 for atom in one.tagged):
        return False
    return 1.8 < (numbers == 8).sum() / (numbers == 14).sum() < 2.5 and (numbers == 1).sum() < 0.1 * len(numbers)


def kinetics_drawings(run: Run) -> list[Drawing]:
    """Return time and D against 1/T for the pathways that have a time; none where none has."""
    shown = [one for one in run.refined if run.times(one).time_s > 0][:SHOWN]
    if not shown:
        return []
    kelvins = run.settings.temperatures
    grid = 1.0 / np.linspace(1.0 / max(*kelvins, RANGE_K[1]), 1.0 / min(*kelvins, RANGE_K[0]), 60)
    with style():
        return [_times(run, shown, grid), _diffusion(run, shown, grid)]


def _dress(axes: Axes, grid: np.ndarray) -> None:
    axes.set_yscale("log")
    axes.set_xlim(1e3 / grid.max(), 1e3 / grid.min())
    celsius = axes.secondary_xaxis("top", functions=(_to_celsius, _from_celsius))
    celsius.set_xticks(
        [value for value in (100, 200, 350, 500, 800, 1200) if grid.min() < value + ZERO_CELSIUS_K < grid.max()]
    )
    celsius.set_xlabel("°C", fontsize=8, labelpad=2)
    celsius.tick_params(labelsize=8, direction="in")


def _to_celsius(inverse: Any) -> np.ndarray:
    return 1e3 / np.maximum(np.asarray(inverse, dtype=float), 1e-6) - ZERO_CELSIUS_K


def _from_celsius(celsius: Any) -> np.ndarray:
    return 1e3 / np.maximum(np.asarray(celsius, dtype=float) + ZERO_CELSIUS_K, 1e-6)


def _draw(axes: Axes, run: Run, shown: Sequence[Pathway], grid: np.ndarray, names: tuple[str, str]) -> None:
    """Draw a pair of measures of each pathway, the first dashed: by Eq. 3, and with the ways back.

    Where the latter are known at the temperatures of their computation alone they are dots.
    """
    for one, colour in zip(shown, COLOURS, strict=False):
        known = np.array([kelvin for kelvin, _ in one.passage_times_s])
        dashed: dict[str, Any] = {"linestyle": (0, (4, 2)), "linewidth": 1.0, "label": "_"}
        full: dict[str, Any] = {"linewidth": 1.6, "label": plain(one.name)}
        full |= {"linestyle": "none", "marker": "o"} if len(known) else {"linestyle": "-"}
        for name, kelvins, look in ((names[0], grid, dashed), (names[1], known if len(known) else grid, full)):
            values = np.array([getattr(run.times(one, float(kelvin)), name) for kelvin in kelvins])
            values[~(np.isfinite(values) & (values > 0))] = np.nan
            axes.plot(1e3 / kelvins, values, color=colour, **look)


def _times(run: Run, shown: Sequence[Pathway], grid: np.ndarray) -> Drawing:
    figure, axes = with_axes("1000/T (1/K)", "time (s)")
    _draw(axes, run, shown, grid, ("time_s", "passage_time_s"))
    low, high = axes.get_ylim()
    for label, seconds in MARKS.items():
        if low < seconds < high:
            axes.axhline(seconds, color="0.85", linewidth=0.7, zorder=0)
            axes.text(1e3 / grid.max(), seconds, f" {label}", fontsize=7, color="0.45", va="bottom")
    _dress(axes, grid)
    axes.legend(loc="lower right")
    return Drawing(
        "arrhenius-time",
        "The time of each pathway against temperature. Solid, and dots where it is known at these temperatures alone: "
        "mean first passage, the ways back counted; dashed: the "
        f"sum over the hops (Eq. 3). Prefactor {PREFACTOR_TEXT[run.settings.prefactor]}.",
        figure,
    )


def _diffusion(run: Run, shown: Sequence[Pathway], grid: np.ndarray) -> Drawing:
    figure, axes = with_axes("1000/T (1/K)", "D (cm²/s)")
    _draw(axes, run, shown, grid, ("diffusion_cm2_s", "passage_diffusion_cm2_s"))
    caption = "Diffusion coefficient D = L²/2t of each pathway, with the times of the other plot."
    if is_water_in_silica(shown[0]):
        kelvins = np.linspace(*MEASURED_K, 30)
        law, width = measured_cm2_s(kelvins), 10.0**BAND_DECADES
        axes.fill_between(
            1e3 / kelvins,
            law / width,
            law * width,
            color="0.55",
            alpha=0.45,
            linewidth=0,
            label="measured, borosilicate glass",
        )
        axes.plot(
            [1e3 / SIMULATED_K] * len(SIMULATED_CM2_S),
            SIMULATED_CM2_S,
            "D",
            color="0.25",
            markersize=4,
            markerfacecolor="none",
            label="simulated, MAP",
        )
        caption += (
            f" Grey band: {MEASURED}, drawn a factor of two to either side. Diamonds: {SIMULATED}. One pathway in one "
            "small cell is not a diffusion coefficient of the glass; it says which decades are possible."
        )
    _dress(axes, grid)
    axes.legend(loc="lower left", fontsize=6.5)
    return Drawing("arrhenius-diffusion", caption, figure)
