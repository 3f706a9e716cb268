"""HDF5 files that are damaged or made up: what they declare is checked before anything is read."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from test_pathway_files import doubtful
from test_trajectory import new_writer, write_episode

from mapmpi.errors import UserError
from mapmpi.pneb import record
from mapmpi.store.trajectory import TrajectoryReader
from mapmpi.store.writer import repair

POSITIONS = "particles/atoms/position/value"
ENERGIES = "observables/atoms/potential_energy/value"


@pytest.fixture
def trajectory(tmp_path: Path) -> Path:
    path = tmp_path / "agent-00003.h5"
    writer = new_writer(path)
    for actions in (4, 2):
        write_episode(writer, actions)
    return path


@pytest.fixture
def pathway(tmp_path: Path) -> Path:
    path = tmp_path / "pathway.h5"
    record.save(path, doubtful(), {"fmax": 0.05})
    return path


def change(path: Path, edit: Callable[[h5py.File], object]) -> None:
    """Edit a file through HDF5, which makes all checksums right again."""
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        edit(file)


def read_all(path: Path) -> None:
    with TrajectoryReader(path) as reader:
        for row in range(len(reader.episodes)):
            reader.episode(row)


def replaced(file: h5py.File, name: str, **how: object) -> None:
    del file[name]
    file.create_dataset(name, **how)


def set_row(file: h5py.File, field: str, value: object) -> None:
    rows = file["mapmpi/episodes"][:]
    rows[field][-1] = value
    file["mapmpi/episodes"][:] = rows


def moved(file: h5py.File, name: str, link: h5py.SoftLink | h5py.ExternalLink) -> None:
    del file[name]
    file[name] = link


def virtual(file: h5py.File) -> None:
    plan = h5py.VirtualLayout((8,), "f8")
    plan[:] = h5py.VirtualSource("/etc/passwd", "x", (8,))
    del file[ENERGIES]
    file.create_virtual_dataset(ENERGIES, plan)


TRAJECTORIES: dict[str, tuple[Callable[[h5py.File], object], str]] = {
    "soft link": (lambda file: moved(file, POSITIONS, h5py.SoftLink(f"/{ENERGIES}")), "lies elsewhere"),
    "external link": (lambda file: moved(file, "mapmpi", h5py.ExternalLink("other.h5", "/")), "lies elsewhere"),
    "external storage": (
        lambda file: replaced(file, ENERGIES, shape=(8,), dtype="f8", external=[("/etc/passwd", 0, 64)]),
        "stored elsewhere",
    ),
    "virtual": (virtual, "stored elsewhere"),
    "huge episode": (lambda file: set_row(file, "frames", 2**31 - 1), "does not have the frames"),
    "huge in both": (
        lambda file: (
            [file[name].resize(10**9, axis=0) for name in (POSITIONS, ENERGIES)]
            and set_row(file, "frames", 10**9 - 5)
        ),
        "does not have the frames|declares more",
    ),
    "huge start": (
        lambda file: replaced(file, "mapmpi/start/position", shape=(10**12, 3), dtype="f8"),
        "does not fit the file",
    ),
    "negative frames": (lambda file: set_row(file, "frames", -2), "do not follow one another"),
    "overlap": (lambda file: set_row(file, "first_frame", 1), "do not follow one another"),
    "parent without an agent": (
        lambda file: set_row(file, "parent_episode", 3),
        "parent of an episode can be none",
    ),
    "negative parent": (lambda file: set_row(file, "parent_agent", -1), "parent of an episode can be none"),
    "outcome": (lambda file: set_row(file, "outcome", b"\xff\xfe"), "is not a word"),
    "text for numbers": (
        lambda file: replaced(file, ENERGIES, shape=(8,), dtype=h5py.string_dtype()),
        "declares more|no numbers",
    ),
    "missing": (lambda file: file.__delitem__("mapmpi/action"), "action"),
    "text for the agent": (
        lambda file: file["mapmpi"].attrs.__setitem__("agent", "text"),
        "neither numbers nor text",
    ),
    "no element": (lambda file: file["mapmpi/start/species"].__setitem__(0, 200), "is of no element"),
    "flat cell": (lambda file: file["mapmpi/start/cell"].__setitem__(2, 0.0), "has no volume"),
    "lost atom": (lambda file: file["mapmpi/start/position"].__setitem__((1, 0), np.nan), "atom 2 stands at"),
    "no energy": (lambda file: file[ENERGIES].__setitem__(3, np.inf), "potential_energy of episode 1"),
}


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_a_trajectory_that_cannot_be_true_is_refused(trajectory: Path, name: str) -> None:
    edit, reason = TRAJECTORIES[name]
    change(trajectory, edit)
    with pytest.raises(UserError, match=reason) as refusal:
        read_all(trajectory)
    assert str(trajectory) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_flipped_byte_costs_no_time(trajectory: Path) -> None:
    """HDF5 alone tries a block with a wrong checksum 100 times and sleeps twice as long before each."""
    data = trajectory.read_bytes()
    began = time.monotonic()
    refused = 0
    for place in range(48, 13_000, 311):
        trajectory.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            read_all(trajectory)
            repair(trajectory)
        except UserError:
            refused += 1
    assert refused > 10
    assert time.monotonic() - began < 10.0


@pytest.mark.parametrize("keep", [0, 7, 40, 60, 5000, -100])
def test_a_truncated_trajectory_is_refused(trajectory: Path, keep: int) -> None:
    trajectory.write_bytes(trajectory.read_bytes()[:keep])
    with pytest.raises(UserError, match="damaged"):
        read_all(trajectory)


def inside_itself(file: h5py.File) -> None:
    for number in range(30):
        file[f"hops/again-{number}"] = file["hops"]


PATHWAYS: dict[str, tuple[Callable[[h5py.File], object], str]] = {
    "inside itself": (inside_itself, "is met twice"),
    "soft link": (
        lambda file: moved(file, "basins/0001/energy", h5py.SoftLink("/basins/0002/energy")),
        "a link to elsewhere",
    ),
    "external link": (
        lambda file: moved(file, "hops", h5py.ExternalLink("/etc/passwd", "/")),
        "a link to elsewhere",
    ),
    "huge": (lambda file: replaced(file, "hops/0001/band", shape=(10**9, 5, 3), dtype="f4"), "more than the file"),
    "huge and packed": (
        lambda file: replaced(file, "hops/0001/band", shape=(10**6, 5, 3), dtype="f4", compression="gzip"),
        "more than the file",
    ),
    "variable-length text": (
        lambda file: file["hops/0001"].attrs.create("name", "O1", dtype=h5py.string_dtype()),
        "text of fixed length",
    ),
    "a way out of the folder": (
        lambda file: file.attrs.__setitem__("name", np.bytes_(b"../../x")),
        "no file name",
    ),
    "no such atom": (lambda file: file["atoms/tagged"].__setitem__(0, 99), "not among the atoms"),
    "no energy": (lambda file: file["basins/0001/energy"].__setitem__((), np.nan), "not numbers of shape"),
    "a word for a number": (
        lambda file: file["hops/0002"].attrs.__setitem__("top", np.bytes_(b"first")),
        "top is str",
    ),
    "of another kind": (lambda file: file["hops/0002"].attrs.__setitem__("type", np.bytes_(b"Path")), "Path"),
    "another top": (lambda file: file["hops/0002"].attrs.__setitem__("top", 1000), "top of .* is image 1000"),
    "deep JSON": (lambda file: file.attrs.__setitem__("passage_times_s", np.bytes_(b"[" * 30_000)), "recursion"),
    "a hop less": (lambda file: file.__delitem__("hops/0003"), "2 hops between 4 basins"),
}


@pytest.mark.parametrize("name", PATHWAYS)
def test_a_pathway_that_cannot_be_true_is_refused(pathway: Path, name: str) -> None:
    edit, reason = PATHWAYS[name]
    change(pathway, edit)
    with pytest.raises(UserError, match=reason) as refusal:
        record.load(pathway)
    assert str(pathway) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_damaged_heap_of_strings_is_not_looked_at(pathway: Path) -> None:
    """Where an object of the heap says its size, a flipped byte makes HDF5 search for ever; only units lie there."""
    data = pathway.read_bytes()
    heap = data.index(b"GCOL")
    for place in range(heap + 4, heap + 150):
        pathway.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        assert record.load(pathway).name == "pathway-001"
