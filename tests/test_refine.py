"""A whole refinement is a calculation like any other: here one engine answers it, without MPI."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from muller_brown import ATOMS, SADDLES, SCALE, TOLERANCE_EV, evaluate, minimum, place

from mapmpi.calculation import Forces, solve
from mapmpi.config import Config
from mapmpi.errors import EngineError
from mapmpi.path.pathway import Pathway
from mapmpi.pneb.calculator import RESULTS, Calculator
from mapmpi.pneb.choose import StoredPath
from mapmpi.pneb.parts import Parts
from mapmpi.pneb.progress import Tally
from mapmpi.pneb.refine import Refinement
from mapmpi.store.journal import Journal

CORNERS = [minimum("deep").positions, place(-0.9, 0.65), minimum("middle").positions, minimum("right").positions]
FRAMES = [(1 - share) * first + share * last for first, last in pairwise(CORNERS) for share in (0, 0.5)]
PATH = StoredPath("by-hand", "a test", np.array([*FRAMES, CORNERS[-1]]), None)
CONFIG = Config.model_validate(
    {
        "structure": {"file": "unused.xyz", "tagged_atoms": [1]},
        "goal": {"distance": 1.0},
        "forcefield": {"commands": ["pair_style none"]},
        "pneb": {"same_distance": 0.1, "same_energy": 0.01, "saddle": {"force": 1e-3}, "quench": {"force": 1e-3}},
    }
)


class Engine:
    """The landscape; it fails at its ``last`` force call and after."""

    def __init__(self, last: float = np.inf) -> None:
        self.calls, self.last = 0, last

    def __call__(self, positions: np.ndarray) -> Forces:
        self.calls += 1
        if self.calls >= self.last:
            raise EngineError("lost atoms")
        return evaluate(positions)


def refine(folder: Path, engine: Engine) -> Pathway | None:
    journal = Journal(folder / "journal", RESULTS)
    calculator = Calculator(CONFIG, ATOMS, journal, Parts(folder / "parts"), Tally())
    try:
        return solve(Refinement(CONFIG, calculator, PATH).run(), engine)
    finally:
        journal.close()


def quenched(stride: int, corners: list[np.ndarray]) -> tuple[Pathway, int]:
    """Return the pathway along corners, eight frames from each to the next, and how many of them were quenched."""
    shares = np.arange(8) / 8
    frames = [(1 - share) * first + share * last for first, last in pairwise(corners) for share in shares]
    stored = StoredPath("by-hand", "a test", np.array([*frames, corners[-1]]), None)
    config = CONFIG.model_copy(update={"pneb": CONFIG.pneb.model_copy(update={"stride": stride})})
    calculator = Calculator(config, ATOMS, {}, None, Tally())
    found = solve(Refinement(config, calculator, stored).run(), evaluate)
    assert found is not None
    return found, calculator.tally.frames_done


def test_one_engine_refines_a_path_and_remembers_it(tmp_path: Path) -> None:
    engine = Engine()
    found = refine(tmp_path, engine)
    assert found is not None
    assert (found.complete, found.verified, found.notes) == (True, 2, ())
    saddles = [hop.saddle.energy for hop in found.hops if hop.saddle is not None]
    assert saddles == pytest.approx([SCALE * SADDLES[name][2] for name in ("upper", "lower")], abs=TOLERANCE_EV)
    assert found.calls == engine.calls
    assert found.before is not None
    assert len(found.before.energies) == len(PATH.positions)
    assert found.before.energies == pytest.approx([evaluate(frame).energy for frame in PATH.positions])
    assert np.ptp(found.before.progress) == pytest.approx(found.length_A)

    again = Engine()
    remembered = refine(tmp_path, again)
    assert again.calls == 0
    assert remembered is not None
    assert np.array_equal(remembered.barriers_ev(), found.barriers_ev())


def test_without_a_single_quench_there_is_no_pathway(tmp_path: Path) -> None:
    assert refine(tmp_path, Engine(last=1)) is None


def test_frames_between_two_of_one_basin_need_no_quench() -> None:
    there_and_back = [*CORNERS[:3], *CORNERS[1::-1], *CORNERS[1:]]
    for corners in (CORNERS, there_and_back):
        every, all_frames = quenched(1, corners)
        some, some_frames = quenched(8, corners)
        assert (all_frames, len(some.hops)) == (8 * (len(corners) - 1) + 1, len(every.hops))
        assert some_frames < 0.6 * all_frames
        assert some.complete
        assert some.barriers_ev() == pytest.approx(every.barriers_ev(), abs=TOLERANCE_EV)
        assert some.before is not None
        assert some.before.energies == pytest.approx(every.before.energies if every.before is not None else [])
