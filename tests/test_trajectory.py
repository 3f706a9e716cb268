"""Trajectories: what is written comes back, other programs read it, and a killed writer loses nothing whole."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import h5py
import numpy as np
import pytest
from ase import Atoms
from numpy.lib import recfunctions

from mapmpi.errors import UserError
from mapmpi.store import durable
from mapmpi.store.records import EPISODE, Frame
from mapmpi.store.trajectory import TrajectoryReader, episode_atoms
from mapmpi.store.writer import TrajectoryWriter, repair

CUBOID = np.diag([9.0, 10.0, 11.0])
TRICLINIC = np.array([[9.0, 0, 0], [-3.0, 8.0, 0], [1.0, 2.0, 7.0]])


def silica(cell: np.ndarray = CUBOID) -> Atoms:
    positions = np.arange(15.0).reshape(5, 3) / 3
    return Atoms("SiO2OH", positions, cell=cell, pbc=[True, True, False])


def frame(step: int, action: int = 2) -> Frame:
    """A frame all of whose numbers follow from its step; atoms leave the cell as it grows."""
    return Frame(
        step=step,
        positions=np.arange(15.0).reshape(5, 3) / 3 + 0.37 * step,
        potential_energy=-1234.5678 - step,
        temperature=10.0 + step,
        agent_position=np.array([step, 1.0, 2.0]),
        tagged_position=np.array([step - 0.5, 1.0, 2.0]),
        action=action,
        reward_terms=np.arange(6) * 0.1 + step,
    )


def write_episode(writer: TrajectoryWriter, actions: int) -> np.void:
    first = writer.last_step + 5
    writer.write_frame(frame(first, action=-1))
    for action in range(actions):
        writer.write_frame(frame(first + 40 * (action + 1)))
    row = np.zeros((), EPISODE)
    row["agent"], row["episode"], row["actions"] = writer.agent, writer.last_episode + 1, actions
    row["outcome"], row["final_x"] = b"goal", writer.last_step
    return writer.write_episode(row[()])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent-00003.h5"


def new_writer(path: Path, cell: np.ndarray = CUBOID) -> TrajectoryWriter:
    return TrajectoryWriter(path, silica(cell), agent=3, timestep_fs=0.5, attributes={"tether_limit": 1.5})


@pytest.mark.parametrize("cell", [CUBOID, TRICLINIC], ids=["cuboid", "triclinic"])
def test_episodes_come_back(path: Path, cell: np.ndarray) -> None:
    writer = new_writer(path, cell)
    rows = [write_episode(writer, actions) for actions in (4, 0, 7)]
    with TrajectoryReader(path) as reader:
        assert reader.episodes.dtype == EPISODE
        assert np.array_equal(reader.episodes, np.array(rows))
        assert reader.episodes["first_frame"].tolist() == [0, 5, 6]
        assert reader.atoms_template().get_chemical_symbols() == ["Si", "O", "O", "O", "H"]
        assert reader.atoms_template() == silica(cell)
        episodes = [reader.episode(row) for row in range(3)]
    for row, episode in zip(rows, episodes, strict=True):
        assert episode.actions.tolist() == [-1] + [2] * int(row["actions"])
        assert row["frames"] == len(episode.positions) == len(episode.steps)
        assert row["final_x"] == episode.agent_position[-1, 0] == episode.steps[-1]
        for index, step in enumerate(episode.steps):
            expected = frame(step)
            np.testing.assert_allclose(episode.positions[index], expected.positions, atol=4e-6)
            assert episode.potential_energy[index] == expected.potential_energy
            assert episode.temperature[index] == expected.temperature
            assert np.array_equal(episode.reward_terms[index], expected.reward_terms)
            assert np.array_equal(episode.tagged_position[index], expected.tagged_position)
        assert np.array_equal(episode.cell, cell)
    assert np.all(np.diff(np.concatenate([episode.steps for episode in episodes])) > 0)


@pytest.mark.parametrize("cell", [CUBOID, TRICLINIC], ids=["cuboid", "triclinic"])
def test_mdanalysis_reads_the_same(path: Path, cell: np.ndarray) -> None:
    mda = pytest.importorskip("MDAnalysis")
    writer = new_writer(path, cell)
    write_episode(writer, 3)
    write_episode(writer, 2)
    universe = mda.Universe.empty(5, trajectory=True)
    universe.load_new(str(path), format="H5MD")
    assert len(universe.trajectory) == 7
    steps = []
    for snapshot in universe.trajectory:
        step = snapshot.data["step"]
        steps.append(step)
        np.testing.assert_allclose(snapshot.positions, frame(step).positions, atol=1e-5)
        np.testing.assert_allclose(snapshot.dimensions, silica(cell).cell.cellpar(), rtol=1e-5)
        assert snapshot.data["atoms/potential_energy"] == -1234.5678 - step
        assert snapshot.time == pytest.approx(0.5 * step * 1e-3)  # MDAnalysis counts in ps
    assert np.all(np.diff(steps) > 0)
    universe.trajectory.close()


def test_layout_is_h5md(path: Path) -> None:
    write_episode(new_writer(path), 2)
    with h5py.File(path, "r") as file:
        assert file["h5md"].attrs["version"].tolist() == [1, 1]
        assert file["h5md/creator"].attrs["name"] == "mapmpi"
        assert "name" in file["h5md/author"].attrs
        box = file["particles/atoms/box"]
        assert box.attrs["boundary"].tolist() == ["periodic", "periodic", "none"]
        assert box["edges/value"].shape == (3, 3)
        assert box["edges/value"][0].tolist() == [9.0, 10.0, 11.0]
        for element in ("species", "box/edges"):
            assert file[f"particles/atoms/{element}/step"] == file["particles/atoms/position/step"]
        assert file["particles/atoms/position/value"].attrs["unit"] == "Angstrom"
        assert file["observables/atoms/potential_energy/value"].attrs["unit"] == "eV"
        assert file["mapmpi/episodes"].attrs["final_x_unit"] == "Angstrom"
        assert file["mapmpi"].attrs["tether_limit"] == 1.5


def test_frames_that_do_not_fit_are_refused(path: Path) -> None:
    writer = new_writer(path)
    writer.write_frame(frame(10))
    with pytest.raises(ValueError, match="step 10"):
        writer.write_frame(frame(10))
    with pytest.raises(ValueError, match="agent_position"):
        writer.write_frame(Frame(**{**vars(frame(11)), "agent_position": 1.0}))
    with pytest.raises(ValueError, match="agent 0"):
        writer.write_episode(np.zeros((), EPISODE)[()])


def test_the_caller_may_reuse_its_arrays(path: Path) -> None:
    writer = new_writer(path)
    taken = frame(10)
    writer.write_frame(taken)
    taken.positions[:] = 0.0
    row = np.zeros((), EPISODE)
    row["agent"] = 3
    writer.write_episode(row[()])
    with TrajectoryReader(path) as reader:
        np.testing.assert_allclose(reader.episode(0).positions[0], frame(10).positions, rtol=1e-6)


def test_an_episode_without_frames_has_a_row(path: Path) -> None:
    writer = new_writer(path)
    row = np.zeros((), EPISODE)
    row["agent"], row["outcome"] = 3, b"failed"
    writer.write_episode(row[()])
    write_episode(writer, 1)
    with TrajectoryReader(path) as reader:
        assert reader.episodes["frames"].tolist() == [0, 2]
        assert reader.episode(0).positions.shape == (0, 5, 3)


def test_the_row_is_written_last(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = new_writer(path)
    write_episode(writer, 3)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "_append_row", killed)
    with pytest.raises(KeyboardInterrupt):
        write_episode(writer, 2)
    with h5py.File(path, "r") as file:
        assert len(file["particles/atoms/position/value"]) == 7  # the frames are there …
    with TrajectoryReader(path) as reader:
        assert len(reader.episodes) == 1  # … and no episode names them

    resumed = TrajectoryWriter.resume(path)
    assert (resumed.agent, resumed.last_episode, resumed.frames) == (3, 1, 4)
    row = write_episode(resumed, 1)
    assert row["first_frame"] == 4
    with TrajectoryReader(path) as reader:
        steps = np.concatenate([reader.episode(0).steps, reader.episode(1).steps])
        assert reader.frames == 6
    assert np.all(np.diff(steps) > 0)


def test_never_overwrites(path: Path) -> None:
    write_episode(new_writer(path), 1)
    before = path.read_bytes()
    with pytest.raises(UserError, match="never overwritten"):
        new_writer(path)
    assert path.read_bytes() == before


READ = (
    "import sys; from mapmpi.store.trajectory import *; print(len(TrajectoryReader(sys.argv[1]).episode(0).steps))"
)
LOOK = "import sys, h5py; file = h5py.File(sys.argv[1], 'r'); print('open', flush=True); sys.stdin.read()"


def test_reads_while_another_process_appends(path: Path) -> None:
    write_episode(new_writer(path), 1)
    with durable.appending(path):
        done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=False)
    assert done.stdout == "2\n", done.stderr


def test_writes_while_another_process_looks(path: Path) -> None:
    """A file that somebody opened in another program, lock and all, must not stop a training."""
    writer = new_writer(path)
    with subprocess.Popen(
        [sys.executable, "-c", LOOK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        write_episode(writer, 1)
    with TrajectoryReader(path) as reader:
        assert len(reader.episodes) == 1


@pytest.mark.parametrize("content", [b"", b"text", None], ids=["empty", "text", "other hdf5"])
def test_other_files_are_refused(path: Path, content: bytes | None) -> None:
    if content is None:
        with h5py.File(path, "w", libver=("v110", "v110")) as file:
            file["mapmpi/something"] = 1
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match="not a trajectory"):
        TrajectoryReader(path)
    with pytest.raises(UserError, match="not a trajectory"):
        TrajectoryWriter.resume(path)


def test_a_file_of_another_version_is_no_damaged_one(path: Path) -> None:
    write_episode(new_writer(path), 2)
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        table = file["mapmpi/episodes"][:]
        del file["mapmpi/episodes"]
        older = [name for name in EPISODE.names or () if not name.startswith("parent") and name != "climb"]
        file["mapmpi/episodes"] = recfunctions.repack_fields(table[older])
    with pytest.raises(
        UserError, match=r"was written by another version of mapmpi.*; use that version"
    ) as refusal:
        TrajectoryReader(path)
    assert "damaged" not in str(refusal.value)


def test_missing_file_is_named(path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        TrajectoryReader(path)


def test_extxyz_has_the_energies(path: Path, tmp_path: Path) -> None:
    write_episode(new_writer(path, TRICLINIC), 2)
    with TrajectoryReader(path) as reader:
        images = episode_atoms(reader.atoms_template(), reader.episode(0))
    ase.io.write(tmp_path / "episode.xyz", images, format="extxyz")
    back = ase.io.read(tmp_path / "episode.xyz", ":")
    assert [image.info["action"] for image in back] == [-1, 2, 2]
    for image in back:
        assert image.get_potential_energy() == pytest.approx(-1234.5678 - image.info["step"])
        np.testing.assert_allclose(image.positions, frame(image.info["step"]).positions, atol=1e-5)
        np.testing.assert_allclose(image.cell.array, TRICLINIC)


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_trajectory import new_writer, write_episode
writer = new_writer(Path(sys.argv[1]))
while True:
    write_episode(writer, 20)
    print(writer.last_episode, flush=True)
"""


@pytest.mark.parametrize("delay_s", [0.0, 0.017, 0.04])
def test_a_killed_writer_leaves_its_episodes(path: Path, delay_s: float) -> None:
    command = [sys.executable, "-c", CHILD, str(path), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(3):
            child.stdout.readline()
        time.sleep(delay_s)
        child.send_signal(signal.SIGKILL)
        committed = max([3, *map(int, child.stdout.read().split())])

    def check(episodes: int) -> int:
        with TrajectoryReader(path) as reader:
            assert len(reader.episodes) >= episodes
            for row in range(len(reader.episodes)):
                episode = reader.episode(row)
                assert len(episode.positions) == 21
                expected = np.array([frame(step).positions for step in episode.steps])
                np.testing.assert_allclose(episode.positions, expected, rtol=1e-6)
            return len(reader.episodes)

    found = check(committed)
    repair(path)
    assert not repair(path)
    with h5py.File(path, "r") as file:  # no mark any more: any program opens it
        assert len(file["particles/atoms/position/value"]) == 21 * found
        assert len(file["observables/atoms/potential_energy/step"]) == 21 * found
    mda = pytest.importorskip("MDAnalysis")
    universe = mda.Universe.empty(5, trajectory=True)
    universe.load_new(str(path), format="H5MD")
    assert sum(1 for _ in universe.trajectory) == 21 * found
    universe.trajectory.close()
    write_episode(TrajectoryWriter.resume(path), 20)
    assert check(found + 1) == found + 1


def test_the_mark_of_a_killed_writer_is_cleared(path: Path) -> None:
    """Made by hand, so that it does not hang on when a signal comes."""
    code = CHILD.split("while")[0] + (
        "import os, signal\n"
        "write_episode(writer, 20)\n"
        "writer._append_row = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_episode(writer, 20)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path), str(Path(__file__).parent)], check=False)
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(path, "r")
    with TrajectoryReader(path) as reader:
        assert len(reader.episodes) == 1
    assert repair(path)
    with h5py.File(path, "r") as file:
        assert len(file["particles/atoms/position/value"]) == 21


def test_a_damaged_first_block_is_not_touched(path: Path) -> None:
    new_writer(path)
    damaged = bytearray(path.read_bytes())
    damaged[28] ^= 1  # in the address of the file's end
    path.write_bytes(damaged)
    with pytest.raises(UserError, match="damaged"):
        durable.clear_mark(path)
    assert path.read_bytes() == damaged
