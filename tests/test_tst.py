from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from analytic import AnalyticEngine, Landscape

from mapmpi.calculation import Forces, solve
from mapmpi.config import Dynamics
from mapmpi.errors import EngineError
from mapmpi.path import tst

PAPER_K = 623.15  # 350 °C


def test_the_papers_time_worked_by_hand() -> None:
    # k_BT = 8.617333e-5 eV/K · 623.15 K = 0.0536989 eV; ℏ/k_BT = 6.582120e-16 eV s / 0.0536989 eV = 1.22575e-14 s;
    # 2.366 / 0.0536989 = 44.0605; e^44.0605 = 1.36527e19; product 1.67350e5 s = 1.9369 days
    time_s = tst.pathway_time_s([2.366], PAPER_K, tst.prefactor_hz("hbar", PAPER_K))
    assert time_s == pytest.approx(1.6735e5, rel=1e-4)
    assert time_s / 86400 == pytest.approx(1.93, abs=0.01)
    with_h = tst.pathway_time_s([2.366], PAPER_K, tst.prefactor_hz("h", PAPER_K))
    assert with_h / time_s == pytest.approx(2 * np.pi)  # 12.17 days


def test_prefactors_at_room_temperature() -> None:
    assert tst.prefactor_hz("h", 298.15) == pytest.approx(6.2124e12, rel=1e-4)  # the textbook's 6.21e12
    assert tst.prefactor_hz("hbar", 298.15) == pytest.approx(3.9034e13, rel=1e-4)


def test_pathway_time_is_the_sum_over_barriers() -> None:
    attempts = np.array([1e12, 1e13])
    # ln 10 · k_BT is one decade: 1e-12 · 1e3 + 1e-13 · 1e5
    decade = np.log(10) * 8.617333262e-5 * 500
    assert tst.pathway_time_s([3 * decade, 5 * decade], 500, attempts) == pytest.approx(1.1e-8, rel=1e-9, abs=0)
    assert tst.pathway_time_s([], 500, 1e12) == 0.0


def test_special_barriers() -> None:
    assert tst.pathway_time_s([0.0], 300, 1e13) == pytest.approx(1e-13, rel=1e-9, abs=0)  # the attempt time
    assert np.isnan(tst.pathway_time_s([0.5, np.nan], 300, 1e13))
    assert tst.pathway_time_s([2.4], 10, 1e13) == np.inf
    with pytest.raises(ValueError, match="negative"):
        tst.pathway_time_s([0.5, -0.1], 300, 1e13)
    for temperature, attempts in ((0.0, 1e13), (np.nan, 1e13), (300, 0.0)):
        with pytest.raises(ValueError, match="positive"):
            tst.log_rate(0.5, temperature, attempts)


def passage_time_s(forward_hz: Sequence[float] | np.ndarray, backward_hz: Sequence[float] | np.ndarray) -> float:
    return tst.mean_first_passage_time_s(np.log(forward_hz), np.log(backward_hz))


def test_first_passage_worked_by_hand() -> None:
    # τ0 = 1/2; τ1 = 1/4 + (3/4)(1/2) = 5/8; τ2 = 1/5 + (1/5)(5/8) = 13/40; sum 29/20
    assert passage_time_s([2, 4, 5], [3, 1, 7]) == pytest.approx(29 / 20)
    # without hops back it is Eq. 3's sum of residence times
    assert passage_time_s([2, 4, 5], [1e-30] * 3) == pytest.approx(1 / 2 + 1 / 4 + 1 / 5)


def exact_passage(forward: list[float], backward: list[float]) -> Fraction:
    """Solve the generator matrix of the chain, -Q T = 1, in rational numbers."""
    size = len(forward)
    rows = [[Fraction(0)] * size + [Fraction(1)] for _ in range(size)]
    for i in range(size):
        back = Fraction(backward[i - 1]) if i else Fraction(0)
        rows[i][i] = Fraction(forward[i]) + back
        if i:
            rows[i][i - 1] = -back
        if i + 1 < size:
            rows[i][i + 1] = -Fraction(forward[i])
    for i in range(size):
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(size):
            if k != i:
                rows[k] = [value - rows[k][i] * pivot for value, pivot in zip(rows[k], rows[i], strict=True)]
    return rows[0][-1]


def test_first_passage_of_stiff_chains_is_exact() -> None:
    random = np.random.default_rng(7)
    for _ in range(5):
        forward, backward = (10.0 ** random.uniform(-20, 13, size=8) for _ in range(2))
        exact = exact_passage(list(forward), list(backward))
        assert passage_time_s(forward, backward) == pytest.approx(float(exact), rel=1e-12, abs=0)


def test_first_passage_agrees_with_kinetic_monte_carlo() -> None:
    forward, backward = np.array([1.0, 0.5, 2.0, 0.7]), np.array([0.8, 1.5, 0.3, 9.9])
    random, walkers = np.random.default_rng(11), 4000
    basin, clock = np.zeros(walkers, dtype=int), np.zeros(walkers)
    while (walking := np.flatnonzero(basin < 4)).size:
        here = basin[walking]
        back = np.where(here > 0, backward[here - 1], 0.0)
        escape = forward[here] + back
        clock[walking] += random.exponential(1 / escape)
        basin[walking] += np.where(random.random(len(here)) * escape < back, -1, 1)
    error = clock.std() / np.sqrt(walkers)
    assert abs(passage_time_s(forward, backward) - clock.mean()) < 3 * error
    assert error < 0.03 * clock.mean()


def test_first_passage_that_cannot_be_told() -> None:
    assert tst.mean_first_passage_time_s(np.array([0.0, -1e3]), np.zeros(2)) == np.inf
    assert np.isnan(passage_time_s([1.0, np.nan], [1.0, 1.0]))
    assert passage_time_s([1e-300] * 3, [1e13] * 3) == np.inf
    with pytest.raises(ValueError):
        passage_time_s([1.0, 1.0], [1.0])


def test_diffusion_coefficient_by_hand() -> None:
    # (3 nm)² / (2 · 1.93 d) = (3e-7 cm)² / (2 · 166752 s) = 2.6986e-19 cm²/s
    assert tst.diffusion_coefficient_cm2_s(30.0, 1.93 * 86400) == pytest.approx(2.6986e-19, rel=1e-4, abs=0)


def test_arrhenius_fit_finds_what_was_put_in() -> None:
    temperatures = np.array([600.0, 700.0, 900.0])
    factor, energy = tst.arrhenius_fit(temperatures, 2.7e-4 * np.exp(-0.8 / (8.617333262e-5 * temperatures)))
    assert (factor, energy) == (pytest.approx(2.7e-4), pytest.approx(0.8))


@pytest.mark.parametrize(
    ("temperatures", "values"),
    [([300], [1e-9]), ([300, 300], [1e-9, 1e-9]), ([300, 400], [0, 1e-9]), ([300, 400], [1e-9, np.nan])],
)
def test_arrhenius_fit_refuses_what_it_cannot_fit(temperatures: list, values: list) -> None:
    with pytest.raises(ValueError, match="Arrhenius"):
        tst.arrhenius_fit(temperatures, values)


def test_frequency_of_one_atom_on_a_spring() -> None:
    # k = 1 eV/Å², m = 1 amu: √(1.602177e-19 J / 1e-20 m² / 1.660539e-27 kg) = 9.82269e13 rad/s,
    # divided by 2π: 1.56333e13 Hz
    modes = tst.frequencies_hz(np.diag([1.0, 4.0, -1.0]), np.array([1.0]))
    np.testing.assert_allclose(modes, np.array([-1.0, 1.0, 2.0]) * 1.56333e13, rtol=1e-5)


def spring(positions: np.ndarray) -> Forces:
    """Return energy and forces of H2 with its measured force constant 575 N/m = 35.89 eV/Å², bond 0.741 Å."""
    bond = positions[1] - positions[0]
    length = np.linalg.norm(bond)
    pull = 35.89 * (length - 0.741) * bond / length
    return Forces(float(0.5 * 35.89 * (length - 0.741) ** 2), np.array([pull, -pull]))


def test_hydrogen_molecule_vibrates_at_its_known_frequency_and_translations_are_left_out() -> None:
    positions = np.array([[0.0, 0.0, 0.0], [0.741, 0.0, 0.0]])
    hessian = solve(tst.hessian_calculation(positions, [0, 1], 1e-3), spring)
    modes = tst.frequencies_hz(hessian, np.full(2, 1.00794))
    assert modes[-1] == pytest.approx(4400 * 2.99792458e10, rel=2e-3)  # ω_e = 4401 cm⁻¹
    assert np.abs(modes[:5]).max() < 1e12
    free = tst.frequencies_hz(hessian, np.full(2, 1.00794), leave_out_translations=True)
    assert free.shape == (3,)
    assert free[-1] == pytest.approx(modes[-1])


def test_hessian_of_some_atoms_holds_the_others_fixed() -> None:
    positions = np.array([[0.0, 0.0, 0.0], [0.741, 0.0, 0.0]])
    asked = next(tst.hessian_calculation(positions, [1], 1e-3))
    assert len(asked) == 6  # all at once
    assert all((configuration[0] == positions[0]).all() for configuration in asked)
    hessian = solve(tst.hessian_calculation(positions, [1], 1e-3), spring)
    np.testing.assert_allclose(np.diag(hessian), [35.89, 0.0, 0.0], atol=1e-3)


def test_a_hessian_of_a_large_system_asks_for_a_few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    positions = np.array([[0.0, 0.0, 0.0], [0.741, 0.0, 0.0]])
    whole = solve(tst.hessian_calculation(positions, [0, 1], 1e-3), spring)
    monkeypatch.setattr(tst, "ASKED_BYTES", 5 * positions.nbytes)
    assert len(next(tst.hessian_calculation(positions, [0, 1], 1e-3))) == 5
    assert np.array_equal(solve(tst.hessian_calculation(positions, [0, 1], 1e-3), spring), whole)


def test_hessian_is_symmetric_where_differences_are_coarse() -> None:
    positions = np.array([[0.0, 0.0, 0.0], [0.5, 0.3, 0.45]])
    hessian = solve(tst.hessian_calculation(positions, [0, 1], 0.2), spring)
    assert (hessian == hessian.T).all()
    assert np.abs(hessian).max() > 1


def test_hessian_on_an_engine() -> None:
    # V = -2 exp(-½ r²/0.5²): curvature 2/0.25 = 8 eV/Å² in each direction
    well = Landscape(np.array([-2.0]), np.full((1, 3), 5.0), 4.0 * np.eye(3)[None], np.full(3, 10.0))
    engine = AnalyticEngine(well, np.full(3, 5.0), Dynamics())
    hessian = solve(tst.hessian_calculation(engine.positions(), [0], 0.01), engine.evaluate)
    np.testing.assert_allclose(hessian, 8.0 * np.eye(3), atol=0.01)


def test_hessian_refuses_nonsense_and_passes_failures_on() -> None:
    positions = np.zeros((2, 3))
    for atoms, displacement in (([], 0.01), ([0, 0], 0.01), ([0], 0.0)):
        with pytest.raises(ValueError):
            next(tst.hessian_calculation(positions, atoms, displacement))
    calculation = tst.hessian_calculation(positions, [0], 0.01)
    next(calculation)
    with pytest.raises(EngineError):
        calculation.throw(EngineError("lost atoms"))


def double_well(positions: np.ndarray) -> Forces:
    """V = 0.5 (x² - 1)² + ½·8 y² + ½·(2 + 6x²) z² for one atom: minima at x = ±1, saddle at 0."""
    x, y, z = positions[0]
    energy = 0.5 * (x**2 - 1) ** 2 + 4 * y**2 + 0.5 * (2 + 6 * x**2) * z**2
    return Forces(float(energy), -np.array([[2 * x * (x**2 - 1) + 6 * x * z**2, 8 * y, (2 + 6 * x**2) * z]]))


def test_vineyard_prefactor_of_a_double_well() -> None:
    def modes(x: float) -> np.ndarray:
        hessian = solve(tst.hessian_calculation(np.array([[x, 0.0, 0.0]]), [0], 1e-3), double_well)
        return tst.frequencies_hz(hessian, np.array([16.0]))

    # curvatures 4, 8, 8 at the minimum; -2, 8, 2 at the saddle: √(4·8·8 / (8·2)) = 4 times that of 1 eV/Å²
    expected = 4 * 1.56333e13 / np.sqrt(16.0)
    assert tst.vineyard_hz(modes(1.0), modes(0.0)) == pytest.approx(expected, rel=1e-4)
    for minimum, saddle, complaint in (
        (modes(0.0), modes(0.0), "minimum has 1 imaginary"),
        (modes(1.0), modes(1.0), "saddle has 0 imaginary"),
        (modes(1.0), modes(0.0)[:2], "3 modes"),
        (np.array([1e9, 1e12, 1e12]), modes(0.0), "zero mode"),
    ):
        with pytest.raises(ValueError, match=complaint):
            tst.vineyard_hz(minimum, saddle)


def test_moving_atoms() -> None:
    start = np.zeros((4, 3))
    saddle, end = start.copy(), start.copy()
    saddle[1, 0], end[1, 0], end[2, 1], end[3, 2] = 0.8, 1.6, 0.3, 0.1
    assert tst.moving_atoms(start, saddle, end, 0.2).tolist() == [1, 2]
    assert tst.moving_atoms(start, saddle, end, 5.0).tolist() == [1]
