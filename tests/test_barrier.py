"""Barriers between minima: what every kind of band comes to, on landscapes whose passes are known."""

from __future__ import annotations

import numpy as np
import pytest
from muller_brown import ATOMS, FINE, MATCHER, MINIMA, SADDLES, SCALE, TOLERANCE_EV, evaluate, minimum, place

from mapmpi.calculation import Forces, solve
from mapmpi.config import BandSettings, Pneb, SaddleSettings
from mapmpi.errors import EngineError, EngineLost
from mapmpi.path.barrier import BarrierSearch
from mapmpi.path.matching import StationaryPoint
from mapmpi.path.saddle import find_saddle
from mapmpi.path.transition import downhill

HOPELESS = Pneb(band=BandSettings(forces=[1e-6], iterations=1), saddle=SaddleSettings(calls=1))


def barrier(start, end, images=9, band=None, settings=FINE, engine=evaluate):
    band = np.linspace(start.positions, end.positions, images) if band is None else band
    return solve(BarrierSearch(start, end, band, ATOMS, MATCHER, settings).run(), engine)


class Counted:
    """An engine that counts; from call ``last`` on it raises an error."""

    def __init__(self, last=None, error=None):
        self.calls, self.last, self.error = 0, last, error

    def __call__(self, positions):
        self.calls += 1
        if self.last is not None and self.calls > self.last:
            raise self.error
        return evaluate(positions)


@pytest.mark.parametrize(
    ("ends", "saddle"),
    [
        (("deep", "middle"), "upper"),
        (("middle", "deep"), "upper"),
        (("middle", "right"), "lower"),
        (("right", "middle"), "lower"),
    ],
)
def test_known_saddles(ends, saddle):
    start, end = (minimum(name) for name in ends)
    found = barrier(start, end)
    assert (found.status, found.reason) == ("converged", "")
    x, y, energy = SADDLES[saddle]
    assert found.saddle.energy == pytest.approx(SCALE * energy, abs=TOLERANCE_EV)
    assert found.saddle.positions[0] == pytest.approx([x, y, 0], abs=2e-3)
    assert (found.saddle.mode * (end.positions - start.positions)).sum() > 0
    for side, point in zip(found.sides, (start, end), strict=True):
        assert side.positions == pytest.approx(point.positions, abs=5e-3)
        assert side.energy == pytest.approx(point.energy, abs=TOLERANCE_EV)
        assert side.trail[0, 0] == pytest.approx(found.saddle.positions[0], abs=0.151)
    assert found.verification.verified
    assert found.calls < 120
    assert found.band.shape == (9, 5, 3)
    assert np.isfinite(found.energies).all()


def test_no_search_begins_twice_where_one_failed(monkeypatch):
    """The top of the first band feels less force than asks for a relaxation, and no search comes anywhere."""
    begun = []

    def noted(positions, *others):
        begun.append(positions.copy())
        return (yield from find_saddle(positions, *others))

    monkeypatch.setattr("mapmpi.path.barrier.find_saddle", noted)
    settings = Pneb(band=BandSettings(forces=[1e3, 500.0, 200.0], iterations=3), saddle=SaddleSettings(calls=1))
    barrier(minimum("deep"), minimum("middle"), settings=settings)
    starts = begun[:-1]  # the last is guided
    assert len(starts) >= 1
    assert all(np.abs(one - other).max() > 1e-6 for number, one in enumerate(starts) for other in starts[:number])


def test_where_the_searchs_mode_leads_to_one_minimum_the_lowest_mode_is_taken(monkeypatch):
    """A saddle search that takes for the mode the direction in which the pass goes up on both sides."""
    along = []

    def with_a_wrong_mode(*arguments):
        found = yield from find_saddle(*arguments)
        x, y, _ = found.mode[0]
        along.append(found.mode)
        return found.along(np.array([[-y, x, 0.0], *found.mode[1:]]))

    monkeypatch.setattr("mapmpi.path.barrier.find_saddle", with_a_wrong_mode)
    start, end = minimum("deep"), minimum("middle")
    found = barrier(start, end)
    energies = sorted(side.energy for side in found.sides)
    assert energies == pytest.approx(sorted(point.energy for point in (start, end)), abs=TOLERANCE_EV)
    assert found.verification.verified
    cosine = (found.saddle.mode * along[-1]).sum() / np.linalg.norm(along[-1])
    assert abs(cosine) > 0.99


def test_split_at_a_known_intermediate_minimum():
    """From the deep to the right minimum the path leads through the middle one."""
    found = barrier(minimum("deep"), minimum("right"))
    assert (found.status, found.reason) == ("split", "the saddle leads to another minimum")
    assert found.saddle.energy == pytest.approx(SCALE * SADDLES["upper"][2], abs=TOLERANCE_EV)
    for side, name in zip(found.sides, ("deep", "middle"), strict=True):
        assert side.positions == pytest.approx(minimum(name).positions, abs=5e-3)
    assert found.verification.verified


@pytest.mark.parametrize(
    ("ends", "settings"),
    [(("deep", "middle"), FINE), (("deep", "right"), FINE), (("deep", "middle"), HOPELESS)],
)
def test_counts_every_call(ends, settings):
    engine = Counted()
    found = barrier(*(minimum(name) for name in ends), settings=settings, engine=engine)
    assert found.calls == engine.calls
    assert (found.check_calls > 0) == (found.verification is not None)


def test_same_basin_costs_nothing():
    point = minimum("deep")
    near = StationaryPoint(point.positions + 0.01, point.energy)
    found = barrier(point, near)
    assert (found.status, found.calls) == ("same basin", 0)


@pytest.mark.parametrize("backwards", [False, True])
def test_an_end_that_is_no_minimum_is_the_same_basin(backwards):
    """Downhill all the way."""
    x, y, _ = MINIMA["deep"]
    slope = StationaryPoint(place(x + 0.3, y - 0.05), evaluate(place(x + 0.3, y - 0.05))[0])
    ends = [slope, minimum("deep")]
    engine = Counted()
    found = barrier(*(ends[::-1] if backwards else ends), engine=engine)
    assert found.status == "same basin"
    assert "quenched further" in found.reason
    assert found.calls == engine.calls > 7


def test_in_the_end_the_search_is_guided_by_the_band(monkeypatch):
    """Where searches along the softest mode lead nowhere."""
    tries = []

    def lame(*arguments):
        *most, guided = arguments
        tries.append(guided)
        return find_saddle(*(most if guided else [*most[:-1], SaddleSettings(calls=1)]), guided)

    monkeypatch.setattr("mapmpi.path.barrier.find_saddle", lame)
    found = barrier(minimum("middle"), minimum("right"))
    assert found.status == "converged"
    assert found.saddle.energy == pytest.approx(SCALE * SADDLES["lower"][2], abs=TOLERANCE_EV)
    assert tries[-1]
    assert not any(tries[:-1])


def test_collapsed():
    """Two minima, but no image near the pass between them."""
    x, y, _ = MINIMA["right"]
    inner = [place(x - share * 0.1, y) for share in (1.0, 0.5, 0.2)]
    band = np.array([minimum("middle").positions, *inner, minimum("right").positions])
    found = barrier(minimum("middle"), minimum("right"), band=band)
    assert found.status == "collapsed"
    assert found.saddle is None


@pytest.mark.parametrize("last", [3, 9, 30])
def test_engine_failed(last):
    """In the first band, in the focus, and in a Subcalculation on the way down."""
    found = barrier(minimum("deep"), minimum("middle"), engine=Counted(last, EngineError("lost atoms")))
    assert (found.status, found.reason) == ("engine failed", "lost atoms")
    assert found.calls <= last
    assert found.sides is None


@pytest.mark.parametrize("last", [3, 30])
def test_a_lost_engine_passes_through(last):
    with pytest.raises(EngineLost, match="one rank died"):
        barrier(minimum("deep"), minimum("middle"), engine=Counted(last, EngineLost("one rank died")))


def test_not_converged():
    found = barrier(minimum("middle"), minimum("right"), settings=HOPELESS)
    assert found.status == "not converged"
    assert found.reason == f"the last saddle search stopped at {found.saddle.residual:.3f} eV/Å"
    for point, name in zip(found.beside, ("middle", "right"), strict=True):
        assert point.positions == pytest.approx(minimum(name).positions, abs=0.02)
    assert found.sides is None


def test_split_beside_a_pass_that_was_not_found():
    found = barrier(minimum("deep"), minimum("right"), settings=HOPELESS)
    assert found.status == "split"
    assert "other minima lie beside the highest image" in found.reason
    assert found.beside[1].positions == pytest.approx(minimum("middle").positions, abs=0.02)
    assert found.verification is None


def test_kinked():
    start, end = minimum("middle"), minimum("right")
    band = np.linspace(start.positions, end.positions, 9)
    band[4, 0] += [-0.2, -0.2, 0]
    band[5, 0] = band[4, 0] + [-0.15, 0.1, 0]
    found = barrier(start, end, band=band, settings=HOPELESS)
    assert found.status == "kinked"
    assert "turns back" in found.reason


def test_off_a_hilltop(monkeypatch):
    """A band straight over a hill, from one of four wells to the opposite one: its top has no forces."""
    descents = []

    def counted(saddle, *arguments):
        descents.append(saddle)
        return downhill(saddle, *arguments)

    monkeypatch.setattr("mapmpi.path.barrier.downhill", counted)

    def four_wells(positions):
        x, y, z = positions[0]
        apart = positions[1:] - place(0, 0)[1:]
        slope = [x * (x**2 - 1), y * (y**2 - 1), 2 * z]
        energy = 0.25 * (x**2 - 1) ** 2 + 0.25 * (y**2 - 1) ** 2 + z**2 + 2 * (apart**2).sum()
        return Forces(energy, -np.vstack([slope, 4 * apart]))

    ends = [StationaryPoint(place(x, x), 0.0) for x in (-1, 1)]
    engine = Counted()
    found = barrier(*ends, engine=lambda positions: (engine(positions), four_wells(positions))[1])
    assert found.status == "split"
    assert found.verification.verified
    assert found.saddle.energy == pytest.approx(0.25, abs=1e-4)  # half as high as the hill
    assert [saddle.energy for saddle in descents] == [found.saddle.energy]  # none from the hill's top
    assert found.calls == engine.calls
    for side in found.sides:
        assert abs(side.positions[0, :2]) == pytest.approx([1, 1], abs=0.01)
