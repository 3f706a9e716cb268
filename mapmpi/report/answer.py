"""The answer first: what a run has found, in one sentence, and how far it can be trusted."""

from __future__ import annotations

import math

from mapmpi.path.pathway import Pathway
from mapmpi.pneb.table import highest_barrier_ev, status
from mapmpi.report.gather import Run
from mapmpi.store.ancestry import best_first
from mapmpi.units import duration_text

MORE_EV = 0.005
"""eV by which a pathway climbs higher than any of its barriers before it is said."""


def printable(text: str) -> str:
    """Return a text without signs that would command a terminal; whoever made a run wrote it."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def answer(run: Run) -> str:
    """Return the answer in a line: a time, or what is known before there is one."""
    return printable(_answer(run))


def _answer(run: Run) -> str:
    timed = best(run)
    if timed is not None:
        return _time(run, timed)
    if run.refined:
        return _without_time(run, run.refined[0])
    goals = best_first(run.episodes)
    if goals:
        row = goals[0]
        return (
            f"Not refined yet: the best path comes to the goal, {run.config.goal.distance:g} Å, with a climb of "
            f"{row['climb']:.2f} eV (agent {row['agent']} episode {row['episode']}, by {run.forces}). Phase 2 turns "
            f"it into a time: mpiexec -n 2 python -m mapmpi.pneb {run.directory.path}"
        )
    if len(run.episodes):
        far = float(run.episodes["progress"].max())
        return (
            f"No path yet: in {int(run.episodes['actions'].sum()):,} actions no episode came to the goal; the "
            f"farthest went {far:.2f} of {run.config.goal.distance:g} Å. Train longer: "
            f"python -m mapmpi.train --resume {run.directory.path}"
        )
    return "Nothing yet: no episode of the training has ended and no pathway is refined."


def best(run: Run) -> Pathway | None:
    """Return the fastest pathway that has a time; None where none has."""
    return next((one for one in run.refined if run.times(one).time_s > 0), None)


def shortest(run: Run, one: Pathway) -> str:
    """Return the time of a pathway in words: with the ways back where that is known."""
    times = run.times(one)
    return spelled(times.passage_time_s if times.passage_time_s > 0 else times.time_s)


def _time(run: Run, one: Pathway) -> str:
    kelvin, barrier = run.settings.temperatures[0], highest_barrier_ev(one)
    climb = f" and a climb of {one.climb_ev:.2f} eV over several" if one.climb_ev > barrier + MORE_EV else ""
    return (
        f"{shortest(run, one)} for {one.length_A:.1f} Å at {kelvin - 273.15:.0f} °C ({kelvin:g} K), over a highest "
        f"barrier of {barrier:.2f} eV{climb}, by {run.forces}; {trust(one)}."
    )


def trust(one: Pathway) -> str:
    """Return in words whether the saddles of a pathway are verified."""
    count = len(one.hops)
    if one.verified == count:
        return "its saddle is verified" if count == 1 else f"all {count} saddles are verified"
    doubtful = count - one.verified
    return f"{doubtful} of {count} saddles {'is' if doubtful == 1 else 'are'} not verified"


def _without_time(run: Run, one: Pathway) -> str:
    barrier = highest_barrier_ev(one)
    known = f"the highest barrier known is {barrier:.2f} eV" if math.isfinite(barrier) else "no barrier is known"
    return f"No time yet: the best pathway, {one.name}, is {status(one)}; {known} (by {run.forces})."


def spelled(time_s: float) -> str:
    """Return a time in the unit that a reader would choose; words for what has none."""
    if math.isnan(time_s):
        return "–"
    return "practically never" if math.isinf(time_s) or time_s > 1e24 else duration_text(time_s)
