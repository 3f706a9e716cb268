"""Saddle search and verification on a landscape whose stationary points are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from muller_brown import MATCHER, SADDLES, SCALE, TOLERANCE_EV, Uniform, evaluate, hessian, minimum, place

from mapmpi.calculation import Forces, solve
from mapmpi.config import QuenchSettings, SaddleSettings
from mapmpi.md.engine import largest_force
from mapmpi.path.matching import StationaryPoint
from mapmpi.path.saddle import CLIMB, Saddle, find_saddle
from mapmpi.path.transition import PUSHES, downhill, judge, same_place, two_lowest_modes

METRIC = Uniform(5)
CONNECTS = {"upper": ("deep", "middle"), "lower": ("middle", "right")}
ALONG_X = np.vstack([[1.0, 0, 0], np.zeros((4, 3))])


def search(name, shift=(0.12, 0.10), backwards=False, **options):
    x, y, _ = SADDLES[name]
    start = place(x + shift[0], y + shift[1])
    energy, forces = evaluate(start)
    tangent = minimum(CONNECTS[name][1]).positions - minimum(CONNECTS[name][0]).positions
    tangent = -tangent if backwards else tangent
    settings = SaddleSettings(**{"force": 0.05, **options})
    return solve(find_saddle(start, -forces, energy, tangent, METRIC, settings), evaluate)


def verify(saddle, start, end, engine=evaluate):
    """Check a saddle with its forces computed anew; the quenches from both sides end in the two minima, or not."""
    here = engine(saddle.positions)
    saddle = replace(saddle, residual=largest_force(here.forces), energy=here.energy)
    modes = solve(two_lowest_modes(saddle, METRIC), engine)
    sides = solve(downhill(saddle, METRIC, QuenchSettings(force=0.02)), engine)
    astray = [
        f"the way down towards the {name} leads to another minimum"
        for point, side, name in ((start, sides[0], "start"), (end, sides[1], "end"))
        if not same_place(MATCHER, point, side)
    ]
    found = judge(saddle, modes, sides, 0.05)
    return replace(found, faults=(*found.faults, *astray))


def alone(slope):
    """Return the engine of an energy of the mobile atom's x, y, z; the others sit in wells of their own."""

    def engine(positions):
        energy, gradient = slope(positions[0])
        apart = positions[1:] - place(0, 0)[1:]
        return Forces(energy + 2 * (apart**2).sum(), -np.vstack([gradient, 4 * apart]))

    return engine


@alone
def four_wells(place):
    """V = (x² - 1)² + (y² - 1)² + z²: minima at (±1, ±1), a hilltop at 0, saddles between."""
    x, y, z = place
    return (x**2 - 1) ** 2 + (y**2 - 1) ** 2 + z**2, [4 * x * (x**2 - 1), 4 * y * (y**2 - 1), 2 * z]


@alone
def plateau(place):
    """V = x⁶ - 3/2 x⁴ + 2y² + 2z²: minima at x = ±1, hardly a force near 0."""
    x, y, z = place
    return x**6 - 1.5 * x**4 + 2 * y**2 + 2 * z**2, [6 * x**5 - 6 * x**3, 4 * y, 4 * z]


@alone
def roof(place):
    """V = x⁴ - x²/4 - |x|/10 + 2y² + 2z²: minima at x = ±0.426, and at x = 0 a ridge on which no force vanishes."""
    x, y, z = place
    energy = x**4 - x**2 / 4 - abs(x) / 10 + 2 * y**2 + 2 * z**2
    return energy, [4 * x**3 - x / 2 - np.sign(x) / 10, 4 * y, 4 * z]


@alone
def cliff(place):
    """Two bowls, V = (x ± 1)²/10 + y²/40 + z²: at x = 0.2, 0.144 eV high, the first ends, 0.08 eV above the second."""
    x, y, z = place
    middle = -1 if x < 0.2 else 1
    return (x - middle) ** 2 / 10 + y**2 / 40 + z**2, [(x - middle) / 5, y / 20, 2 * z]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("name", SADDLES)
def test_finds_the_saddle(name, backwards):
    x, y, energy = SADDLES[name]
    found = search(name, force=1e-3, backwards=backwards)
    assert found.residual <= 1e-3
    assert found.energy == pytest.approx(SCALE * energy, abs=TOLERANCE_EV)
    assert found.positions[0] == pytest.approx([x, y, 0], abs=2e-3)
    assert found.calls < 40
    lowest = np.linalg.eigh(hessian(found.positions))[1][:, 0]
    assert abs(lowest @ found.mode.ravel()) > 0.9
    assert np.linalg.norm(found.mode) == pytest.approx(1.0)
    there = minimum(CONNECTS[name][1]).positions - minimum(CONNECTS[name][0]).positions
    assert ((there * found.mode).sum() < 0) == backwards  # the mode keeps the tangent's sense


def test_at_the_saddle_it_only_looks():
    x, y, _ = SADDLES["lower"]
    found = search("lower", shift=(0, 0), force=1e-3)
    assert np.array_equal(found.positions, place(x, y))
    assert found.calls <= 8


def test_gives_up_after_so_many_calls():
    found = search("upper", force=1e-9, calls=9)
    assert found.calls == 9
    assert found.residual > 1e-9


def test_gives_up_when_it_has_climbed_away():
    """The pass is 0.5 eV above this place."""
    start = place(-0.7, 1.15)
    energy, forces = evaluate(start)
    tangent = minimum("middle").positions - minimum("deep").positions
    found = solve(find_saddle(start, -forces, energy, tangent, METRIC, SaddleSettings()), evaluate)
    assert energy + CLIMB < found.energy < SCALE * SADDLES["upper"][2]
    assert found.residual > 0.05
    assert found.calls < 150


def test_along_keeps_the_sense():
    saddle = Saddle(place(0, 0), 0.0, ALONG_X, 0.0, 0)
    for sign in (-1, 1):
        mode = sign * np.vstack([[3.0, 4.0, 0], np.zeros((4, 3))])
        assert saddle.along(mode).mode[0] == pytest.approx([0.6, 0.8, 0])


@pytest.mark.parametrize("name", SADDLES)
def test_verified(name):
    checked = verify(search(name), *(minimum(end) for end in CONNECTS[name]))
    assert checked.faults == ()
    assert checked.verified
    exact = np.linalg.eigvalsh(hessian(place(*SADDLES[name][:2])))[:2]
    assert checked.curvatures == pytest.approx(exact, rel=0.15)  # the differences are finite


def test_not_verified_between_other_minima():
    checked = verify(search("upper"), minimum("deep"), minimum("right"))
    assert checked.faults == ("the way down towards the end leads to another minimum",)
    checked = verify(search("upper"), minimum("middle"), minimum("deep"))
    assert [fault.split(" leads")[0] for fault in checked.faults] == [
        "the way down towards the start",
        "the way down towards the end",
    ]


def test_a_minimum_is_not_a_saddle():
    point = minimum("middle")
    checked = verify(Saddle(point.positions, point.energy, ALONG_X, 0.0, 0), point, point)
    assert checked.faults == ("0 curvatures are negative instead of one",)


def test_a_hilltop_is_not_a_saddle():
    ends = [StationaryPoint(place(x, 0), 1.0) for x in (-1, 1)]
    checked = verify(Saddle(place(0, 0), 2.0, ALONG_X, 0.0, 0), *ends, four_wells)
    assert checked.faults == ("2 curvatures are negative instead of one",)
    assert checked.curvatures == pytest.approx([-4, -4], rel=0.02)


def test_forces_left_are_a_fault():
    """Measured anew, whatever the search said."""
    x, y, energy = SADDLES["upper"]
    rough = replace(search("upper"), positions=place(x + 0.1, y), energy=SCALE * energy, residual=0.0)
    checked = verify(rough, minimum("deep"), minimum("middle"))
    left = float(np.linalg.norm(evaluate(rough.positions)[1][0]))
    assert f"a force of {left:.3f} eV/Å is left" in checked.faults


def test_curvatures_that_are_not_clear_and_a_restless_way_down_are_faults():
    saddle = search("lower", force=1e-3)
    sides = solve(downhill(saddle, METRIC, QuenchSettings(force=0.02)), evaluate)
    modes = solve(two_lowest_modes(saddle, METRIC), evaluate)
    assert judge(saddle, modes, sides, 0.05).faults == ()
    unclear = judge(saddle, replace(modes, accurate=False), sides, 0.05)
    assert unclear.faults == (f"the curvatures were not clear after {modes.calls} force calls",)
    restless = judge(saddle, modes, (sides[0], replace(sides[1], residual=0.3, at_rest=False)), 0.05)
    assert restless.faults == ("a way down did not come to rest (0.300 eV/Å)",)


@pytest.mark.parametrize(
    ("curvatures", "negative"),
    [((-1.0, 0.1), 1), ((-0.01, 0.1), 1), ((-0.002, 0.1), 0), ((-1.0, -0.01), 1), ((-1.0, -0.03), 2)],
)
def test_soft_curvatures(curvatures, negative):
    """The lowest may be softer than a second that is to count."""
    saddle = search("lower", force=1e-3)
    sides = solve(downhill(saddle, METRIC, QuenchSettings(force=0.02)), evaluate)
    modes = solve(two_lowest_modes(saddle, METRIC), evaluate)
    two = modes.vectors[:2]
    modes = replace(modes, curvatures=np.array(curvatures) * (two**2).sum(axis=(1, 2)), vectors=two)
    faults = judge(saddle, modes, sides, 0.05).faults
    assert faults == (() if negative == 1 else (f"{negative} curvatures are negative instead of one",))


def test_ways_down_from_a_plateau_begin_farther_away():
    """The first push ends where the force is still below the limit."""
    saddle = Saddle(place(0, 0), 0.0, ALONG_X, 0.0, 0)
    assert np.linalg.norm(plateau(PUSHES[0] * ALONG_X + place(0, 0))[1]) < 0.02
    sides = solve(downhill(saddle, METRIC, QuenchSettings(force=0.02)), plateau)
    assert [side.positions[0, 0] for side in sides] == pytest.approx([-1, 1], abs=0.01)
    assert sides[1].trail[0, 0, 0] == pytest.approx(PUSHES[1])
    assert sides[1].calls > 2


def test_an_exchange_of_equal_atoms_is_another_place():
    point = minimum("middle")
    swapped = StationaryPoint(point.positions[[0, 2, 1, 3, 4]], point.energy)
    assert MATCHER.match(point, swapped) is not None
    assert not same_place(MATCHER, point, swapped)
    assert same_place(MATCHER, point, StationaryPoint(point.positions + 0.05, point.energy + 0.005))
    assert not same_place(MATCHER, point, StationaryPoint(point.positions, point.energy + 0.02))


@pytest.mark.parametrize("guided", [False, True])
def test_a_step_is_climbed_to_its_edge(guided):
    """No curvature is negative on the way there, and the energy is that of the upper side."""
    start = place(-0.3, 0.3)
    energy, forces = cliff(start)
    found = solve(find_saddle(start, -forces, energy, ALONG_X, METRIC, SaddleSettings(calls=150), guided), cliff)
    assert found.on_step
    assert found.energy == pytest.approx(0.144, abs=5e-3)
    assert found.positions[0, 0] == pytest.approx(0.2, abs=0.03)


def test_a_pass_at_a_step_is_told_as_such():
    start = place(0.05, 0.04)
    energy, forces = roof(start)
    found = solve(find_saddle(start, -forces, energy, ALONG_X, METRIC, SaddleSettings()), roof)
    assert found.on_step
    assert found.calls < 80
    assert found.energy == pytest.approx(0.0, abs=2e-3)
    assert 0.05 < found.residual < 0.2
    sides = solve(downhill(found, METRIC, QuenchSettings()), roof)
    assert [side.positions[0, 0] for side in sides] == pytest.approx([-0.426, 0.426], abs=0.01)
    verification = verify(found, *sides, engine=roof)
    assert not verification.verified
    assert "step" in verification.faults[0]


def test_a_saddle_that_was_found_is_not_on_a_step():
    assert not search("upper", force=1e-3).on_step
