"""What a trajectory file holds and where; the frames and episodes that go in and come out.

``particles/atoms`` and ``observables/atoms`` are H5MD. ``mapmpi`` holds the rest, a row per frame (action,
reward_terms, agent_position, tagged_position), the structure at the start, and the table ``episodes`` that
says which frames are which episode. An episode's row is written after its frames, so what the table names is
there; frames that it does not name belong to an episode that was cut short.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from ase import Atoms

from mapmpi.plausible import doubt
from mapmpi.store import h5md
from mapmpi.store.records import EPISODE, EPISODE_UNITS, REWARD_TERMS
from mapmpi.store.vetting import Unsound, file_bytes, least_bytes, member

EPISODES = "mapmpi/episodes"
STEP = "particles/atoms/position/step"
TIME = "particles/atoms/position/time"
SPECIES = "particles/atoms/species/value"
EDGES = "particles/atoms/box/edges/value"
FRAME_DATA = {
    "step": STEP,
    "positions": "particles/atoms/position/value",
    "potential_energy": "observables/atoms/potential_energy/value",
    "temperature": "observables/atoms/temperature/value",
    "agent_position": "mapmpi/agent_position",
    "tagged_position": "mapmpi/tagged_position",
    "action": "mapmpi/action",
    "reward_terms": "mapmpi/reward_terms",
}
"""The data set of each field of a Frame."""
PER_FRAME = (*FRAME_DATA.values(), TIME, SPECIES, EDGES)
"""All data sets with a row per frame."""

# Rounding a coordinate of 30 Å to float32 moves the atom by 5e-7 Å (RMS). With forces of 0.5 eV/Å the energy of
# 1,593 atoms then changes by about sqrt(3·1593)·0.5·5e-7 = 2e-5 eV: fifty times below 1 meV, at half the size
# of float64 (2.9 instead of 5.7 MB for an episode of 150 frames).
POSITION_TYPE = "f4"


@dataclass(frozen=True)
class EpisodeData:
    """An episode as read: f frames of n atoms. Units as in Frame."""

    record: np.void
    """Its row of the table (dtype EPISODE)."""
    cell: np.ndarray
    """(3, 3) Å, vectors as rows."""
    steps: np.ndarray
    """(f,) int64."""
    positions: np.ndarray
    """(f, n, 3) float64."""
    potential_energy: np.ndarray
    """(f,)."""
    temperature: np.ndarray
    """(f,)."""
    actions: np.ndarray
    """(f,) int32."""
    reward_terms: np.ndarray
    """(f, 6)."""
    agent_position: np.ndarray
    """(f, 3)."""
    tagged_position: np.ndarray
    """(f, 3)."""


def create(file: h5py.File, atoms: Atoms, agent: int, timestep_fs: float, attributes: dict[str, Any]) -> None:
    """Write everything but the frames into a new file: ``atoms`` at the start, and empty data sets.

    ``attributes`` become attributes of the group ``mapmpi``.
    """
    n = len(atoms)
    h5md.write_root(file)
    particles = file.create_group("particles/atoms")
    position = h5md.create_element(particles, "position", (n, 3), POSITION_TYPE, "Angstrom")
    h5md.create_element(particles, "species", (n,), "u1", steps_of=position)
    box, edges = h5md.describe_box(particles, atoms.pbc), h5md.box_edges(atoms.cell.array)
    h5md.create_element(box, "edges", edges.shape, "f8", "Angstrom", position)
    h5md.create_element(file, "observables/atoms/potential_energy", (), "f8", "eV", position)
    h5md.create_element(file, "observables/atoms/temperature", (), "f8", "K", position)

    group = file.create_group("mapmpi")
    group.attrs.update({"agent": agent, "timestep": timestep_fs, "timestep_unit": "fs", **attributes})
    h5md.create_rows(group, "action", (), "i4")
    terms = h5md.create_rows(group, "reward_terms", (len(REWARD_TERMS),), "f8")
    terms.attrs["terms"] = list(REWARD_TERMS)
    h5md.create_rows(group, "agent_position", (3,), "f8", "Angstrom")
    h5md.create_rows(group, "tagged_position", (3,), "f8", "Angstrom")
    episodes = h5md.create_rows(group, "episodes", (), EPISODE)
    for field, unit in EPISODE_UNITS.items():
        episodes.attrs[f"{field}_unit"] = unit

    start = group.create_group("start")
    start["species"] = atoms.numbers
    for name, values in {"position": atoms.positions, "cell": atoms.cell.array}.items():
        start.create_dataset(name, data=values).attrs["unit"] = "Angstrom"
    start["periodic"] = atoms.pbc


START = {"species": "iu", "position": "f", "cell": "f", "periodic": "b"}
"""The data sets of the start, and which kinds of numbers they are."""


def read_start(file: h5py.File) -> Atoms:
    """Return the structure at the start. Raises Unsound when it can be none."""
    found = {}
    for name, kinds in START.items():
        dataset = member(file, f"mapmpi/start/{name}")
        if least_bytes(dataset) > file_bytes(file) or dataset.dtype.kind not in kinds:
            raise Unsound(f"{dataset.name} does not fit the file")
        found[name] = dataset[()]
    n = found["species"].size
    shapes = {"species": (n,), "position": (n, 3), "cell": (3, 3), "periodic": (3,)}
    if any(found[name].shape != shape for name, shape in shapes.items()):
        raise Unsound("the data sets of the start do not fit together")
    atoms = Atoms(found["species"], found["position"], cell=found["cell"], pbc=found["periodic"])
    if (reason := doubt(atoms)) is not None:
        raise Unsound(f"the structure at the start: {reason}")
    return atoms


class OtherVersion(Unsound):
    """The table of the episodes is that of another version of mapmpi."""


def read_frame_table(file: h5py.File) -> np.ndarray:
    """Return the table of the episodes, (episodes,) of dtype EPISODE, once it is known that their frames are there.

    Raises Unsound when they are not, OtherVersion for a table with other columns.
    """
    table = member(file, EPISODES)
    if table.dtype != EPISODE and {"agent", "episode", "first_frame", "frames"} <= set(table.dtype.names or ()):
        raise OtherVersion(f"{EPISODES} has other columns")
    if table.dtype != EPISODE or table.ndim != 1 or least_bytes(table) > file_bytes(file):
        raise Unsound(f"{EPISODES} is not the table of this mapmpi's episodes")
    episodes: np.ndarray = table[:]
    counts = episodes["frames"].astype("i8")
    if (counts < 0).any() or not np.array_equal(episodes["first_frame"], np.cumsum(counts) - counts):
        raise Unsound("the frames of the episodes do not follow one another")
    parents = np.stack([episodes[name] for name in ("parent_agent", "parent_episode", "parent_frame")])
    if (parents < 0).any() or ((parents[0] == 0) & parents[1:].any(axis=0)).any():
        raise Unsound("the parent of an episode can be none")
    for field in ("outcome", "policy"):
        if not all(word.isascii() and word.decode().isprintable() for word in episodes[field].tolist()):
            raise Unsound(f"the {field} of an episode is not a word")
    frames, atoms = int(counts.sum()), len(member(file, "mapmpi/start/species"))
    inside = {"positions": (atoms, 3), "agent_position": (3,), "tagged_position": (3,)}
    inside["reward_terms"] = (len(REWARD_TERMS),)
    for field, path in FRAME_DATA.items():
        dataset = member(file, path)
        enough = dataset.shape is not None and len(dataset.shape) > 0 and dataset.shape[0] >= frames
        if not enough or dataset.shape[1:] != inside.get(field, ()):
            raise Unsound(f"{path} does not have the frames of the episodes")
        if dataset.dtype.kind not in "if" or least_bytes(dataset, frames) > file_bytes(file):
            raise Unsound(f"{path} declares more than the file holds")
    return episodes
