"""The whole path of an episode that continues another's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ancestors import FAMILY, START, Episode, write

from mapmpi.climb import Heights
from mapmpi.errors import UserError
from mapmpi.store.ancestry import Ancestry, Orphan, Stretch, best_first
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.trajectory import TrajectoryReader, episode_atoms
from mapmpi.store.wholepath import WholePaths


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Return a run directory without episodes."""
    return RunDirectory.create(tmp_path / "run")


def whole(run: RunDirectory, *episodes: Episode) -> WholePaths:
    write(run, *episodes)
    return WholePaths(run.trajectory_files())


def test_a_path_over_two_agents_worked_by_hand(run: RunDirectory) -> None:
    paths = whole(run, *FAMILY)
    assert paths.ancestry.chain(1, 2) == [Stretch(1, 1, 0, 3), Stretch(2, 1, 1, 2), Stretch(1, 2, 1, 3)]
    path = paths.path(1, 2)
    assert path.potential_energy.tolist() == [0.0, 2.0, 0.5, -1.0, 0.0, 0.2]
    assert path.potential_energy.tolist() == paths.energies(1, 2).tolist()
    ways = path.positions[:, 0, 0] - START.positions[0, 0]
    assert ways == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5], abs=1e-6)
    assert path.agent_position[:, 0] == pytest.approx(ways, abs=1e-6)
    assert path.actions.tolist() == [-1, 0, 1, 0, 0, 1]  # the first frames of those that continue are left out
    assert path.reward_terms[:, 0].tolist() == [1, 1, 1, 2, 1, 1]
    assert np.diff(path.steps).tolist() == [10] * 5
    assert (int(path.record["episode"]), int(path.record["frames"])) == (2, 3)
    assert (len(path.positions), len(path.temperature)) == (6, 6)
    assert paths.ancestry.frames(1, 2) == 6


def test_heights_go_on_from_the_parent(run: RunDirectory) -> None:
    paths = whole(run, *FAMILY)
    for numbers, climb, part in [
        ((1, 2), 2.0, ((1, 1, 0), (1, 1, 1))),  # 0.0 to 2.0
        ((2, 1), 2.5, ((2, 1, 1), (2, 1, 2))),  # -1.0 to 1.5
        ((1, 1), 3.0, ((1, 1, 0), (1, 1, 3))),  # 0.0 to 3.0
    ]:
        assert paths.heights(*numbers) == Heights.of(paths.energies(*numbers))
        assert paths.heights(*numbers).climb == pytest.approx(climb)
        assert paths.highest_part(*numbers) == part
    assert paths.heights(1, 2).rise == 2.0
    assert paths.heights(2, 1).low == -1.0


def test_ranking_reads_each_file_once_and_no_positions(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, opened = whole(run, *FAMILY), []
    begin = TrajectoryReader.__init__

    def opening(reader: TrajectoryReader, path: Path) -> None:
        opened.append(path.name)
        begin(reader, path)

    monkeypatch.setattr(TrajectoryReader, "__init__", opening)
    with monkeypatch.context() as unread:
        unread.delattr(TrajectoryReader, "episode")
        for numbers in ((1, 1), (2, 1), (1, 2)) * 2:
            paths.heights(*numbers)
            paths.highest_part(*numbers)
    assert sorted(opened) == ["agent-00001.h5", "agent-00002.h5"]
    opened.clear()
    paths.path(1, 2)
    assert sorted(opened) == ["agent-00001.h5", "agent-00002.h5"]


def test_an_episode_from_the_start_is_as_it_was(run: RunDirectory) -> None:
    paths = whole(run, *FAMILY)
    with TrajectoryReader(run.trajectory(1)) as reader:
        alone = reader.episode(0)
    path = paths.path(1, 1)
    assert path.record == alone.record
    for name in ("steps", "positions", "potential_energy", "actions", "agent_position"):
        assert np.array_equal(getattr(path, name), getattr(alone, name))


def test_a_continuation_of_a_first_frame_and_one_without_frames(run: RunDirectory) -> None:
    paths = whole(
        run,
        *FAMILY,
        Episode(3, 1, [0.5, 0.6], (2, 1, 0), 0.2),  # 2:1's first frame, which is 1:1's frame 2
        Episode(3, 2, [], (2, 1, 0), 0.2, outcome=b"failed"),
    )
    assert paths.path(3, 1).potential_energy.tolist() == [0.0, 2.0, 0.5, 0.6]
    assert paths.path(3, 2).potential_energy.tolist() == [0.0, 2.0, 0.5]
    assert paths.heights(3, 2) == Heights.of(np.array([0.0, 2.0, 0.5]))
    assert paths.highest_part(3, 1) == ((1, 1, 0), (1, 1, 1))


def test_an_export_has_the_whole_path(run: RunDirectory, tmp_path: Path) -> None:
    paths = whole(run, *FAMILY)
    ase.io.write(tmp_path / "path.xyz", episode_atoms(START, paths.path(1, 2)), format="extxyz")
    back = ase.io.read(tmp_path / "path.xyz", ":")
    assert [image.get_potential_energy() for image in back] == [0.0, 2.0, 0.5, -1.0, 0.0, 0.2]
    assert (np.diff([image.info["step"] for image in back]) > 0).all()


def check_orphan(paths: WholePaths, agent: int, episode: int, *said: str) -> None:
    for ask in (paths.path, paths.heights, paths.energies):
        with pytest.raises(Orphan) as refusal:
            ask(agent, episode)
        assert "\n" not in str(refusal.value)
        assert f"agent {agent} episode {episode} has no beginning" in str(refusal.value)
        assert all(part in str(refusal.value) for part in said)


def test_an_episode_whose_parent_was_lost(run: RunDirectory) -> None:
    lost = Episode(2, 2, [0.5, 9.0], (1, 3, 2))
    child = Episode(3, 1, [9.0, 9.5], (2, 2, 1))
    paths = whole(run, *FAMILY, lost, child, Episode(3, 2, [0.0, 1.0], (1, 1, 4)))
    check_orphan(paths, 2, 2, "no trajectory holds frame 2 of agent 1 episode 3")
    check_orphan(paths, 3, 1, "no trajectory holds frame 2 of agent 1 episode 3")
    check_orphan(paths, 3, 2, "no trajectory holds frame 4 of agent 1 episode 1")  # it has four
    assert paths.ancestry.frames(1, 2) == 6


def test_an_episode_whose_parent_was_lost_and_its_number_played_again(run: RunDirectory) -> None:
    """As after kill -9 and --resume."""
    paths = whole(run, *FAMILY, Episode(3, 1, [0.7, 0.9], (1, 1, 2), 0.2))
    check_orphan(paths, 3, 1, "frame 2 of agent 1 episode 1 is not what it continues")


def test_an_episode_that_begins_elsewhere_does_not_continue(run: RunDirectory) -> None:
    """The same energy, but an atom by a whole cell away."""
    paths = whole(run, *FAMILY, Episode(3, 1, [0.5, 0.9], (1, 1, 2), 10.2))
    with pytest.raises(Orphan, match="is not what it continues"):
        paths.path(3, 1)


@pytest.mark.parametrize("length", [1, 2, 40])
def test_a_ring_of_parents_ends_in_a_sentence(run: RunDirectory, length: int) -> None:
    ring = [Episode(1, n, [0.0, 0.0], (1, n % length + 1, 1)) for n in range(1, length + 1)]
    paths = whole(run, *ring, Episode(1, 99, [0.0, 1.0], (1, 1, 0)))
    for ask in (paths.path, paths.heights, paths.highest_part):
        with pytest.raises(UserError, match=r"would continue itself, so the table .* damaged; take the file out"):
            ask(1, 99)
    assert best_first(list(paths.episodes)) == []


def test_a_long_chain(run: RunDirectory) -> None:
    """Deeper than Python calls functions."""
    count = 1500
    chain = [
        Episode(1, n, [float(n - 1), float(n)], (1, n - 1, 1) if n > 1 else (0, 0, 0), 0.1 * (n - 1))
        for n in range(1, count + 1)
    ]
    paths = whole(run, *chain)
    assert paths.heights(1, count).climb == count
    assert paths.ancestry.frames(1, count) == count + 1
    assert len(paths.path(1, count).positions) == count + 1


def test_an_episode_without_frames_has_no_path(run: RunDirectory) -> None:
    paths = whole(run, *FAMILY, Episode(3, 1, [], outcome=b"failed"))
    with pytest.raises(UserError, match="agent 3 episode 1 has no frames"):
        paths.path(3, 1)
    with pytest.raises(KeyError):
        paths.path(3, 2)


@pytest.mark.parametrize("parent", [(-1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, -1)])
def test_a_table_with_a_parent_that_can_be_none_is_refused(
    run: RunDirectory, parent: tuple[int, int, int]
) -> None:
    write(run, *FAMILY, replace(FAMILY[1], agent=3, parent=parent))
    with pytest.raises(UserError, match=r"agent-00003\.h5 .*the parent of an episode can be none"):
        WholePaths(run.trajectory_files())


def test_the_best_by_the_tables_alone(run: RunDirectory) -> None:
    paths = whole(
        run,
        *FAMILY,  # climbs of 1:2 and 2:1: 2.0 and 2.5; 1:1 did not reach the goal
        Episode(3, 1, [0.0, 2.0]),  # as high as 1:2, with fewer frames
        Episode(3, 2, [0.0, 0.1], (9, 1, 1)),  # an orphan
        Episode(3, 3, [0.0, 2.0 + 1e-9, 0.0]),  # the same climb in ten digits
    )
    best = [(int(row["agent"]), int(row["episode"])) for row in best_first(list(paths.episodes))]
    assert best == [(3, 1), (3, 3), (1, 2), (2, 1)]
    assert Ancestry(paths.episodes).frames(2, 1) == 5
