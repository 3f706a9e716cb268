"""The report as one page: the answer first, then what it rests on. Nothing is loaded from anywhere.

Texts of a run are data of whoever made it. They are escaped, the view's data cannot end their element, and the page
forbids the browser every address but what it carries itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from html import escape
from string import Template

from mapmpi import __version__
from mapmpi.report import sections
from mapmpi.report.answer import answer, best, shortest
from mapmpi.report.drawing import Drawing
from mapmpi.report.film import films
from mapmpi.report.gather import Run
from mapmpi.report.sections import asset

Figures = dict[str, list[Drawing]]
"""The figures of a report by what they are of: training, map, kinetics, network."""


def make_page(run: Run, figures: Figures, refresh_s: int | None = None) -> str:
    """Return the page; with ``refresh_s`` the browser reads it again after so many seconds."""
    style, script = asset("page.css"), asset("page.js")
    parts = _parts(run, figures)
    headline = escape(_headline(run))
    return Template(asset("page.html")).substitute(
        style=style,
        style_digest=_digest(style),
        script=script,
        script_digest=_digest(script),
        refresh="" if refresh_s is None else f'<meta http-equiv="refresh" content="{refresh_s:d}">',
        headline=headline,
        name=escape(run.directory.path.resolve().name),
        path=escape(str(run.directory.path)),
        answer=escape(answer(run)),
        tiles=sections.tiles(run),
        links="".join(f'<a href="#{name}">{escape(title)}</a>' for name, title, _ in parts),
        body="".join(
            f'<section id="{name}"><h2>{escape(title)}</h2>{content}</section>' for name, title, content in parts
        ),
        date=f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        version=escape(__version__),
        films=_data(films(run.refined)),
    )


def _parts(run: Run, figures: Figures) -> list[tuple[str, str, str]]:
    """Return the sections that have something to show: id, title, content."""
    kinetics = _figures(figures["kinetics"]) + sections.diffusion(run)
    training = sections.episodes(run) + _figures(figures["training"])
    parts = [
        ("trouble", "What to know before you believe it", sections.troubles(run)),
        ("structure", "The pathway, atom by atom", sections.viewer(run) if run.refined else ""),
        ("pathways", "Pathways by time", sections.pathways(run) if run.refined else ""),
        ("kinetics", "Time and diffusion against temperature", kinetics),
        ("network", "Network of minima and saddles", _figures(figures["network"], "wide")),
        ("training", "How the training went", training),
        ("map", "The energy map", _figures(figures["map"], "wide")),
        ("input", "Input, versions, and what failed", sections.source(run)),
    ]
    return [part for part in parts if part[-1]]


def _headline(run: Run) -> str:
    """Return the answer in two or three words."""
    if (one := best(run)) is not None:
        return shortest(run, one)
    if run.refined:
        return "No time yet"
    return "Not refined yet" if len(run.goals) else "No path yet"


def _figures(drawings: Sequence[Drawing], kind: str = "") -> str:
    """Return figures side by side; nothing where there are none."""
    if not drawings:
        return ""
    figures = "".join(
        f'<figure class="{kind}"><img alt="{escape(one.caption)}" src="{one.uri()}">'
        f"<figcaption>{escape(one.caption)}</figcaption></figure>"
        for one in drawings
    )
    return f'<div class="figures">{figures}</div>' if not kind else figures


def _digest(text: str) -> str:
    """Return how a content security policy names the one text that may be used."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _data(tree: object) -> str:
    """Return data as JSON that cannot end the element that it stands in."""
    return json.dumps(tree, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
