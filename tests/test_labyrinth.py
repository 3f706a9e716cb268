"""The labyrinth: its energy, and its truth where that is known without it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mapmpi.errors import UserError
from mapmpi.md.factory import make_engine
from mapmpi.prepare.run import main
from mapmpi.structures.inputs import read_input
from mapmpi.structures.labyrinth import Labyrinth, make_labyrinth, read_truth, write_truth
from mapmpi.structures.minimax import Grid, minimax
from mapmpi.structures.obstacles import EPSILON, SIGMA, Obstacles

SMALL = {"count": 55, "length": 14.0, "distance": 12.0}
"""The density of the default in a third of its volume: seconds."""
SIDE = 3.2
"""Å between the atoms of a wall."""


def lennard_jones(distance: np.ndarray) -> np.ndarray:
    """Return the shifted Lennard-Jones energy in eV, zero from 6 Å on."""
    sixth, last = (SIGMA / distance) ** 6, 0.4**6  # 2.4 Å / 6 Å
    return np.where(distance < 6, 4 * EPSILON * (sixth**2 - sixth - last**2 + last), 0.0)


def wall(widened: float = 0.0) -> Obstacles:
    """Return a wall across x = 8 Å of a 16 Å cube; the hole around y = z = 8 Å is wider by ``widened`` Å."""
    side = SIDE * np.arange(5)
    y, z = (values.ravel() for values in np.meshgrid(side, side))
    places = np.column_stack([np.full(25, 8.0), y, z])
    around = places[:, 1:] - 8.0
    corners = np.linalg.norm(around, axis=1) < SIDE
    places[corners, 1:] += widened * np.sign(around[corners])
    return Obstacles(places, 16.0)


def wall_energy(place: list[float], obstacles: Obstacles) -> float:
    """Return the sum over all atoms and their images around a place (3,) Å."""
    shifts = 16.0 * np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 3)
    atoms = (obstacles.places[:, None] + shifts).reshape(-1, 3)
    return float(lennard_jones(np.linalg.norm(atoms - place, axis=1)).sum())


def test_the_pass_of_a_wall_is_the_middle_of_a_hole() -> None:
    obstacles = wall()
    found = minimax(obstacles, np.array([4.0, 8.0, 8.0]), 8.0)
    assert found is not None
    # four atoms at 3.2/√2 = 2.263 Å: 4·0.2·(1.424² - 1.424 + 0.0041 - 0.00002) = 0.486 eV, and 21 farther away
    assert found.energy == pytest.approx(0.486 + 8 * lennard_jones(np.array(SIDE * 2.5**0.5)), abs=0.001)
    assert found.energy == pytest.approx(wall_energy([8.0, 8.0, 8.0], obstacles), abs=1e-9)
    assert found.top[0] == pytest.approx(8.0, abs=1e-6)
    assert (found.top[1:] / SIDE) % 1 == pytest.approx([0.5, 0.5], abs=1e-6)
    assert found.way[[0, -1], 0] == pytest.approx([4.0, 12.0])
    assert obstacles.path_energies(found.way, 0.005).max() == pytest.approx(found.energy, abs=1e-4)


def test_the_best_way_goes_round_to_the_wider_hole_and_through_periodic_images() -> None:
    obstacles = wall(widened=0.1)
    lower, straight = wall_energy([8.0, 8.0, 8.0], obstacles), wall_energy([8.0, 1.6, 1.6], obstacles)
    assert lower < straight - 0.1
    found = minimax(obstacles, np.array([5.3, 1.6, 14.4]), 5.4)
    assert found is not None
    assert found.energy == pytest.approx(lower, abs=1e-9)
    apart = found.top - 8.0
    assert apart - 16.0 * np.round(apart / 16.0) == pytest.approx(np.zeros(3), abs=1e-6)
    assert obstacles.path_energies(found.way).max() < found.energy + 1e-4


def test_a_closed_wall_has_no_pass() -> None:
    side = 2.0 * np.arange(8)
    y, z = (values.ravel() for values in np.meshgrid(side, side))
    closed = Obstacles(np.column_stack([np.full(64, 8.0), y, z]), 16.0)
    assert minimax(closed, np.array([4.0, 8.0, 8.0]), 8.0) is None


def test_a_pass_on_the_plane_itself_is_the_lowest_point_there() -> None:
    obstacles = wall()
    found = minimax(obstacles, np.array([4.0, 7.0, 8.5]), 3.7)  # the plane is 0.3 Å before the top
    assert found is not None
    assert found.energy == pytest.approx(wall_energy([7.7, 8.0, 8.0], obstacles), abs=1e-6)
    assert found.way[-1] == pytest.approx(found.top)


def test_energies_on_a_grid_and_gradients() -> None:
    obstacles = Obstacles.draw(np.random.default_rng(4), 55, 14.0)
    apart = obstacles.places[:, None] - obstacles.places
    apart -= 14.0 * np.round(apart / 14.0)
    distances = np.linalg.norm(apart, axis=2) + 10 * np.eye(55)
    assert distances.min() >= 1.9
    grid = obstacles.grid(70)
    nodes = np.random.default_rng(5).integers(0, 70, (400, 3))
    exact = obstacles.energy(0.2 * nodes)
    low = exact < 1.0
    assert low.sum() > 50
    assert grid[tuple(nodes[low].T)] == pytest.approx(exact[low], abs=1e-5)
    points = 0.2 * nodes[low][:20] + 0.03
    gradients = obstacles.energy_and_gradient(points)[1]
    for axis in range(3):
        step = 1e-5 * np.eye(3)[axis]
        slopes = (obstacles.energy(points + step) - obstacles.energy(points - step)) / 2e-5
        assert gradients[:, axis] == pytest.approx(slopes, abs=1e-4)
    assert obstacles.energy(points + [14.0, -28.0, 0.0]) == pytest.approx(obstacles.energy(points), abs=1e-9)


def test_the_highest_energy_along_a_path_is_seen_between_its_points() -> None:
    obstacles = wall()
    labyrinth = Labyrinth(0, obstacles, np.array([4.0, 8.0, 8.0]), 8.0, minimax(obstacles, np.full(3, 4.0), 1.0))
    start = wall_energy([4.0, 8.0, 8.0], obstacles)
    through = np.array([[4.0, 8.0, 8.0], [12.0, 8.0, 8.0], [12.0, 9.0, 8.0]])  # no point is near the top
    assert labyrinth.path_height(through) == pytest.approx(
        wall_energy([8.0, 8.0, 8.0], obstacles) - start, abs=1e-9
    )
    assert labyrinth.path_height(through[:1]) == 0.0


@pytest.mark.parametrize("seed", range(1, 9))
def test_every_seed_gives_a_labyrinth(seed: int) -> None:
    labyrinth = make_labyrinth(seed, **SMALL)
    way = labyrinth.best.way
    assert 0.05 <= labyrinth.height <= 1.0
    assert way[0] == pytest.approx(labyrinth.start)
    assert way[-1, 0] - way[0, 0] == pytest.approx(12.0)
    assert (way[:-1, 0] < way[-1, 0]).all()
    assert labyrinth.path_height(way) == pytest.approx(labyrinth.height, abs=2e-4)
    assert labyrinth.path_height(labyrinth.start + [[0.0, 0.0, 0.0], [12.0, 0.0, 0.0]]) > 1.0
    # a start at rest
    assert np.linalg.norm(labyrinth.obstacles.energy_and_gradient(labyrinth.start)[1]) < 1e-5
    # a grid's way is no more than a little higher, and no lower than what edges of 0.1 Å can leave out
    grid = Grid(labyrinth.obstacles.grid(140), 14.0, labyrinth.start, 12.0).first()
    assert grid is not None
    assert -0.002 < grid.energy - labyrinth.best.energy < 0.006


def test_equal_seeds_give_equal_labyrinths_and_others_do_not() -> None:
    first, again, other = (make_labyrinth(seed, **SMALL) for seed in (3, 3, 4))
    assert (first.obstacles.places == again.obstacles.places).all()
    assert (first.best.way == again.best.way).all()
    assert first.height == again.height != other.height


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ({"length": 12.0}, ["length 12", "13 to 40"]),
        ({"length": 41.0}, ["length 41"]),
        ({"distance": 20.5}, ["distance 20.5", "20 Å"]),
        ({"count": 2000}, ["obstacles 2000", "room", "ask for fewer"]),
        (
            {"count": 1, "length": 13.0, "distance": 5.0},
            ["obstacles 1", "no way of 0.05 to 1 eV", "choose more"],
        ),
    ],
)
def test_sizes_that_make_no_labyrinth(
    sizes: dict[str, float], parts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mapmpi.structures.labyrinth.DRAWS", 1)
    monkeypatch.setattr("mapmpi.structures.labyrinth.STARTS", 2)
    with pytest.raises(UserError) as refused:
        make_labyrinth(1, **sizes)
    assert all(part in str(refused.value) for part in parts), refused.value


@pytest.mark.lammps
def test_the_files_of_a_labyrinth_agree_with_each_other_and_with_lammps(tmp_path: Path) -> None:
    words = ["labyrinth", str(tmp_path / "maze.data"), "--seed", "2", "--obstacles", "55", "--length", "14"]
    assert main([*words, "--distance", "12"]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["maze.data", "maze.truth.json", "maze.yaml"]
    truth = read_truth(tmp_path / "maze.truth.json")
    made = make_labyrinth(2, **SMALL)
    assert truth.height == pytest.approx(made.height, abs=1e-12)
    assert (truth.best.way == made.best.way).all()
    content = json.loads((tmp_path / "maze.truth.json").read_text())
    assert content["upper_bound_eV"] == pytest.approx(content["height_eV"], abs=2e-4)
    assert max(content["way_energies_eV"]) == pytest.approx(content["pass_energy_eV"], abs=1e-6)
    assert content["command"].startswith("python -m mapmpi.prepare labyrinth ")

    config, atoms = read_input(tmp_path / "maze.yaml", [])
    assert config.structure.fixed_atoms == list(range(1, 56))
    assert config.structure.tagged_atoms == [56]
    assert config.goal.distance == 12.0
    engine = make_engine(config, atoms)
    try:
        for place in [truth.start, truth.best.top, *truth.best.way[::15]]:
            positions = atoms.positions.copy()
            positions[-1] = place
            energy, forces = engine.evaluate(positions)
            assert energy == pytest.approx(float(truth.obstacles.energy(place)[0]), abs=1e-6)
            assert forces[-1] == pytest.approx(-truth.obstacles.energy_and_gradient(place)[1][0], abs=1e-6)
    finally:
        engine.close()
    assert main([*words, "--distance", "12"]) == 2  # nothing is overwritten


def test_a_damaged_truth_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "a.truth.json"
    write_truth(file, make_labyrinth(2, **SMALL), "a command")
    whole = json.loads(file.read_text())
    for key, value in (
        ("way_A", [[0.0, 1.0]]),
        ("obstacles_A", None),
        ("length_A", "long"),
        ("lennard_jones", {}),
    ):
        file.write_text(json.dumps({**whole, key: value}))
        with pytest.raises(UserError, match="no truth of a labyrinth"):
            read_truth(file)
    file.write_text("{")
    with pytest.raises(UserError, match="no truth of a labyrinth"):
        read_truth(file)
