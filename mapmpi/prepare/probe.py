"""``prepare probe``: good values of tether, step, relaxation and rewards, measured on the user's own system.

Straight drags over the first Å of the way are compared with one that spares no force calls. What is cheapest and still
climbs as that one does is proposed, as a part of an input, each value with the figures that speak for it.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from mpi4py import MPI

from mapmpi.config import Config
from mapmpi.errors import UserError, of_option
from mapmpi.parallel.agreement import on_root
from mapmpi.prepare.drag import Drag, Probe, Settings, agrees, cheapest, softest, tolerance
from mapmpi.prepare.output import Console, check_new, command_of
from mapmpi.structures.inputs import read_input

STIFFNESSES = (25.0, 50.0, 100.0, 200.0, 400.0)
"""kcal/mol/Å² that are tried."""
DISPLACEMENTS = (0.2, 0.3, 0.4, 0.6)
"""Å that are tried."""
CALLS = (10, 20, 40, 80)
"""Force calls (or MD steps) an action that are tried."""
REFERENCE = Settings(STIFFNESSES[-1], 0.1, 160)
"""What no force calls were spared for."""
TRIAL = (0.2, 80)
"""δ in Å and force calls with which the stiffnesses are compared."""
LENGTH = 4.0
"""Å of the way, unless the goal is nearer."""
FLAT = 0.03
"""eV: where the reference climbs by less nothing was crossed."""
BARRIER_SHARE, TIME_SHARE, ENERGY_SHARE = 0.5, 0.1, 0.25
"""Of what progress pays: what the climb of the straight drag costs, an action's time, and a usual change of energy."""


@dataclass(frozen=True)
class Findings:
    """All drags over ``length`` Å: by stiffness, by step and force calls; the chosen one went there and back.

    ``share`` tells within which share of the reference's climb the chosen one's is; None: within none.
    """

    reference: Drag
    own: Drag
    by_stiffness: list[Drag]
    by_cost: list[Drag]
    chosen: Drag
    share: float | None
    length: float


def make(arguments: argparse.Namespace, comm: MPI.Intracomm, console: Console) -> None:
    """Measure, print what is proposed, and write it where ``--output`` says (collective)."""
    output = arguments.output
    if output is not None:
        with of_option("--output"):
            on_root(comm, lambda: check_new([output], arguments.force))
    config, atoms = on_root(
        comm, lambda: read_input(arguments.input, arguments.settings, arguments.allow_commands)
    )
    if config.forcefield.simulated is not None:
        raise UserError(f"{arguments.input}: forcefield.simulated has no forces to measure; name a force field.")
    length = arguments.length or min(LENGTH, config.goal.distance)
    probe = Probe(config, atoms, comm, length)
    found = measure(probe, console)
    text = fragment(found, config, command_of(arguments.command_line))
    console.say("\n" + text.rstrip())
    if output is not None:
        on_root(comm, lambda: output.write_text(text, encoding="utf-8"))
        console.say(f"\nwrote {output}; put its keys into the input")


def measure(probe: Probe, console: Console) -> Findings:
    """Make all drags. Raises UserError when the straight drag breaks the simulation however careful it is."""
    total, done = 3 + len(STIFFNESSES) + len(DISPLACEMENTS) * len(CALLS), 0

    def drag(settings: Settings, and_back: bool = False) -> Drag:
        nonlocal done
        found = probe.drag(settings, and_back)
        done += 1
        console.progress("drags", done / total)
        return found

    reference = drag(REFERENCE)
    if reference.failure:
        raise UserError(
            f"goal.direction: the straight drag over {probe.length:g} Å breaks the simulation ({reference.failure}); "
            "give a smaller --length, or another direction."
        )
    own = drag(probe.own_settings())
    by_stiffness = [drag(Settings(stiffness, *TRIAL)) for stiffness in STIFFNESSES]
    stiffness = softest(by_stiffness, reference)
    by_cost = []
    for step in DISPLACEMENTS:
        for calls in CALLS:
            by_cost.append(drag(Settings(stiffness, step, calls)))
            if agrees(by_cost[-1], reference):
                break  # more force calls would only cost more
    best, share = cheapest(by_cost, reference)
    chosen = drag(best.settings, and_back=True)
    console.progress("drags", 1.0)
    return Findings(reference, own, by_stiffness, by_cost, best if chosen.failure else chosen, share, probe.length)


def fragment(found: Findings, config: Config, command: str) -> str:
    """Return the part of an input that is proposed: YAML with the reasons as comments."""
    chosen, reference, settings = found.chosen, found.reference, found.chosen.settings
    unit = "MD steps" if config.dynamics.relaxation == "md" else "force calls"
    near = tolerance(reference, found.share or 0.0)
    lines = [
        f"# {command}",
        f"# Straight on over {found.length:.2f} Å the energy climbs by {reference.climb:.3f} eV if nothing is spared:",
        f"# k {REFERENCE.spring_constant:g} kcal/mol/Å², δ {REFERENCE.displacement:g} Å, {REFERENCE.calls} {unit} an "
        "action.",
    ]
    if found.share is not None:
        lines.append(
            f"# Proposed is the cheapest that climbs by that within {near:.3f} eV, with no more left over at its top:"
        )
    else:
        off = abs(chosen.climb - reference.climb)
        lines.append(
            f"# Nothing that was tried comes near to that; this comes nearest, and is off by {off:.3f} eV:"
        )
    lines.append(f"# {settings.cost:.0f} {unit} for each Å. {_own(found)}")
    if reference.climb < FLAT:
        lines.append(f"# No barrier was crossed in {found.length:.2f} Å: give a larger --length.")
    lines += ["tether:", *_stiffness(found), *_limit(chosen)]
    lines += ["actions:", *_step(found, unit), f"  displacement: {settings.displacement:g}"]
    lines += ["dynamics:", *_calls(found, unit), f"  steps_per_action: {settings.calls}"]
    lines += ["rewards:", *_rewards(found)]
    return "\n".join(lines) + "\n"


def _own(found: Findings) -> str:
    """Return in a sentence what the input's own settings do."""
    if found.own.failure:
        return f"The input's own settings break the simulation ({found.own.failure})."
    return f"The input's own take {found.own.settings.cost:.0f} and climb by {found.own.climb:.3f} eV."


def _stiffness(found: Findings) -> list[str]:
    """Return the tether's stiffness with its reason."""
    value = found.chosen.settings.spring_constant
    told = []
    for drag in found.by_stiffness:
        k = drag.settings.spring_constant
        if drag.failure:
            told.append(f"  #   {k:g}: the simulation breaks ({drag.failure})")
        else:
            told.append(
                f"  #   {k:g}: climb {drag.climb:.3f} eV, tether up to {drag.lag:.2f} Å, moves up to {drag.jump:.2f} Å"
            )
    return [
        f"  # kcal/mol/Å², with δ {TRIAL[0]:g} Å; too soft a tether lets the molecule slip over the passes:",
        *told,
        f"  spring_constant: {value:g}",
    ]


def _limit(chosen: Drag) -> list[str]:
    """Return the tether's limit with its reason: twice what it took, or two steps."""
    step = chosen.settings.displacement
    limit = max(2 * chosen.lag, 2 * step)
    return [
        f"  # Å: it was {chosen.lag:.2f} Å long at most; two times that, or two steps of {step:g} Å",
        f"  limit: {limit:.2f}",
    ]


def _step(found: Findings, unit: str) -> list[str]:
    """Return the reason for the step: of each length the cheapest that agrees."""
    lines = [f"  # Å; the cheapest of each length, in {unit} for each Å:"]
    for step in DISPLACEMENTS:
        tried = [drag for drag in found.by_cost if drag.settings.displacement == step]
        best, share = cheapest(tried, found.reference)
        near = "not within the tolerance" if share is None else f"within {share:.0%}"
        lines.append(f"  #   {step:g}: {best.settings.cost:.0f}, climb {best.climb:.3f} eV, {near}")
    return lines


def _calls(found: Findings, unit: str) -> list[str]:
    """Return the reason for the number of force calls."""
    chosen, tried = found.chosen, []
    for drag in found.by_cost:
        if drag.settings.displacement == chosen.settings.displacement:
            what = drag.failure or f"climb {drag.climb:.3f} eV, {drag.left:.3f} eV left over at the top"
            tried.append(f"  #   {drag.settings.calls}: {what}")
    spread = f"{chosen.spread:.3f} eV" if chosen.spread == chosen.spread else "not known"
    return [
        f"  # {unit} an action with δ {chosen.settings.displacement:g} Å, and what ten times as many change:",
        *tried,
        f"  # There and back, energies at the same place differ by up to {spread}.",
    ]


def _rewards(found: Findings) -> list[str]:
    """Return weights beside progress, which is paid with 1 per Å, with their reasons."""
    chosen = found.chosen
    step = chosen.settings.displacement
    climb, change = max(chosen.climb, FLAT), max(chosen.typical_change, 1e-3)
    barrier, energy = BARRIER_SHARE * found.length / climb, min(1.0, ENERGY_SHARE * step / change)
    return [
        f"  # progress pays {found.length:.2f} over the {found.length:.2f} Å of the drag, whose climb of "
        f"{chosen.climb:.3f} eV shall cost {BARRIER_SHARE:.0%} of that",
        f"  barrier: {{weight: {barrier:.2f}}}",
        f"  # the energy changes by {chosen.typical_change:.3f} eV in a usual action: {ENERGY_SHARE:.0%} of what its "
        f"{step:g} Å pay, 1 at most; and by {chosen.change:.3f} eV at most",
        f"  energy: {{weight: {energy:.2f}, clip: {max(2 * chosen.change, 0.1):.2f}}}",
        f"  # {TIME_SHARE:.0%} of the {step:g} that an action of {step:g} Å pays",
        f"  time: {{weight: {TIME_SHARE * step:.3f}}}",
        f"  # Å: the tether was {chosen.lag:.2f} Å long on the way, which is no fault",
        f"  distance: {{threshold: {max(1.2 * chosen.lag, step):.2f}}}",
    ]
