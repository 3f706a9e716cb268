"""How fast a training will be: actions on each kind of group, the learner's gradient steps, and what follows."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from mapmpi.check.page import Page
from mapmpi.config import Config
from mapmpi.env.environment import Environment
from mapmpi.env.state import shape_and_actions
from mapmpi.errors import EngineError, UserError
from mapmpi.md.factory import make_engine
from mapmpi.memory import private_memory
from mapmpi.parallel.layout import Layout
from mapmpi.units import duration_text

if TYPE_CHECKING:
    from mapmpi.rl.timing import UpdateTime

ACTIONS = 3
"""Actions that each group takes."""

RANKS = (3, 17, 129, 1025)
"""Sizes of jobs for which the pace is foretold."""


@dataclass
class GroupPace:
    """What one group of ranks did: seconds of each action, bytes of memory a rank, and what broke it, if anything."""

    agent: int
    seconds: list[float] = field(default_factory=list)
    memory: int = 0
    failure: str = ""


def act(config: Config, atoms: Atoms, layout: Layout) -> GroupPace:
    """Take a few random actions, as the training would begin (collective on the group, which must not be None)."""
    pace = GroupPace(layout.agent)
    random = np.random.default_rng([config.seed, layout.agent])  # the same on all ranks of a group
    try:
        environment = Environment(config, lambda: make_engine(config, atoms, layout.comm))
        environment.reset(int(random.integers(1 << 31)))
        for number in range(ACTIONS):
            began = time.monotonic()
            step = environment.step(int(random.integers(len(environment.vectors))))
            pace.seconds.append(time.monotonic() - began)
            if step.ending == "failed":
                pace.failure = f"action {number + 1}: {step.failure}"
                break
            if step.ending:
                environment.reset(int(random.integers(1 << 31)))
        pace.memory = private_memory()
        environment.close()
    except (UserError, EngineError) as error:
        pace.failure, pace.memory = str(error), private_memory()
    return pace


def learn(config: Config, atoms: Atoms, threads: int) -> tuple[UpdateTime, float]:
    """Time gradient steps of the real network; return that, and the bytes of memory with the whole replay buffer.

    Raises ImportError without torch.
    """
    before = private_memory()
    from mapmpi.rl.timing import time_updates  # loads torch, which only the learner needs

    found = time_updates(*shape_and_actions(config, atoms), config, threads)
    return found, private_memory() - before + config.replay.capacity * found.bytes_per_state


def describe_actions(
    page: Page, config: Config, paces: list[GroupPace], ranks: int, untried: bool
) -> float | None:
    """Say how long an action takes on groups of ``ranks``, which are not the training's if those are ``untried``.

    Returns the median in seconds, None if none succeeded.
    """
    broken = [pace for pace in paces if pace.failure]
    medians = [float(np.median(pace.seconds)) for pace in paces if pace.seconds and not pace.failure]
    if medians:
        spread = f", from {min(medians):.2f} to {max(medians):.2f} s over the groups" if len(medians) > 1 else ""
        count = f"{len(medians)} group{'s' * (len(medians) > 1)} of {ranks} rank{'s' * (ranks > 1)}"
        kind = "force calls" if config.dynamics.relaxation == "minimize" else "MD steps"
        finding = f"{np.median(medians):.2f} s each ({config.dynamics.steps_per_action} {kind}){spread}; {count}"
        if untried:
            least = config.train.ranks_per_agent + 1
            page.note("actions", f"{finding}; groups of {least - 1} were not tried: for that start {least} ranks.")
        else:
            page.ok("actions", finding + (", all at once" if len(medians) > 1 else ""))
    if broken:
        first = broken[0]
        finding = f"failed on {len(broken)} of {len(paces)} groups, agent {first.agent}: {first.failure}"
        say = page.note if medians else page.fails
        say("actions", f"{finding}; lower dynamics.timestep or actions.displacement, or relax the structure.")
    return float(np.median(medians)) if medians else None


def updates_per_action(config: Config) -> float:
    """Return the gradient steps that the training makes for each action."""
    return config.learning.replay_ratio / config.learning.batch


def describe_learner(page: Page, config: Config, pace: UpdateTime, action_s: float | None, ranks: int) -> None:
    """Say how fast the learner is, and from how many ranks on it is the limit; ``ranks`` are those of this job."""
    finding = (
        f"{1 / pace.seconds:.1f} gradient steps/s on {pace.device} ({pace.parameters} parameters, batch "
        f"{config.learning.batch})"
    )
    if action_s is None:
        page.ok("learner", finding)
        return
    agents = int(action_s / (pace.seconds * updates_per_action(config)))
    most = 1 + agents * config.train.ranks_per_agent
    if most >= ranks and most >= RANKS[-1]:
        page.ok("learner", f"{finding}: keeps up beyond {RANKS[-1]} ranks")
    elif most >= ranks:
        page.ok("learner", f"{finding}: keeps up to {most} ranks; beyond, transitions are replayed less often")
    else:
        page.note(
            "learner",
            f"{finding}: too slow from {most + 1} ranks on, and transitions are replayed less than "
            f"learning.replay_ratio {config.learning.replay_ratio:g} times; raise train.learner_threads, use a "
            "GPU, or lower the ratio.",
        )


def table(config: Config, action_s: float, learner: UpdateTime | None) -> str:
    """Return the pace at several numbers of ranks as lines, one rank a core as fast as here."""
    rows = [("ranks", "agents", "actions/hour", "updates/s needed", "keeps up", "the training lasts")]
    for ranks in RANKS:
        agents = (ranks - 1) // config.train.ranks_per_agent
        if agents == 0:
            continue
        rate = agents / action_s
        needed = rate * updates_per_action(config)
        keeps = "?" if learner is None else "yes" if needed * learner.seconds <= 1 else "no"
        lasts = duration_s(config, rate)
        lasts_text = duration_text(lasts) if np.isfinite(lasts) else "each job's time"
        rows.append((f"{ranks:,}", f"{agents:,}", f"{3600 * rate:,.0f}", f"{needed:.2f}", keeps, lasts_text))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join("  " + line for line in lines)


def duration_s(config: Config, rate: float) -> float:
    """Return how long the training lasts at ``rate`` actions/s, episodes all of the longest kind, or inf."""
    stop = config.train.stop
    limits = [stop.wall_time if isinstance(stop.wall_time, float) else np.inf]
    limits += [
        count / rate for count in (stop.actions, (stop.episodes or 0) * config.episode.max_actions) if count
    ]
    return float(min(limits))
