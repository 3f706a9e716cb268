"""``mapmpi report RUN_DIR``: the page and the figures of a run, and the answer in a line."""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path

from matplotlib import rc_context

from mapmpi.errors import exit_code
from mapmpi.parser import Parser
from mapmpi.pneb.figure import profile_figure
from mapmpi.report.answer import answer
from mapmpi.report.curves import training_curves
from mapmpi.report.drawing import Drawing
from mapmpi.report.gather import Run, gather
from mapmpi.report.kinetics import kinetics_drawings
from mapmpi.report.mapfigure import map_drawing
from mapmpi.report.network import make_network, network_drawing
from mapmpi.report.page import Figures, make_page
from mapmpi.report.saddle import saddle_drawing
from mapmpi.store.files import replace_file


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = Parser(
        prog="mapmpi report",
        description="Write what a run has found as one page, RUN_DIR/report.html, that opens in any browser without a "
        "network, and its figures as PNG and PDF in RUN_DIR/figures. Also of a run that is not finished.",
        epilog="example: mapmpi report runs/silica-small-001",
    )
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="folder of a training or of phase 2")
    parser.add_argument("--output", type=Path, metavar="FILE.html", help="the page (default: RUN_DIR/report.html)")
    parser.add_argument("--no-figures", action="store_true", help="write the page alone, no PNG and PDF files")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Write the report; return the exit code."""
    args = make_parser().parse_args(argv)
    return exit_code(lambda: _report(args), "make room, or choose --output")


def _report(args: argparse.Namespace) -> None:
    """Write the report and say where it is, and what the answer is. Raises UserError, OSError."""
    run = gather(args.run_dir)
    figures = draw(run)
    page = args.output or run.directory.report
    replace_file(page, lambda handle: handle.write(make_page(run, figures).encode()))
    if not args.no_figures:
        save_figures(run, figures)
    print(f"Report: {page}\nAnswer: {answer(run)}")


def draw(run: Run) -> Figures:
    """Return the figures of a run; empty where it has nothing to show yet."""
    network: list[Drawing] = []
    if run.refined and (found := make_network(run.refined, run.config)).edges:
        network = [network_drawing(found, run.refined[0], run.config)]
    return {
        "training": training_curves(run),
        "map": [map_drawing(run.map)] if run.map is not None else [],
        "kinetics": kinetics_drawings(run),
        "network": network,
    }


def save_figures(run: Run, figures: Figures) -> None:
    """Write all figures as PNG and PDF into RUN_DIR/figures. Raises OSError."""
    folder = run.directory.figures
    folder.mkdir(exist_ok=True)
    for drawing in chain(*figures.values()):
        drawing.save(folder)
    for one in run.refined:
        if (picture := saddle_drawing(one)) is not None:
            picture.save(folder)
        for form in ("png", "pdf"):
            with rc_context({"text.parse_math": False}):  # a name with dollar signs is no formula
                profile_figure(folder / f"{one.name}-profile.{form}", one)
