"""What all figures of a report have in common: size, colours, and how they become files and a part of the page."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mapmpi.pneb.figure import DOTS_PER_INCH
from mapmpi.store.files import replace_file

SIZE_INCHES = (4.4, 3.1)
"""Of a figure: on a telephone it fills the page, on a desk two stand side by side, and both can be read."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours that also those tell apart who see no difference between red and green (Okabe and Ito, 2008)."""

PALE = "0.72"

MOST_VECTORS = 1500
"""Points of which a figure draws each as a shape; more become one picture."""

_STYLE: Any = {
    "font.size": 9.0,
    "axes.labelsize": 9.0,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "mapmpi",  # the same run gives the same page
    "axes.formatter.use_mathtext": True,
}


@dataclass(frozen=True)
class Drawing:
    """A figure: the stem of its files, what it shows in a sentence, and the figure."""

    name: str
    caption: str
    figure: Figure

    def save(self, folder: Path) -> None:
        """Write NAME.png and NAME.pdf, each whole. Raises OSError."""
        for form in ("png", "pdf"):
            data = self._rendered(form)
            replace_file(folder / f"{self.name}.{form}", lambda handle, data=data: handle.write(data))  # type: ignore[misc]

    def uri(self) -> str:
        """Return the figure as the address of an image that holds it (SVG)."""
        return "data:image/svg+xml;base64," + base64.b64encode(self._rendered("svg")).decode()

    def _rendered(self, form: str) -> bytes:
        image = io.BytesIO()
        undated = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[form]
        with style():
            self.figure.savefig(image, format=form, dpi=DOTS_PER_INCH, metadata=undated)
        return image.getvalue()


@contextmanager
def style() -> Iterator[None]:
    """Draw in here as all figures of a report are drawn."""
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(tight_layout|constrained_layout|Glyph).*")
        yield


def plain(text: str) -> str:
    """Return a text of a run as a figure shows it letter by letter: matplotlib reads formulas between dollar signs."""
    return text.replace("$", r"\$")


def with_axes(x: str, y: str, size: tuple[float, float] = SIZE_INCHES) -> tuple[Figure, Axes]:
    """Return a figure and its axes with labels, which name units."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def band(axes: Axes, x: np.ndarray, rows: np.ndarray, colour: str, label: str) -> None:
    """Draw the mean of rows (m, k) over x (k,), and one standard deviation to either side; NaN is not counted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of columns in which nothing is known
        mean, deviation = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)
    axes.fill_between(x, mean - deviation, mean + deviation, color=colour, alpha=0.2, linewidth=0)
    axes.plot(x, mean, color=colour, label=label)
