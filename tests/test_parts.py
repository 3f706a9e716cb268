"""Parts of searches: a search that was cut off goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from muller_brown import ATOMS, FINE, MATCHER, evaluate, minimum
from test_journal import same

from mapmpi.calculation import Calculation, Subcalculation, solve
from mapmpi.errors import EngineError
from mapmpi.path.band import interpolate
from mapmpi.path.barrier import Barrier, find_barrier
from mapmpi.pneb.parts import Parts
from mapmpi.store.journal import Journal, digest

KEY = digest("a search")
ENDS = minimum("deep"), minimum("middle")


def search() -> Calculation[Barrier]:
    """A search that needs band, saddle search, curvatures and ways down."""
    return find_barrier(*ENDS, interpolate(ENDS[0].positions, ENDS[1].positions, 7, ATOMS), ATOMS, MATCHER, FINE)


def answer(request: Any) -> Any:
    if isinstance(request, Subcalculation):
        return solve(request.function(*request.arguments), evaluate)
    return evaluate(request)


class Cut(Exception):
    """The job was killed."""


def drive(calculation: Generator[Any, Any, Any], rounds: float = np.inf) -> tuple[Any, int]:
    """Return a calculation's result and the rounds of requests it took; raise Cut after so many of them."""
    count = 0
    try:
        requests = next(calculation)
        while True:
            if count == rounds:
                raise Cut
            count += 1
            requests = calculation.send([answer(request) for request in requests])
    except StopIteration as stop:
        return stop.value, count
    finally:
        calculation.close()


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path / "parts")


def files(parts: Parts) -> list[Path]:
    return list(parts.folder.iterdir()) if parts.folder.exists() else []


def test_cut_off_after_any_round_nothing_is_asked_for_twice(parts: Parts) -> None:
    whole, rounds = drive(search())
    assert whole.status == "converged"
    assert rounds > 3
    for done in range(rounds):
        with pytest.raises(Cut):
            drive(parts.kept(KEY, search()), done)
        found, more = drive(parts.kept(KEY, search()))
        assert more == rounds - done
        assert same(found, whole)
        parts.forget(KEY)
        assert files(parts) == []


def test_a_search_may_be_cut_off_again_and_again(parts: Parts) -> None:
    whole, rounds = drive(search())
    for _ in range(rounds - 1):
        with pytest.raises(Cut):
            drive(parts.kept(KEY, search()), 1)
    found, more = drive(parts.kept(KEY, search()))
    assert more == 1
    assert same(found, whole)


def two_steps(shift: float = 0.0) -> Calculation[tuple[float, float]]:
    """Ask for two energies, one after the other; NaN stands for one that the engine failed to compute."""
    found = []
    for x in (0.0, 0.1):
        try:
            (there,) = yield [minimum("deep").positions + x + shift]
            found.append(there.energy)
        except EngineError:
            found.append(np.nan)
    return found[0], found[1]


def test_answers_to_other_requests_are_not_taken(parts: Parts) -> None:
    drive(parts.kept(KEY, two_steps()))
    assert drive(parts.kept(KEY, two_steps()))[1] == 0
    found, asked = drive(parts.kept(KEY, two_steps(0.2)))
    assert asked == 2
    assert found == drive(two_steps(0.2))[0]


def test_behind_an_error_nothing_is_kept(parts: Parts) -> None:
    calculation = parts.kept(KEY, two_steps())
    next(calculation)
    (second,) = calculation.throw(EngineError("lost atoms"))
    with pytest.raises(StopIteration) as stop:
        calculation.send([answer(second)])
    assert np.isnan(stop.value.value[0])
    found, asked = drive(parts.kept(KEY, two_steps()))
    assert (found, asked) == (drive(two_steps())[0], 2)


def test_only_so_many_files_are_open(parts: Parts) -> None:
    parts.free = 2
    first, *_ = many = [parts.kept(digest(number), two_steps()) for number in range(3)]
    for one in many:
        next(one)
    assert len(files(parts)) == 2
    first.close()
    next(parts.kept(KEY, two_steps()))
    assert len(files(parts)) == 3


def test_two_searches_for_the_same_do_not_meet(parts: Parts) -> None:
    one, other = parts.kept(KEY, two_steps()), parts.kept(KEY, two_steps())
    next(one)
    assert drive(other) == drive(two_steps())


def folder_is_a_file(parts: Parts) -> None:
    parts.folder.write_bytes(b"")


def begins_with_zeros(parts: Parts) -> None:
    parts.folder.mkdir()
    parts._file(KEY).write_bytes(bytes(4096))


@pytest.mark.parametrize("damage", [folder_is_a_file, begins_with_zeros])
def test_damage_costs_no_more_than_the_parts(parts: Parts, damage: Callable[[Parts], None]) -> None:
    damage(parts)
    assert drive(parts.kept(KEY, two_steps())) == drive(two_steps())
    parts.forget(KEY)
    parts.end()


def test_a_full_disk_costs_no_more_than_the_parts(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Journal, "__setitem__", full)
    assert drive(parts.kept(KEY, two_steps())) == drive(two_steps())


def test_an_empty_folder_is_removed_in_the_end(parts: Parts) -> None:
    other = digest("another search")
    for key in (KEY, other):
        drive(parts.kept(key, two_steps()))
    parts.forget(KEY)
    parts.end()
    assert len(files(parts)) == 1
    parts.forget(other)
    parts.end()
    assert not parts.folder.exists()
