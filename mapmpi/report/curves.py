"""How a training went: one figure for each measure, against the actions that were spent."""

from __future__ import annotations

import numpy as np

from mapmpi.report.drawing import COLOURS, MOST_VECTORS, PALE, Drawing, band, style, with_axes
from mapmpi.report.gather import Run
from mapmpi.store.records import REWARD_TERMS

BINS = 40
"""Stretches of an agent's actions over which its episodes are averaged, where there are so many episodes."""

FEW = 20
"""Updates up to which each is marked: of one alone a line would show nothing."""

ACTIONS, EACH = "actions of all agents", "actions of each agent"

POLICIES = {
    "explore": ("o", PALE),
    "practise": ("s", COLOURS[5]),
    "greedy": ("^", COLOURS[1]),
    "straight": ("*", COLOURS[6]),
}
"""How the episodes of each policy are drawn."""


def training_curves(run: Run) -> list[Drawing]:
    """Return the figures of a training; none where nothing was trained."""
    with style():
        drawings = []
        if len(run.episodes):
            grid, agents = by_agent(run.episodes)
            drawings += [_progress(run, grid, agents), _best_path(run)]
            drawings += [draw(run, grid, agents) for draw in (_reward, _terms, _epsilon)]
        if np.isfinite(run.learner["loss"]).any():
            drawings.append(_loss(run))
        return drawings


def by_agent(episodes: np.ndarray) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Return a grid (k,) of actions of an agent, and for each agent (k,) the row of ``episodes`` that it is at; or -1.

    An episode stands for the actions that it took. The grid ends where the agent with the most actions does; what an
    agent has not done (yet) is -1.
    """
    rows = {int(agent): np.flatnonzero(episodes["agent"] == agent) for agent in np.unique(episodes["agent"])}
    ends = {agent: np.cumsum(np.maximum(episodes["actions"][own], 0)) for agent, own in rows.items()}
    longest = max(int(end[-1]) for end in ends.values())
    count = int(np.clip(max(len(own) for own in rows.values()), 2, BINS))
    grid = np.linspace(0.0, max(longest, 1), count)
    places = {}
    for agent, own in rows.items():
        index = np.searchsorted(ends[agent], grid, side="left")
        places[agent] = np.where(grid <= ends[agent][-1], own[np.minimum(index, len(own) - 1)], -1)
    return grid, places


def _over_agents(values: np.ndarray, agents: dict[int, np.ndarray]) -> np.ndarray:
    """Return a measure of the episodes along the grid, a row for each agent; NaN where there is none."""
    return np.array([np.where(rows < 0, np.nan, values[rows]) for rows in agents.values()])


def _label(agents: dict[int, np.ndarray]) -> str:
    return "mean and SD over agents" if len(agents) > 1 else "the agent"


def _progress(run: Run, grid: np.ndarray, agents: dict[int, np.ndarray]) -> Drawing:
    figure, axes = with_axes(EACH, "way to the goal (Å)")
    spent = np.zeros(len(run.episodes))
    for agent in agents:
        own = run.episodes["agent"] == agent
        spent[own] = np.cumsum(run.episodes["actions"][own])
    many = len(run.episodes) > MOST_VECTORS
    for policy, (marker, colour) in POLICIES.items():
        chosen = run.episodes["policy"] == policy.encode()
        if chosen.any():
            axes.plot(
                spent[chosen], run.episodes["progress"][chosen], marker, color=colour, markersize=3.2, label=policy,
                rasterized=many,
            )  # fmt: skip
    band(axes, grid, _over_agents(run.episodes["progress"], agents), COLOURS[0], _label(agents))
    axes.axhline(run.config.goal.distance, color="0.4", linewidth=0.8, linestyle=(0, (4, 3)))
    figure.legend(loc="outside upper left", ncols=5, columnspacing=1.0, handletextpad=0.4)
    return Drawing(
        "training-position",
        "How far the molecule has come along the goal direction at the end of each episode; dashed: the goal.",
        figure,
    )


def _best_path(run: Run) -> Drawing:
    """Draw the climb of the best whole path to the goal so far."""
    figure, axes = with_axes(ACTIONS, "climb of a path (eV)")
    spent, reached = np.cumsum(run.episodes["actions"]), run.episodes["outcome"] == b"goal"
    climbs = run.episodes["climb"][reached]
    if len(climbs):
        best = np.minimum.accumulate(climbs)
        axes.plot(
            spent[reached],
            climbs,
            "o",
            color=PALE,
            markersize=3,
            label="episodes at the goal",
            rasterized=len(climbs) > MOST_VECTORS,
        )
        axes.step(
            np.append(spent[reached], spent[-1]),
            np.append(best, best[-1]),
            where="post",
            color=COLOURS[0],
            label="best so far",
        )
        axes.set_ylim(0.0, min(float(climbs.max()), 4.0 * float(best[0]) + 1.0) * 1.08)
        axes.legend(loc="best")
    else:
        axes.text(0.5, 0.5, "no episode has reached the goal", ha="center", va="center", transform=axes.transAxes)
    axes.set_xlim(0.0, max(float(spent[-1]), 1.0) * 1.02)
    return Drawing(
        "training-best-path",
        "The largest rise of the energy along the best whole path to the goal, against the actions spent.",
        figure,
    )


def _reward(run: Run, grid: np.ndarray, agents: dict[int, np.ndarray]) -> Drawing:
    figure, axes = with_axes(EACH, "reward of an episode")
    band(axes, grid, _over_agents(run.episodes["total_reward"], agents), COLOURS[0], _label(agents))
    axes.legend(loc="best")
    return Drawing("training-reward", "The whole reward of an episode: the weighted sum of its terms.", figure)


def _terms(run: Run, grid: np.ndarray, agents: dict[int, np.ndarray]) -> Drawing:
    figure, axes = with_axes(EACH, "terms of the reward")
    for term, colour in zip(REWARD_TERMS, COLOURS, strict=False):
        band(axes, grid, _over_agents(run.episodes[term], agents), colour, term)
    figure.legend(loc="outside upper left", ncols=6, columnspacing=1.0, handlelength=1.0, handletextpad=0.4)
    return Drawing("training-terms", "The weighted terms of the reward, summed over an episode.", figure)


def _epsilon(run: Run, grid: np.ndarray, agents: dict[int, np.ndarray]) -> Drawing:
    figure, axes = with_axes(EACH, "exploration rate ε")
    band(axes, grid, _over_agents(run.episodes["epsilon"], agents), COLOURS[0], _label(agents))
    axes.set_ylim(-0.03, 1.03)
    axes.legend(loc="best")
    return Drawing("training-epsilon", "The share of an episode’s actions that are not the network’s.", figure)


def _loss(run: Run) -> Drawing:
    figure, axes = with_axes(ACTIONS, "loss, TD error")
    for name, label, colour in (("loss", "loss", COLOURS[0]), ("td_error", "mean |TD error|", COLOURS[1])):
        values = run.learner[name]
        shown = np.isfinite(values) & (values > 0)
        marker = "o" if shown.sum() < FEW else ""
        axes.plot(run.learner["actions"][shown], values[shown], marker, color=colour, label=label)
    axes.set_yscale("log")
    axes.legend(loc="best")
    return Drawing(
        "training-loss", "What the network has still to learn: loss and TD error of its updates.", figure
    )
