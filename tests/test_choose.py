"""Which paths are refined, and how paths from elsewhere are read."""

from __future__ import annotations

from pathlib import Path

import ancestors
import ase.io
import numpy as np
import pytest
from ancestors import FAMILY, Episode
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from mapmpi.climb import Heights
from mapmpi.errors import UserError
from mapmpi.pneb.choose import StoredPath, choose_episodes, read_path
from mapmpi.store.records import EPISODE, Frame
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.trajectory import start_structure
from mapmpi.store.wholepath import WholePaths
from mapmpi.store.writer import TrajectoryWriter
from mapmpi.train.progress import best_episodes

HOP = np.array([0.0, 0.4, 1.0, 0.4, 0.0])
"""eV of a path over one pass."""


def silica(cell: float = 10.0) -> Atoms:
    """Return four atoms, the second of which stands close to the cell's border."""
    positions = [[1.0, 1.0, 1.0], [9.8, 5.0, 5.0], [5.0, 5.0, 2.0], [3.0, 8.0, 6.0]]
    return Atoms("SiOOH", positions, cell=[cell] * 3, pbc=True)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Return a run directory without episodes."""
    return RunDirectory.create(tmp_path / "run")


def play(run: RunDirectory, agent: int, episodes: list[tuple[bytes, float, np.ndarray]]) -> None:
    """Write an agent's episodes: outcome, progress in Å, energies in eV of the frames."""
    writer = TrajectoryWriter(run.trajectory(agent), silica(), agent, 0.5, {})
    for number, (outcome, progress, energies) in enumerate(episodes, 1):
        for index, energy in enumerate(energies):
            writer.write_frame(
                Frame(
                    step=writer.last_step + 10,
                    positions=silica().positions + [0.1 * index, 0, 0],
                    potential_energy=energy,
                    temperature=10.0,
                    agent_position=np.zeros(3),
                    tagged_position=np.zeros(3),
                    action=0,
                    reward_terms=np.zeros(6),
                )
            )
        row = np.zeros((), EPISODE)
        row["agent"], row["episode"], row["outcome"], row["progress"] = agent, number, outcome, progress
        row["policy"] = b"straight" if (agent, number) == (1, 1) else b"explore"
        writer.write_episode(row[()])


def choose(run: RunDirectory, *named: str, top: int = 1) -> tuple[list[str], str]:
    """Return the names of the episodes that are chosen, shortened to AGENT:EPISODE, and the sentence."""
    paths, said = choose_episodes(run, named, top)
    numbers = [path.name.split("-")[1::2] for path in paths]
    return [f"{int(agent)}:{int(episode)}" for agent, episode in numbers], said


def test_the_goal_comes_first_then_the_climb(run: RunDirectory) -> None:
    play(run, 1, [(b"goal", 6.0, 2.0 * HOP), (b"step_limit", 9.0, 0.2 * HOP), (b"goal", 6.0, 0.5 * HOP)])
    play(run, 2, [(b"failed", 8.0, 0.3 * HOP), (b"goal", 6.0, 1.0 * HOP)])
    assert choose(run)[0] == ["1:3"]
    best, said = choose(run, top=2)
    assert best == ["1:3", "2:2"]
    assert said == (
        "The best 2 of 3 episodes that reached the goal, by the largest rise of the energy along the whole path."
    )
    assert choose(run, top=9)[0] == ["1:3", "2:2", "1:1"]


def test_an_episode_that_continues_another_is_a_whole_path(run: RunDirectory) -> None:
    ancestors.write(run, *FAMILY)
    best, said = choose(run, top=2)
    assert best == ["1:2", "2:1"]  # rises of 2.0 and 2.5 eV
    assert "The best 2 of 2 episodes" in said
    (path,), _ = choose_episodes(run, ["1:2"], 1)
    assert path.source == "agent-00001.h5, episode 2 (goal), behind frame 1 of agent 2 episode 1"
    assert path.energies is not None
    assert path.energies.tolist() == [0.0, 2.0, 0.5, -1.0, 0.0, 0.2]
    ways = path.positions[:, 0, 0] - ancestors.START.positions[0, 0]
    assert ways == pytest.approx(np.arange(6) * 0.1, abs=1e-6)
    assert path.reached


def test_a_highest_part_is_refined_once(run: RunDirectory) -> None:
    ancestors.write(
        run,
        *FAMILY,
        Episode(3, 1, [-1.0, 0.5], (2, 1, 1), 0.3),  # as 1:2 over the frames 0 and 1 of 1:1, and shorter
        Episode(3, 2, [0.5, 0.6], (1, 1, 2), 0.2),  # as well, and shorter still
        Episode(3, 3, [0.0, 2.0, 0.5]),  # as high, but its own frames
        Episode(3, 4, [-1.0, 1.4], (2, 1, 1), 0.3),  # higher: from -1.0 to 1.4
    )
    best, said = choose(run, top=5)
    assert best == ["3:3", "3:2", "3:4", "2:1"]
    assert said == (
        "The best 4 of 6 episodes that reached the goal, by the largest rise of the energy along the whole path. "
        "Passed over: 2 that rise most over the same frames as a better one."
    )
    best, said = choose(run, top=2)
    assert best == ["3:3", "3:2"]
    assert "Passed over" not in said
    assert choose(run, "1:2", "3:1")[0] == ["1:2", "3:1"]  # whoever names them gets them


def test_a_training_and_phase_2_rank_alike(run: RunDirectory) -> None:
    """A chain of random walks; the tables have the climbs that an agent would write."""
    random, energies, episodes = np.random.default_rng(8), {}, []
    for number in range(1, 61):
        parent = (1, int(random.integers(1, number)), int(random.integers(0, 5))) if number > 3 else (0, 0, 0)
        before = energies[parent[1]][: len(energies[parent[1]]) - 4 + parent[2]] if parent[0] else np.zeros(1)
        own = np.round(before[-1] + np.append(0.0, random.normal(size=4).cumsum()), 1)
        energies[number] = np.append(before[:-1], own)
        way = 0.1 * (len(before) - 1)
        climb = Heights.of(energies[number]).climb
        episodes.append(Episode(1, number, list(own), parent, way, climb, random.choice([b"goal", b"tether"])))
    ancestors.write(run, *episodes)
    paths = WholePaths(run.trajectory_files())
    trained = [
        f"1:{row['episode']}" for row in best_episodes(list(paths.episodes), 60) if row["outcome"] == b"goal"
    ]
    assert len(trained) == sum(one.outcome == b"goal" for one in episodes) > 10
    best, said = choose(run, top=60)
    assert f"of {len(trained)} episodes" in said
    parts, distinct = set(), []
    for name in trained:
        part = paths.highest_part(1, int(name[2:]))
        if part not in parts:
            distinct.append(name)
        parts.add(part)
    assert best == distinct
    assert len(distinct) < len(trained)


def test_an_orphan_is_left_out_and_named(run: RunDirectory, caplog: pytest.LogCaptureFixture) -> None:
    lost = Episode(2, 2, [0.1, 0.2], (1, 3, 1))
    other = Episode(2, 3, [0.1, 0.2], (1, 1, 2), 0.2)  # its parent's number was played again
    elsewhere = Episode(2, 4, [0.5, 0.6], (1, 1, 2), 5.0)  # the same energy at another place
    ancestors.write(run, *FAMILY, lost, other, elsewhere)
    best, _ = choose(run, top=5)
    assert best == ["1:2", "2:1"]
    (line,) = caplog.messages
    assert line == (
        "left out, as what they continue is not stored: agent 2 episode 2, agent 2 episode 3, agent 2 episode 4."
    )
    with pytest.raises(UserError, match=r"^episode 2:2: agent 2 episode 2 has no beginning"):
        choose(run, "2:2")


def test_orphans_alone(run: RunDirectory, caplog: pytest.LogCaptureFixture) -> None:
    orphans = [Episode(1, number, [0.1, 0.2], (2, 1, 1), outcome=b"tether") for number in range(1, 8)]
    ancestors.write(run, *orphans)
    with pytest.raises(UserError, match="no episode with a whole path from the start"):
        choose(run)
    assert caplog.messages[0].endswith("agent 1 episode 5 and 2 more.")
    ancestors.write(run, Episode(3, 1, [0.0, 1.0], outcome=b"step_limit", progress=0.5))
    best, said = choose(run)
    assert best == ["3:1"]
    assert said == "No episode reached the goal; refining the longest path instead, 0.50 Å."


def test_named_episodes_come_in_their_order(run: RunDirectory) -> None:
    play(run, 1, [(b"goal", 6.0, HOP), (b"failed", 1.0, 0.5 * HOP)])
    play(run, 2, [(b"goal", 6.0, HOP)])
    assert choose(run, "2:1", "1:2")[0] == ["2:1", "1:2"]
    (path,), _ = choose_episodes(run, ["1:2"], 1)
    assert path.source == "agent-00001.h5, episode 2 (failed)"
    assert path.energies == pytest.approx(0.5 * HOP)
    assert path.positions[2] == pytest.approx(silica().positions + [0.2, 0, 0], abs=1e-5)


def test_without_a_goal_the_farthest_is_taken(run: RunDirectory) -> None:
    play(run, 1, [(b"step_limit", 3.5, 0.1 * HOP), (b"failed", 4.25, 2.0 * HOP), (b"stopped", 0.5, HOP)])
    best, said = choose(run, top=3)
    assert best == ["1:2"]
    assert said == "No episode reached the goal; refining the longest path instead, 4.25 Å."


def test_an_episode_of_one_frame_is_no_path(run: RunDirectory) -> None:
    play(run, 1, [(b"failed", 0.0, HOP[:1])])
    with pytest.raises(UserError, match="no episode of two frames or more; train longer"):
        choose(run)
    play(run, 2, [(b"goal", 6.0, HOP)])
    with pytest.raises(UserError, match=r"^episode 1:1: no such episode .* for example 2:1"):
        choose(run, "1:1")


@pytest.mark.parametrize("name", ["3:1", "1", "1:01", "best"])
def test_an_episode_that_is_not_there(run: RunDirectory, name: str) -> None:
    play(run, 1, [(b"goal", 6.0, HOP)])
    with pytest.raises(UserError, match=f"^episode {name}: no such episode"):
        choose(run, name)


def test_a_run_without_trajectories(run: RunDirectory) -> None:
    with pytest.raises(UserError, match="holds no trajectory"):
        start_structure(run)
    play(run, 1, [(b"goal", 6.0, HOP)])
    assert start_structure(run) == silica()


def moving(steps: int = 6) -> np.ndarray:
    """Return frames (f, 4, 3) Å in which the second atom walks out of the cell and on to the next but one."""
    frames = np.repeat(silica().positions[None], steps, axis=0)
    frames[:, 1] += np.arange(steps)[:, None] * np.array([2.5, -1.2, 0.3])
    frames[:, 0] += np.arange(steps)[:, None] * np.array([-0.5, 0.0, 0.0])
    return frames


def write_wrapped(path: Path, energies: list[float] | None = None) -> None:
    """Write :func:`moving` as extxyz, all atoms inside the cell."""
    images = [Atoms(silica().numbers, place, cell=silica().cell, pbc=True) for place in moving()]
    for number, image in enumerate(images):
        image.wrap()
        if energies is not None:
            image.calc = SinglePointCalculator(image, energy=energies[number])
    assert images[-1].positions[1, 0] < 10.0 < moving()[-1, 1, 0]
    ase.io.write(path, images)


def write_dump(path: Path, origin: float = 0.0, types: str = "1 2 2 3", forces: bool = False) -> None:
    """Write :func:`moving` as a LAMMPS dump whose box begins at ``origin``, the atoms in no order."""
    lines = []
    for step, place in enumerate(moving()):
        inside = (place - origin) % 10.0 + origin
        lines += ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", "4", "ITEM: BOX BOUNDS pp pp pp"]
        lines += [f"{origin} {origin + 10.0}"] * 3 + ["ITEM: ATOMS id type x y z" + " fx fy fz" * forces]
        atoms = [
            f"{number} {kind} {x:.8f} {y:.8f} {z:.8f}" + " 0.1 0.2 0.3" * forces
            for number, (kind, (x, y, z)) in enumerate(zip(types.split(), inside, strict=True), 1)
        ]
        lines += [atoms[number] for number in (2, 0, 3, 1)]
    path.write_text("\n".join(lines) + "\n")


def steps_of(path: StoredPath) -> np.ndarray:
    """Return the displacements (f-1, n, 3) Å from frame to frame."""
    return np.diff(path.positions, axis=0)


def test_a_path_is_unwrapped_across_the_border(tmp_path: Path) -> None:
    write_wrapped(tmp_path / "walk.extxyz")
    path = read_path(tmp_path / "walk.extxyz", silica(), None)
    assert (path.name, path.source, path.energies) == ("walk", "walk.extxyz", None)
    assert path.positions == pytest.approx(moving(), abs=1e-6)
    write_wrapped(tmp_path / "known.extxyz", energies=[0.0, 1.0, 3.0, 2.0, 1.0, 0.5])
    known = read_path(tmp_path / "known.extxyz", silica(), None)
    assert known.energies is None  # another program's, or another force field's


@pytest.mark.parametrize("elements", [None, ["Si", "O", "H"]])
@pytest.mark.parametrize("origin", [0.0, -3.0])
def test_a_dump_is_sorted_and_unwrapped(tmp_path: Path, origin: float, elements: list[str] | None) -> None:
    write_dump(tmp_path / "walk.dump", origin)
    path = read_path(tmp_path / "walk.dump", silica(), elements)
    assert path.energies is None
    assert steps_of(path) == pytest.approx(np.diff(moving(), axis=0), abs=1e-6)
    apart = path.positions[0] - path.positions[0, 0] - (moving()[0] - moving()[0, 0])
    assert apart == pytest.approx(10.0 * np.round(apart / 10.0), abs=1e-6)  # but for whole cells


def test_a_dump_with_forces_has_no_energies(tmp_path: Path) -> None:
    write_dump(tmp_path / "walk.dump", forces=True)
    assert read_path(tmp_path / "walk.dump", silica(), None).energies is None


def test_a_dump_with_other_types_is_refused(tmp_path: Path) -> None:
    write_dump(tmp_path / "walk.dump", types="1 2 3 3")
    with pytest.raises(UserError, match="atom 3 of frame 1 is H, in the run O"):
        read_path(tmp_path / "walk.dump", silica(), ["Si", "O", "H"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("one frame", "1 frame; a path needs two or more"),
        ("an atom less", "frame 2 has 3 atoms, the run 4; give the same system"),
        ("another order", "atom 1 of frame 2 is H, in the run Si; give the atoms in the run's order"),
        ("another cell", "frame 2 has another cell than the run"),
    ],
)
def test_a_path_of_another_system_is_refused(tmp_path: Path, change: str, message: str) -> None:
    images = [silica(), silica()]
    if change == "one frame":
        del images[1]
    elif change == "an atom less":
        del images[1][3]
    elif change == "another order":
        images[1] = images[1][::-1]
    else:
        images[1] = silica(cell=10.1)
    ase.io.write(tmp_path / "path.extxyz", images)
    with pytest.raises(UserError, match=message) as refusal:
        read_path(tmp_path / "path.extxyz", silica(), None)
    assert str(refusal.value).startswith(f"{tmp_path / 'path.extxyz'}: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [None, "", "not a path\nat all\n"])
def test_a_file_that_is_no_path_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "path.extxyz").write_text(content)
    with pytest.raises(UserError, match=r"cannot read it \(.+\); give an extxyz file or a dump") as refusal:
        read_path(tmp_path / "path.extxyz", silica(), None)
    assert "\n" not in str(refusal.value)


def test_the_straight_drag_comes_beside_the_best(run: RunDirectory) -> None:
    play(run, 1, [(b"goal", 9.0, 3.0 * HOP), (b"goal", 9.0, 2.0 * HOP)])
    play(run, 2, [(b"goal", 9.0, HOP)])
    paths, said = choose_episodes(run, [], 2, straight=True)
    assert [(path.name, path.straight) for path in paths] == [
        ("agent-00002-episode-00001", False),
        ("agent-00001-episode-00002", False),
        ("agent-00001-episode-00001", True),
    ]
    assert "the straight drag, for comparison" in said
    assert not any(path.straight for path in choose_episodes(run, [], 3)[0])


def test_a_straight_drag_that_did_not_arrive_is_left_out(run: RunDirectory) -> None:
    play(run, 1, [(b"left", 2.0, 3.0 * HOP), (b"goal", 9.0, 2.0 * HOP)])
    paths, said = choose_episodes(run, [], 1, straight=True)
    assert [path.name for path in paths] == ["agent-00001-episode-00002"]
    assert "straight" not in said
