"""The sections of a report as HTML; every text that comes from a run goes through ``escape``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from string import Template

from mapmpi.path.pathway import Pathway
from mapmpi.pneb.corrections import HEAD, corrected_times, correction_cells
from mapmpi.pneb.diffusion import sentences
from mapmpi.pneb.table import PREFACTOR_TEXT, highest_barrier_ev, hop_cells, hop_status, shown, status
from mapmpi.report.answer import best, spelled, trust
from mapmpi.report.film import MOST_FILMS
from mapmpi.report.gather import Run
from mapmpi.train.progress import best_episodes

LONG = 16
"""Letters of a tile above which they are smaller."""

_CLASSES = {"verified": "verified", "not verified": "doubtful", "no saddle": "missing"}


def asset(name: str) -> str:
    """Return the text of a file that is a part of every page."""
    return (resources.files("mapmpi.report") / name).read_text(encoding="utf-8")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """Return a table; cells are HTML already, columns ``numbers`` stand right."""

    def cells(kind: str, row: Sequence[str]) -> str:
        names = [' class="number"' if column in numbers else "" for column in range(len(row))]
        return "".join(f"<{kind}{name}>{cell}</{kind}>" for name, cell in zip(names, row, strict=True))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells("th", head)}</tr></thead><tbody>{body}</tbody></table></div>'


def tiles(run: Run) -> str:
    """Return the figures that the answer rests on, side by side."""
    facts: list[tuple[str, str]] = []
    if (one := best(run)) is not None:
        kelvin = run.settings.temperatures[0]
        facts = [
            ("temperature", f"{kelvin - 273.15:.0f} °C"),
            ("highest barrier", f"{highest_barrier_ev(one):.2f} eV"),
            ("climb of all hops", f"{one.climb_ev:.2f} eV"),
            ("length", f"{one.length_A:.1f} Å"),
            ("saddles verified", f"{one.verified} of {len(one.hops)}"),
        ]
    elif len(run.episodes):
        facts = [
            ("episodes", f"{len(run.episodes):,}"),
            ("actions", f"{int(run.episodes['actions'].sum()):,}"),
            ("reached the goal", f"{len(run.goals):,}"),
        ]
        if len(run.goals):
            facts.append(("lowest climb", f"{run.goals['climb'].min():.2f} eV"))
    facts.append(("force field", run.forces))
    inner = ""
    for name, value in facts:
        size = "long" if len(value) > LONG else "short"
        inner += f'<div><dt>{name}</dt><dd class="{size}">{escape(value)}</dd></div>'
    return f'<dl class="tiles">{inner}</dl>'


def troubles(run: Run) -> str:
    """Return what limits the answer: doubtful saddles, files that cannot be read, an unfit force field."""
    found = list(run.troubles)
    if (one := best(run)) is not None and one.verified < len(one.hops):
        found.append(f"{trust(one).capitalize()} on the best pathway; the table says what is wrong with each.")
    if "PETN" in run.facts.get("forces", ""):
        found.append(
            "The force field is titled PETN: it was not fitted for this material, so barriers are not to be compared "
            "with experiment. Name one that was in forcefield.reaxff_file."
        )
    if run.config.forcefield.simulated is not None:
        found.append("The forces are simulated: no result means anything.")
    return "".join(f'<p class="warn">{escape(text)}</p>' for text in found)


def viewer(run: Run) -> str:
    """Return the frame of the 3-D view; the script fills it."""
    names = enumerate(one.name for one in run.refined[:MOST_FILMS])
    options = "".join(f'<option value="{place}">{escape(name)}</option>' for place, name in names)
    return Template(asset("viewer.html")).substitute(options=options)


def pathways(run: Run) -> str:
    """Return the pathways by their times, and the hops of each."""
    head = ["", "pathway", "hops", "verified", "highest barrier (eV)", "T (K)"]
    for time in ("passage time", "time (Eq. 3)"):
        head += [time, "D from it (cm²/s)"]
    rows = []
    for rank, one in enumerate(run.refined, 1):
        lead = [str(rank), escape(one.name), str(len(one.hops)), str(one.verified)]
        lead.append(shown(highest_barrier_ev(one), "{:.3f}"))
        for kelvin in run.settings.temperatures:
            times = run.times(one, kelvin)
            passage = [escape(spelled(times.passage_time_s)), shown(times.passage_diffusion_cm2_s, "{:.2e}")]
            plain = [escape(spelled(times.time_s)), shown(times.diffusion_cm2_s, "{:.2e}")]
            rows.append([*lead, f"{kelvin:g}", *passage, *plain])
            lead = [""] * len(lead)
    prefactor = escape(PREFACTOR_TEXT[run.settings.prefactor])
    text = (
        f'<p class="note">Prefactor {prefactor}. The passage time counts the ways back, too; Eq. 3 does not.</p>'
    )
    text += table(head, rows, numbers=range(2, 10))
    return text + "".join(_hops(run, place, one) for place, one in enumerate(run.refined))


def _hops(run: Run, place: int, one: Pathway) -> str:
    head = ["hop", "what moves", "barrier (eV)", "back (eV)"]
    head += ["force left (eV/Å)", "lowest curvatures (eV/Å²)", "saddle", ""]
    rows = []
    for number, (hop, (*cells, told)) in enumerate(zip(one.hops, hop_cells(one), strict=True)):
        saddle = f'<span class="{_CLASSES[hop_status(hop)]}">{escape(told)}</span>'
        show = f'<button data-film="{place}" data-hop="{number}">show</button>' if place < MOST_FILMS else ""
        rows.append([*map(escape, cells), saddle, show])
    quantum, corrected = _quantum(run, one)
    notes = "".join(f"<li>{escape(note)}</li>" for note in (*one.notes, *corrected))
    opened = " open" if not place else ""
    return (
        f"<details{opened}><summary>{place + 1}. {escape(one.name)}: {escape(status(one))}</summary>"
        f'<p class="note">From {escape(one.source)}.</p>{table(head, rows, numbers=(2, 3, 4))}{quantum}'
        f'<ul class="note">{notes}</ul></details>'
    )


def _quantum(run: Run, one: Pathway) -> tuple[str, list[str]]:
    """Return the table of zero points, rates and tunnelling, and what it makes of the times; nothing if unknown."""
    if run.settings.prefactor != "vineyard":
        return "", []
    kelvins = run.settings.temperatures
    title = f'<p class="note">Quantum nuclei, {kelvins[0]:g} K:</p>'
    head, rows = [name.replace("\n", " ") for name in HEAD], correction_cells(one, kelvins[0])
    return title + table(head, rows, numbers=range(1, 6)), [corrected_times(one, kelvin) for kelvin in kelvins]


def episodes(run: Run) -> str:
    """Return how much was trained and the best episodes; nothing where nothing was."""
    if not len(run.episodes):
        return ""
    actions = int(run.episodes["actions"].sum())
    failed = Counter(kind.decode() for kind in run.episodes["failure"] if kind)
    agents = len(set(run.episodes["agent"].tolist()))
    told = ", ".join(f"{kind} {count}" for kind, count in failed.most_common())
    text = (
        f"<p>{len(run.episodes):,} episodes of {agents} agent{'s' * (agents > 1)}, {actions:,} "
        f"actions; {len(run.goals):,} reached the goal, {failed.total():,} ended by a failed simulation"
        f"{escape(f' ({told})') if told else ''}.</p>"
    )
    head = ["agent", "episode", "policy", "outcome", "actions", "way (Å)", "climb (eV)", "reward"]
    rows = [
        [
            *(str(int(row[name])) for name in ("agent", "episode")),
            *(escape(row[name].decode("ascii", "replace")) for name in ("policy", "outcome")),
            str(int(row["actions"])),
            *(shown(float(row[name]), "{:.2f}") for name in ("progress", "climb", "total_reward")),
        ]
        for row in best_episodes(list(run.episodes))
    ]
    return text + "<h3>Best episodes</h3>" + table(head, rows, numbers=(0, 1, 4, 5, 6, 7))


def diffusion(run: Run) -> str:
    """Return D of a walker on the network in words; nothing where the network leads nowhere."""
    if not any(any(one.through) for one in run.diffusion.values()):
        return ""
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences(run.diffusion))


def source(run: Run) -> str:
    """Return the input with every default, the versions, and the warnings of the logs."""
    rows = table(["", ""], [[escape(name), escape(value)] for name, value in run.facts.items()])
    facts = f'<div class="facts">{rows}</div>'
    warnings = "\n".join(run.warnings)
    told = (
        f"<h3>Last warnings in the logs</h3><pre>{escape(warnings)}</pre>"
        if warnings
        else "<p>The logs hold no warning.</p>"
    )
    return (
        f"{facts}{told}<details><summary>The input with every default (config.yaml)</summary>"
        f"<pre>{escape(run.input_text)}</pre></details>"
    )
