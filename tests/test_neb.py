"""Bands and barriers: known answers on an analytic landscape and for the vacancy hop in copper."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from muller_brown import MATCHER, MINIMA, SADDLES, SCALE, evaluate, place

from mapmpi.config import Dynamics, ForceField
from mapmpi.errors import EngineError
from mapmpi.md.lammps_engine import LammpsEngine
from mapmpi.path.band import images_for, interpolate, path_lengths, resample, tangents, without_drift
from mapmpi.path.barrier import BarrierSettings, find_barrier
from mapmpi.path.basins import Matcher, StationaryPoint
from mapmpi.path.calculation import solve
from mapmpi.path.preconditioner import Metric
from mapmpi.path.quench import quench
from mapmpi.path.transition import verify_saddle

METRIC = Metric.uniform(5)
TOLERANCE = 1e-4 * SCALE * 200  # eV; 1e-4 of the energy scale
FINE = BarrierSettings(saddle_force=1e-3, minimum_force=1e-3)


def minimum(name):
    x, y, energy = MINIMA[name]
    return StationaryPoint(place(x, y), SCALE * energy)


def barrier(start, end, images=9, band=None, settings=FINE, evaluate=evaluate):
    band = np.linspace(start.positions, end.positions, images) if band is None else band
    return solve(find_barrier(start, end, band, METRIC, MATCHER, settings), evaluate)


@pytest.mark.parametrize(
    ("ends", "saddle"),
    [(("deep", "middle"), "upper"), (("middle", "deep"), "upper"), (("middle", "right"), "lower")],
)
def test_known_saddles(ends, saddle):
    start, end = (minimum(name) for name in ends)
    found = barrier(start, end)
    assert found.status == "converged", found.reason
    x, y, energy = SADDLES[saddle]
    assert found.saddle.energy == pytest.approx(SCALE * energy, abs=TOLERANCE)
    assert found.saddle.positions[0] == pytest.approx([x, y, 0], abs=2e-3)
    for side, point in zip(found.sides, (start, end), strict=True):
        assert side.positions == pytest.approx(point.positions, abs=5e-3)
    assert found.calls < 200


def test_a_known_intermediate_minimum_gives_two_barriers():
    """From the deep to the right minimum the path leads through the middle one: split, then two saddles."""
    ends = [minimum("deep"), minimum("right")]
    found = barrier(*ends)
    assert found.status == "split"
    assert len(found.inner) == 1
    assert found.inner[0].positions == pytest.approx(minimum("middle").positions, abs=1e-2)
    energies = [barrier(a, b).saddle.energy for a, b in ((ends[0], found.inner[0]), (found.inner[0], ends[1]))]
    assert energies == pytest.approx([SCALE * SADDLES[name][2] for name in ("upper", "lower")], abs=TOLERANCE)


def test_counts_every_call():
    asked = 0

    def counted(positions):
        nonlocal asked
        asked += 1
        return evaluate(positions)

    assert barrier(minimum("deep"), minimum("middle"), evaluate=counted).calls == asked
    asked = 0
    assert barrier(minimum("deep"), minimum("right"), evaluate=counted).calls == asked


def test_same_basin_costs_nothing():
    point = minimum("deep")
    near = StationaryPoint(point.positions + 0.01, point.energy)
    found = barrier(point, near)
    assert (found.status, found.calls) == ("same basin", 0)


def test_collapsed():
    """Downhill all the way: a start that is no minimum."""
    x, y, _ = MINIMA["deep"]
    start = StationaryPoint(place(x + 0.3, y - 0.05), evaluate(place(x + 0.3, y - 0.05))[0])
    assert barrier(start, minimum("deep")).status == "collapsed"


def test_engine_failed():
    calls = 0

    def breaks(positions):
        nonlocal calls
        calls += 1
        if calls > 9:
            raise EngineError("lost atoms")
        return evaluate(positions)

    found = barrier(minimum("deep"), minimum("middle"), evaluate=breaks)
    assert (found.status, found.reason) == ("engine failed", "lost atoms")


def test_not_converged_and_kinked_say_so():
    few = BarrierSettings(band_forces=(1e-6,), band_iterations=1, saddle_calls=1, dip_ev=10)
    assert barrier(minimum("deep"), minimum("middle"), settings=few).status == "not converged"
    band = np.linspace(minimum("deep").positions, minimum("middle").positions, 9)
    band[5, 0] += 3 * (band[3, 0] - band[5, 0])
    found = barrier(minimum("deep"), minimum("middle"), band=band, settings=few)
    assert found.status == "kinked"
    assert "turns back" in found.reason


def test_minimum_image_and_drift():
    atoms = Atoms("OSi", [[0.5, 1, 1], [5, 5, 5]], cell=[10, 10, 10], pbc=True)
    end = atoms.positions + [[-1 + 10, 0, 0], [0, 0, 0]] + np.array([0, 0, 0.4])
    band = resample([atoms.positions, end], 5, atoms)
    assert path_lengths(band)[-1] == pytest.approx(np.sqrt(0.5))  # ±0.5 Å each: the center stays
    assert np.diff(path_lengths(band)) == pytest.approx(np.full(4, np.sqrt(0.5) / 4))
    assert band[-1, 0, 0] - band[-1, 1, 0] == pytest.approx(-0.5 - 5)


def test_resample_follows_the_frames():
    atoms = Atoms("O", [[0, 0, 0]], cell=[10, 10, 10], pbc=False)
    frames = [np.array([point], dtype=float) for point in ([0, 0, 0], [0, 0, 0], [1, 0, 0], [1, 1, 0])]
    band = resample(frames, 5, atoms)
    assert band[:, 0, :2] == pytest.approx(np.array([[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1]]))


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


def test_number_of_images():
    assert [images_for(length) for length in (0.5, 3.0, 50.0)] == [5, 6, 15]


def test_improved_tangents():
    """Upwind on a slope; at a maximum the mean, weighted by the energy differences."""
    band = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [2, 1, 0]], dtype=float)[:, None]
    rising = tangents(band, np.array([0.0, 1.0, 2.0, 3.0]))
    assert rising[0, 0] == pytest.approx([0, 1, 0])
    assert rising[1, 0] == pytest.approx([1, 0, 0])
    falling = tangents(band, np.array([3.0, 2.0, 1.0, 0.0]))
    assert falling[0, 0] == pytest.approx([1, 0, 0])
    top = tangents(band, np.array([0.0, 3.0, 2.0, 0.0]))
    assert top[0, 0] / np.linalg.norm(top[0, 0]) == pytest.approx(np.array([1, 3, 0]) / np.sqrt(10))


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
    metric = Metric.of_solid(solid, [solid.positions])
    ends = [solve(quench(p, metric, 0.005), engine.evaluate) for p in (solid.positions, hopped)]
    band = interpolate(ends[0].positions, ends[1].positions, 5, solid)
    assert without_drift(band, solid) == pytest.approx(band)
    ends[1] = StationaryPoint(band[-1], ends[1].energy)
    metric = Metric.of_solid(solid, list(band))
    settings = BarrierSettings(saddle_force=0.02)
    found = solve(find_barrier(*ends, band, metric, matcher, settings), engine.evaluate)
    assert found.status == "converged", found.reason
    assert found.saddle.energy - ends[0].energy == pytest.approx(0.689, abs=0.005)
    checked = solve(verify_saddle(found.saddle, *ends, metric, matcher, found.sides), engine.evaluate)
    assert checked.faults == ()
    engine.close()
