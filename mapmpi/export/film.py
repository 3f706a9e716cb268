"""What is exported: the frames of an episode's whole path, or of a refined pathway."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from mapmpi.errors import UserError
from mapmpi.pneb import record
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.trajectory import start_structure
from mapmpi.store.wholepath import WholePaths


@dataclass(frozen=True)
class Film:
    """f frames of n atoms: positions (f, n, 3) Å, unwrapped, and energies (f,) eV.

    ``steps`` (f,) are MD steps of an episode, else the numbers of the frames; ``agent`` (f, 3) Å where there is one.
    ``told`` is what else is known of each frame, by name, as plain values. On request there are ``forces`` (f, n, 3)
    eV/Å, and ``values`` (f,) with their unit, by name, NaN where a frame has none.
    """

    name: str
    atoms: Atoms
    positions: np.ndarray
    energies: np.ndarray
    steps: np.ndarray
    agent: np.ndarray | None
    told: list[dict[str, Any]]
    forces: np.ndarray | None = None
    values: Mapping[str, tuple[np.ndarray, str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.positions)

    def images(self) -> list[Atoms]:
        """Return the frames as structures with energies and forces, and in ``info`` all that is told of each."""
        frames = []
        for number, positions in enumerate(self.positions):
            atoms = self.atoms.copy()
            atoms.positions = positions
            values = {name: float(every[number]) for name, (every, _) in self.values.items()}
            known = {name: value for name, value in values.items() if math.isfinite(value)}
            atoms.info = {"step": int(self.steps[number]), **self.told[number], **known}
            if self.agent is not None:
                atoms.info["agent_position"] = self.agent[number]
            forces = {} if self.forces is None else {"forces": self.forces[number]}
            atoms.calc = SinglePointCalculator(atoms, energy=float(self.energies[number]), **forces)
            frames.append(atoms)
        return frames

    def only(self, frame: int) -> Film:
        """Return the film of one frame."""
        one = slice(frame, frame + 1)
        agent = None if self.agent is None else self.agent[one]
        return replace(
            self, positions=self.positions[one], energies=self.energies[one], steps=self.steps[one], agent=agent,
            told=self.told[one], forces=None if self.forces is None else self.forces[one],
            values={name: (every[one], unit) for name, (every, unit) in self.values.items()},
        )  # fmt: skip


def episode_film(run: RunDirectory, named: str) -> Film:
    """Return the whole path of an episode named AGENT:EPISODE, from the start. Raises UserError."""
    agent, colon, episode = named.partition(":")
    if not (colon and agent.isdecimal() and episode.isdecimal() and len(named) < 40):
        raise UserError(f"--episode {named}: write AGENT:EPISODE, as in metrics.csv, for example 2:9.")
    try:
        data = WholePaths(run.trajectory_files()).path(int(agent), int(episode))
    except KeyError:
        raise UserError(f"--episode {named}: {run.trajectories} holds no such episode; see metrics.csv.") from None
    told = [
        {"action": int(action), "temperature": float(kelvin)}
        for action, kelvin in zip(data.actions, data.temperature, strict=True)
    ]
    return Film(
        name=f"agent-{int(agent):05d}-episode-{int(episode):05d}",
        atoms=start_structure(run),
        positions=data.positions,
        energies=data.potential_energy,
        steps=data.steps,
        agent=data.agent_position,
        told=told,
    )


def pathway_film(run: RunDirectory, name: str) -> Film:
    """Return a refined pathway over all its basins and saddles. Raises UserError."""
    if (file := run.pathways / f"{name}.h5").parent != run.pathways or not file.is_file():
        known = sorted(path.stem for path in run.pathways.glob("*.h5"))
        raise UserError(
            f"--pathway {name}: no such pathway in {run.pathways}; "
            + (f"choose one of {', '.join(known[:10])}." if known else "refine one with mapmpi.pneb.")
        )
    one = record.load(file)
    points, kinds, hops, _ = zip(*one.frames(), strict=True)
    positions = np.array([point.positions for point in points])
    told = [
        {"kind": kind, "way_A": float(way), "hop": hop}
        for kind, way, hop in zip(kinds, one.progress(positions), hops, strict=True)
    ]
    energies = np.array([point.energy for point in points])
    return Film(one.name, one.atoms, positions, energies, np.arange(len(energies)), None, told)


def chosen_frame(film: Film, text: str) -> int:
    """Return the frame that ``N`` (from 0), ``saddle:N`` or ``basin:N`` (from 1) names. Raises UserError."""
    word, colon, digits = text.rpartition(":")
    count = int(digits) if digits.isdecimal() and len(digits) < 10 else -1
    if not colon and 0 <= count < len(film):
        return count
    if word in ("saddle", "basin"):
        places = [frame for frame, told in enumerate(film.told) if told.get("kind") == word]
        if 1 <= count <= len(places):
            return places[count - 1]
        raise UserError(f"--frame {text}: {film.name} has {len(places)} frames of this kind, counted from 1.")
    raise UserError(f"--frame {text}: expected 0 to {len(film) - 1}, or of a pathway saddle:N or basin:N.")


def best_pathway(run: RunDirectory, ranked: Sequence[str]) -> str:
    """Return the name of the first of the ranked pathways that is there, or of any. Raises UserError without one."""
    known = sorted(path.stem for path in run.pathways.glob("*.h5"))
    if not known:
        raise UserError(f"{run.pathways} holds no refined pathway; name an episode (--episode AGENT:EPISODE).")
    return next((name for name in ranked if name in known), known[0])
