"""Follow a run from its files, on any machine that sees them, without a server: ``mapmpi watch RUN_DIR``."""

from __future__ import annotations

import argparse
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from rich.markup import escape

from mapmpi.errors import FINISHED, exit_code
from mapmpi.panel import Panel
from mapmpi.parser import Parser
from mapmpi.report.answer import answer, printable
from mapmpi.report.gather import Run, gather
from mapmpi.store.files import replace_file
from mapmpi.store.journal import count_entries
from mapmpi.train.progress import progress_line, time_left_s
from mapmpi.units import duration_text, seconds

LEAST_S = 1.0
"""Shortest time between two looks: a file system that many share is not asked more often."""


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = Parser(
        prog="mapmpi watch",
        description="Follow a training or phase 2 from the files in RUN_DIR: in the terminal, or as a page that the "
        "browser reads again by itself. It only reads; Ctrl-C ends it and harms nothing.",
        epilog="examples: mapmpi watch runs/silica-small-001; mapmpi watch runs/silica-small-001 --html",
    )
    add = parser.add_argument
    add("run_dir", type=Path, metavar="RUN_DIR", help="folder of a training or of phase 2")
    page = "write a page (default RUN_DIR/report.html)"
    add("--html", nargs="?", type=Path, const=Path(), metavar="FILE", help=page)
    add("--interval", type=_interval, metavar="TIME", help="between looks (default 5s, 30s with --html)")
    add("--once", action="store_true", help="look once and end")
    return parser


def _interval(text: str) -> float:
    try:
        value = seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not LEAST_S <= value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not {LEAST_S:g} s or more")
    return value


def main(argv: list[str] | None = None) -> int:
    """Follow a run until Ctrl-C; return the exit code."""
    args = make_parser().parse_args(argv)
    interval = args.interval or (5.0 if args.html is None else 30.0)
    try:
        return exit_code(lambda: _watch(args.run_dir, args.html, interval, args.once), "choose --html FILE")
    except KeyboardInterrupt:
        print()
    return FINISHED


def _watch(path: Path, page: Path | None, interval_s: float, once: bool) -> None:
    """Look at a run again and again. Raises UserError, OSError where the page cannot be written."""
    with Panel(between="\n") as panel:
        while True:
            run = gather(path, with_map=page is not None)
            figures = state(run)
            if page is not None:
                figures["page"] = str(_write(run, page, interval_s))
            panel.show({name: escape(printable(value)) for name, value in figures.items()})
            if once:
                return
            time.sleep(interval_s)


def _write(run: Run, page: Path, interval_s: float) -> Path:
    """Write the page of a run; return where it is."""
    from mapmpi.report.page import make_page  # plots, which the terminal does without
    from mapmpi.report.run import draw

    file = page if page.name else run.directory.report
    text = make_page(run, draw(run), refresh_s=round(interval_s))
    replace_file(file, lambda handle: handle.write(text.encode()))
    return file


def state(run: Run) -> dict[str, str]:
    """Return how far a run is, in words, in the order in which they are shown."""
    figures = {"run": str(run.directory.path), "last news": _news(run)}
    if len(run.learner):
        row = {name: float(run.learner[name][-1]) for name in run.learner.dtype.names or ()}
        epsilons = run.episodes["epsilon"] if len(run.episodes) else np.array([run.config.exploration.epsilon_max])
        figures |= progress_line(run.config.train.stop, row, epsilons)
        if time_left_s(run.config.train.stop, row) == 0.0:
            figures["left"] = "nothing: the training is at its end"
    if len(run.episodes):
        failed = int((run.episodes["outcome"] == b"failed").sum())
        figures["reached the goal"] = f"{len(run.goals)} of {len(run.episodes)} episodes ({failed} failed)"
    figures |= _phase_2(run)
    if run.warnings:
        figures["last warning"] = run.warnings[-1]
    for number, trouble in enumerate(run.troubles[:3], 1):
        figures[f"trouble {number}"] = trouble
    figures["answer"] = answer(run)
    return figures


def _news(run: Run) -> str:
    """Return when one of the files that grow was written last."""
    folder = run.directory
    files = [folder.config, folder.metrics, folder.learner]
    files += [folder.pathways / "journal", folder.pathways / "pathways.csv"]
    files += [*folder.checkpoints.glob("checkpoint-*.npz"), *(folder.pathways / "parts").glob("*")]
    ages = []
    for file in files:
        with suppress(OSError):  # it is not there yet, or not any more
            ages.append(time.time() - file.stat().st_mtime)
    return f"{duration_text(max(min(ages), 0.0))} ago"


def _phase_2(run: Run) -> dict[str, str]:
    """Return what phase 2 has done and is at; nothing before it has begun."""
    folder = run.directory.pathways
    if not folder.is_dir():
        return {}
    figures = {"refined": f"{len(run.refined)} pathway{'s' * (len(run.refined) != 1)}"}
    if parts := len(list((folder / "parts").glob("*"))):
        figures["under way"] = f"{parts} calculation{'s' * (parts > 1)}"
    if (folder / "journal").exists():
        figures["results so far"] = f"{count_entries(folder / 'journal')[0]:,}"
    return figures
