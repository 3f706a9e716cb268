"""Bands: interpolation, tangents, nudged forces, and the pass that a band relaxes to."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from muller_brown import SADDLES, SCALE, TOLERANCE_EV, Uniform, evaluate, minimum

from mapmpi.calculation import Task, in_steps, solve
from mapmpi.config import BandSettings, Dynamics, ForceField, Pneb, QuenchSettings, SaddleSettings
from mapmpi.md.lammps_engine import LammpsEngine
from mapmpi.path.band import (
    difference,
    images_for,
    interpolate,
    path_lengths,
    place_along,
    resample,
    tangents,
    without_drift,
)
from mapmpi.path.barrier import BarrierSearch
from mapmpi.path.matching import Matcher, StationaryPoint
from mapmpi.path.neb import Band
from mapmpi.path.preconditioner import UNIT, Metric
from mapmpi.path.quench import quench

PERIODIC, OPEN = np.ones(3, dtype=bool), np.array([True, True, False])


def line(*places):
    """Return a band of one atom at x or at (x, y)."""
    return np.array([[[*np.atleast_1d(place), 0.0, 0.0][:3]] for place in places], dtype=float)


def test_difference_leaves_a_translation_out_only_where_nothing_opposes_it():
    first = np.array([[0.5, 1, 1], [5, 5, 5.0]])
    second = first + [[-9, 0, 0], [0, 0, 0]] + np.array([0, 0, 0.4])
    assert difference(first, second, PERIODIC) == pytest.approx(np.array([[-4.5, 0, 0], [4.5, 0, 0]]))
    assert difference(first, second, OPEN) == pytest.approx(second - first)


def test_without_drift_every_image_follows_the_one_before():
    atoms = Atoms("OSi", [[1, 1, 1], [5, 5, 5]], cell=[10, 10, 10], pbc=True)
    moves = [np.zeros(3), [0.2, 0, 0], [0.4, 0, 0]]
    frames = [atoms.positions + [move, np.zeros(3)] + 0.3 * number for number, move in enumerate(moves)]
    band = without_drift(frames, atoms)
    assert band[:, 0] - band[:, 1] == pytest.approx(np.array(moves) - 4)
    assert band.mean(axis=1) == pytest.approx(np.full((3, 3), 3.0))


def test_resample_follows_the_frames():
    atoms = Atoms("O", [[0, 0, 0]], cell=[10, 10, 10], pbc=False)
    band = resample(line((0, 0), (0, 0), (1, 0), (1, 1)), 5, atoms)  # one frame twice
    assert band[:, 0, :2] == pytest.approx(np.array([[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1]]))


def test_resample_leaves_the_translation_out():
    atoms = Atoms("OSi", [[0.5, 1, 1], [5, 5, 5]], cell=[10, 10, 10], pbc=True)
    end = atoms.positions + [[-1, 0, 0], [0, 0, 0]] + np.array([0, 0, 0.4])
    band = resample([atoms.positions, end], 5, atoms)
    assert np.diff(path_lengths(band)) == pytest.approx(np.full(4, np.sqrt(0.5) / 4))  # ±0.5 Å each


def test_place_along():
    band = line((0, 0), (2, 0), (2, 1))
    found = place_along(band, np.array([0.0, 0.5, 2.0, 2.25, 3.0]))
    assert found[:, 0, :2] == pytest.approx(np.array([[0, 0], [0.5, 0], [2, 0], [2, 0.25], [2, 1]]))


def test_idpp_goes_around():
    """An atom that would pass straight through another is led around it."""
    atoms = Atoms("OSi", [[0, 0.05, 0], [2, 0, 0]], cell=[20, 20, 20], pbc=False)
    end = atoms.positions + [[4, 0, 0], [0, 0, 0]]
    straight = resample([atoms.positions, end], 9, atoms)
    band = interpolate(atoms.positions, end, 9, atoms)
    closest = [np.linalg.norm(b[:, 0] - b[:, 1], axis=1).min() for b in (straight, band)]
    assert closest[0] < 0.1
    assert closest[1] > 1.0
    assert band[[0, -1]] == pytest.approx(straight[[0, -1]])


def test_idpp_goes_around_across_the_border():
    """The same with the two on both sides of a periodic border."""
    atoms = Atoms("OSi", [[19, 10.05, 10], [1, 10, 10]], cell=[20, 20, 20], pbc=True)
    end = atoms.positions + [[4, 0, 0], [0, 0, 0]]
    band = interpolate(atoms.positions, end, 9, atoms)
    assert np.linalg.norm(band[:, 0] - band[:, 1] - [20, 0, 0], axis=1).min() > 1.0


def test_number_of_images():
    assert [images_for(length, BandSettings()) for length in (0.5, 3.0, 50.0)] == [5, 6, 15]
    assert images_for(3.0, BandSettings(spacing=0.3, images=9)) == 9


def test_improved_tangents():
    """Upwind on a slope; at an extremum the mean, weighted by the energy differences."""
    band = line((0, 0), (1, 0), (1, 1), (2, 1))
    rising = tangents(band, np.array([0.0, 1.0, 2.0, 3.0]))
    assert rising[:, 0] == pytest.approx(np.array([[0, 1, 0], [1, 0, 0]]))
    falling = tangents(band, np.array([3.0, 2.0, 1.0, 0.0]))
    assert falling[:, 0] == pytest.approx(np.array([[1, 0, 0], [0, 1, 0]]))
    # at the maximum 3 and 1 apart, the lower neighbour behind: 1·forward + 3·backward … turned around,
    # for the higher neighbour, ahead, has the larger weight
    top = tangents(band, np.array([0.0, 3.0, 2.0, 0.0]))
    assert top[0, 0] == pytest.approx([1, 3, 0])
    bottom = tangents(band, np.array([4.0, 3.0, 5.0, 9.0]))
    assert bottom[0, 0] == pytest.approx([1, 2, 0])


def test_focus():
    """A band of its own around the highest image; its ends' energies are interpolated."""
    band = Band(line(0.0, 0.8, 1.6, 2.4, 3.2), (0.0, 1.0), Uniform(1))
    band.energies[1:-1] = 2.0, 3.0, 1.4
    near = band.focus(1.0, 5, Uniform(1))
    assert near.images[:, 0, 0] == pytest.approx([0.6, 1.1, 1.6, 2.1, 2.6])
    assert near.energies[[0, -1]] == pytest.approx([1.5, 1.3])
    assert np.isnan(near.energies[1:-1]).all()
    assert not near.computed


def test_focus_does_not_leave_the_band():
    band = Band(line(0.0, 0.8, 1.6, 2.4), (0.5, 1.0), Uniform(1))
    band.energies[1:-1] = 3.0, 2.0
    near = band.focus(1.2, 5, Uniform(1))
    assert near.images[:, 0, 0] == pytest.approx([0.0, 0.4, 0.8, 1.4, 2.0])
    assert near.energies[[0, -1]] == pytest.approx([0.5, 1.5])


def test_kinked():
    assert not Band(line((0, 0), (1, 0), (1.1, 1), (2, 1)), (0, 0), Uniform(1)).kinked
    assert Band(line((0, 0), (1, 0), (0.9, 1), (2, 1)), (0, 0), Uniform(1)).kinked


@pytest.mark.parametrize(("across", "nudged"), [(0.2, (-0.3, 0.2)), (1.2, (-UNIT, 1.2))])
def test_nudged_gradients(across, nudged):
    """The gradient across the path stays. Along it there is the spring, or, once that is small, it climbs."""
    band = Band(line(0.0, 1.0, 3.0), (0.0, 0.0), Uniform(1))
    band.energies[1], band.gradients[1] = 1.0, [[0.3, across, 0]]
    assert band.nudged()[1, 0] == pytest.approx([*nudged, 0])
    assert not band.nudged()[[0, 2]].any()


def counted(calculation):
    """Return the result of a calculation and the force calls that it took."""
    task = Task(calculation)
    for _ in in_steps(task, evaluate):
        pass
    return task.result, task.calls


def test_a_band_relaxes_to_the_pass():
    start, end = minimum("middle"), minimum("right")
    images = np.linspace(start.positions, end.positions, 7)
    band = Band(images, (start.energy, end.energy), Uniform(5))
    relaxed, calls = counted(band.relax(0.01, 200))
    assert relaxed
    x, y, energy = SADDLES["lower"]
    assert band.energies[band.top] == pytest.approx(SCALE * energy, abs=TOLERANCE_EV)
    assert band.images[band.top, 0] == pytest.approx([x, y, 0], abs=0.01)
    assert band.images[[0, -1]] == pytest.approx(images[[0, -1]])
    assert calls % 5 == 0
    assert abs(band.tangent[0] @ [0.76, -0.63, 0]) > 0.8  # from the upper left to the lower right


def test_a_band_says_that_it_has_not_relaxed():
    start, end = minimum("deep"), minimum("middle")
    band = Band(np.linspace(start.positions, end.positions, 7), (start.energy, end.energy), Uniform(5))
    assert counted(band.relax(1e-6, 2)) == (False, 15)


@pytest.mark.lammps
def test_vacancy_hop_in_copper():
    """0.689 eV is published for this potential (Mishin et al., Phys. Rev. B 63, 224106 (2001))."""
    solid = bulk("Cu", "fcc", 3.615, cubic=True) * 4
    way = solid.get_distance(0, 1, mic=True, vector=True)
    del solid[0]
    commands = ["pair_style eam/alloy", "pair_coeff * * Cu_mishin1.eam.alloy {elements}"]
    engine = LammpsEngine(solid, ForceField(commands=commands, units="metal", skin=1.0), Dynamics(), [1])
    hopped = solid.positions.copy()
    hopped[0] -= way
    matcher = Matcher(solid.numbers, solid.cell.array, solid.pbc, 0.3, 0.02)
    metric = Metric(solid, solid.positions)
    ends = [
        solve(quench(place, metric, QuenchSettings(force=0.005)), engine.evaluate)
        for place in (solid.positions, hopped)
    ]
    band = interpolate(ends[0].positions, ends[1].positions, 5, solid)
    assert without_drift(band, solid) == pytest.approx(band)
    ends[1] = StationaryPoint(band[-1], ends[1].energy)
    settings = Pneb(saddle=SaddleSettings(force=0.02))
    found = solve(BarrierSearch(*ends, band, solid, matcher, settings).run(), engine.evaluate)
    engine.close()
    assert found.status == "converged", found.reason
    assert found.saddle.energy - ends[0].energy == pytest.approx(0.689, abs=0.005)
    assert found.verification.faults == ()
    assert found.calls < 200
