"""The whole path of an episode, from the start: the frames of its ancestors put together with its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from mapmpi.climb import Heights, largest_rise
from mapmpi.errors import UserError
from mapmpi.store.ancestry import Ancestry, Orphan, Place, Stretch
from mapmpi.store.layout import EpisodeData
from mapmpi.store.records import EPISODE
from mapmpi.store.trajectory import TrajectoryReader

SAME_ENERGY_EV = 1e-6
"""An episode's first frame and the one that it continues are of one state: their energies are the same number …"""

SAME_PLACE_A = 1e-3
"""… and no atom is elsewhere, whole cells included; what float32 rounds is far less."""


class WholePaths:
    """The whole paths of the episodes of some trajectories, those of a run.

    ``episodes`` are the tables of all, one after the other, (episodes,) of dtype EPISODE. Ranking reads energies only,
    each file's once. Whatever asks for a path raises Orphan for one whose beginning is lost, UserError for a damaged
    file, and KeyError for an episode that is not there.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        """Read the tables. Raises UserError."""
        tables = [np.empty(0, EPISODE)]
        self._where: dict[tuple[int, int], tuple[Path, int, int]] = {}
        for file in files:
            with TrajectoryReader(file) as reader:
                table = reader.episodes
            tables.append(table)
            numbers = zip(*(table[name].tolist() for name in ("agent", "episode", "first_frame")), strict=True)
            for row, (agent, episode, first) in enumerate(numbers):
                self._where.setdefault((agent, episode), (file, row, first))
        self.episodes = np.concatenate(tables)
        self.ancestry = Ancestry(self.episodes)
        self._energies: dict[Path, np.ndarray] = {}
        self._heights: dict[Place, Heights] = {}

    def file(self, agent: int, episode: int) -> Path:
        """Return the file in which an episode's own frames are."""
        return self._where[agent, episode][0]

    def orphans(self) -> list[tuple[int, int]]:
        """Return agents and numbers of the episodes whose beginning is lost, as far as energies tell.

        Raises UserError for episodes that continue themselves.
        """
        lost = []
        for row in self.episodes[self.episodes["parent_agent"] > 0]:
            numbers = int(row["agent"]), int(row["episode"])
            try:
                self.heights(*numbers)
            except Orphan:
                lost.append(numbers)
        return lost

    def heights(self, agent: int, episode: int) -> Heights:
        """Return the heights in eV of a whole path; those of its ancestors are remembered."""
        chain = self.ancestry.chain(agent, episode)
        known = len(chain)
        while known and chain[known - 1].last not in self._heights:
            known -= 1
        heights = self._heights[chain[known - 1].last] if known else None
        for stretch in chain[known:]:
            energies = self._stretch(stretch)
            heights = Heights.of(energies) if heights is None else heights.after(energies)
            self._heights[stretch.last] = heights
        assert heights is not None
        return heights

    def energies(self, agent: int, episode: int) -> np.ndarray:
        """Return the energies (f,) eV of a whole path."""
        return np.concatenate([self._stretch(stretch) for stretch in self.ancestry.chain(agent, episode)])

    def highest_part(self, agent: int, episode: int) -> tuple[Place, Place]:
        """Return the frames between which a whole path rises most: the low one and the top."""
        chain = self.ancestry.chain(agent, episode)
        places = [
            (stretch.agent, stretch.episode, frame)
            for stretch in chain
            for frame in range(stretch.start, stretch.stop)
        ]
        low, top = largest_rise(self.energies(agent, episode))
        return places[low], places[top]

    def path(self, agent: int, episode: int) -> EpisodeData:
        """Return a whole path as one episode; its record is that of the last episode as it is in the table.

        Steps are those of the first stretch, then go on by what each episode ran.
        """
        chain = self.ancestry.chain(agent, episode)
        parts: dict[int, EpisodeData] = {}
        for file in {self.file(stretch.agent, stretch.episode) for stretch in chain}:
            with TrajectoryReader(file) as reader:
                for number, stretch in enumerate(chain):
                    where, row, _ = self._where[stretch.agent, stretch.episode]
                    if where == file:
                        parts[number] = reader.episode(row, stretch.stop)
        whole = parts[0]
        for number in range(1, len(chain)):
            whole = self._joined(whole, parts[number], chain[number])
        return whole

    def _joined(self, before: EpisodeData, after: EpisodeData, stretch: Stretch) -> EpisodeData:
        """Put an episode behind the path that it continues, without its first frame. Raises Orphan, UserError."""
        if after.positions.shape[1:] != before.positions.shape[1:]:
            raise UserError(
                f"{self.file(stretch.agent, stretch.episode)} is of another number of atoms than the other "
                "trajectories; take it out of the run directory."
            )
        if len(after.positions):
            self._check_energies(stretch, before.potential_energy[-1], after.potential_energy[0])
            if np.abs(after.positions[0] - before.positions[-1]).max() > SAME_PLACE_A:
                raise self._strange(stretch)
        joined = {
            name.name: np.concatenate([getattr(before, name.name), getattr(after, name.name)[1:]])
            for name in fields(EpisodeData)
            if name.name not in ("record", "cell", "steps")
        }
        steps = np.concatenate([before.steps, before.steps[-1] + after.steps[1:] - after.steps[:1]])
        return EpisodeData(record=after.record, cell=before.cell, steps=steps, **joined)

    def _stretch(self, stretch: Stretch) -> np.ndarray:
        """Return the energies of a stretch, once it is known that it continues what it is said to."""
        parent = self.ancestry.parent(stretch.agent, stretch.episode)
        first = (stretch.agent, stretch.episode, 0)
        if parent is not None and self.ancestry.holds(first):
            self._check_energies(stretch, self._energy(parent), self._energy(first))
        file, _, begin = self._where[stretch.agent, stretch.episode]
        return self._column(file)[begin + stretch.start : begin + stretch.stop]

    def _energy(self, place: Place) -> float:
        file, _, begin = self._where[place[:2]]
        return float(self._column(file)[begin + place[2]])

    def _column(self, file: Path) -> np.ndarray:
        if file not in self._energies:
            with TrajectoryReader(file) as reader:
                self._energies[file] = reader.all_energies()
        return self._energies[file]

    def _check_energies(self, stretch: Stretch, before_ev: float, after_ev: float) -> None:
        if abs(after_ev - before_ev) > SAME_ENERGY_EV:
            raise self._strange(stretch)

    def _strange(self, stretch: Stretch) -> Orphan:
        """Return what to say of an episode that does not begin where the frame that it should continue is.

        An agent that was killed in an episode plays one of the same number when the training goes on.
        """
        parent = self.ancestry.parent(stretch.agent, stretch.episode)
        assert parent is not None
        return Orphan(
            f"agent {stretch.agent} episode {stretch.episode} has no beginning: frame {parent[2]} of agent "
            f"{parent[0]} episode {parent[1]} is not what it continues, as that was lost when its writer was killed; "
            "choose another episode."
        )
