"""Parts of searches: a search that was cut off goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from muller_brown import ATOMS, FINE, MATCHER, evaluate, minimum
from test_journal import same

from mapmpi.calculation import Calculation, Task, alone, in_steps
from mapmpi.errors import EngineError
from mapmpi.path.band import interpolate
from mapmpi.path.barrier import Barrier, BarrierSearch
from mapmpi.pneb.parts import Parts
from mapmpi.store.journal import Journal, digest

KEY = digest("a search")
ENDS = minimum("deep"), minimum("middle")


def search() -> Calculation[Barrier]:
    """A search that needs band, saddle search, curvatures and ways down."""
    return BarrierSearch(
        *ENDS, interpolate(ENDS[0].positions, ENDS[1].positions, 7, ATOMS), ATOMS, MATCHER, FINE
    ).run()


def answer(request: Any) -> tuple[Any, int]:
    """Return the answer to a request, and the force calls it took."""
    task = Task(alone(request))
    for _ in in_steps(task, evaluate):
        pass
    return task.result, task.calls


class Cut(Exception):
    """The job was killed."""


def drive(calculation: Calculation[Any] | Task[Any], rounds: float = np.inf) -> tuple[Any, int]:
    """Return a calculation's result and the rounds of requests it took; raise Cut after so many of them."""
    task, count = calculation if isinstance(calculation, Task) else Task(calculation), 0
    try:
        task.begin()
        while not task.done:
            if count == rounds:
                raise Cut
            count += 1
            go_on(task)
        return task.result, count
    finally:
        task.close()


def go_on(task: Task[Any]) -> None:
    """Answer a round of requests."""
    for place, request in enumerate(task.wanted):
        task.answer(place, *answer(request))
    task.go_on()


def kept(parts: Parts, key: bytes, calculation: Calculation[Any]) -> Task[Any]:
    """Return the task of a calculation that remembers what it was answered."""
    return Task(calculation, memory=parts.of(key))


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
            drive(kept(parts, KEY, search()), done)
        again = kept(parts, KEY, search())
        found, more = drive(again)
        assert more == rounds - done
        assert same(found, whole)
        assert again.calls == whole.calls  # those of before count, too
        parts.forget(KEY)
        assert files(parts) == []


def test_a_search_may_be_cut_off_again_and_again(parts: Parts) -> None:
    whole, rounds = drive(search())
    for _ in range(rounds - 1):
        with pytest.raises(Cut):
            drive(kept(parts, KEY, search()), 1)
    found, more = drive(kept(parts, KEY, search()))
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
    drive(kept(parts, KEY, two_steps()))
    assert drive(kept(parts, KEY, two_steps()))[1] == 0
    found, asked = drive(kept(parts, KEY, two_steps(0.2)))
    assert asked == 2
    assert found == drive(two_steps(0.2))[0]


def test_behind_an_error_nothing_is_kept(parts: Parts) -> None:
    task = kept(parts, KEY, two_steps())
    task.begin()
    task.answer(0, EngineError("lost atoms"))
    task.go_on()
    go_on(task)
    assert task.done
    assert np.isnan(task.result[0])
    found, asked = drive(kept(parts, KEY, two_steps()))
    assert (found, asked) == (drive(two_steps())[0], 2)


def test_only_so_many_files_are_open(parts: Parts) -> None:
    parts.free = 2
    first, *_ = many = [kept(parts, digest(number), two_steps()) for number in range(3)]
    for one in many:
        one.begin()
    assert len(files(parts)) == 2
    first.close()
    kept(parts, KEY, two_steps()).begin()
    assert len(files(parts)) == 3


def test_two_searches_for_the_same_do_not_meet(parts: Parts) -> None:
    one, other = kept(parts, KEY, two_steps()), kept(parts, KEY, two_steps())
    one.begin()
    assert drive(other) == drive(two_steps())


def folder_is_a_file(parts: Parts) -> None:
    parts.folder.write_bytes(b"")


def begins_with_zeros(parts: Parts) -> None:
    parts.folder.mkdir()
    parts._file(KEY).write_bytes(bytes(4096))


@pytest.mark.parametrize("damage", [folder_is_a_file, begins_with_zeros])
def test_damage_costs_no_more_than_the_parts(parts: Parts, damage: Callable[[Parts], None]) -> None:
    damage(parts)
    assert drive(kept(parts, KEY, two_steps())) == drive(two_steps())
    parts.forget(KEY)
    parts.end()


def test_a_full_disk_costs_no_more_than_the_parts(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Journal, "__setitem__", full)
    assert drive(kept(parts, KEY, two_steps())) == drive(two_steps())


def test_an_empty_folder_is_removed_in_the_end(parts: Parts) -> None:
    other = digest("another search")
    for key in (KEY, other):
        drive(kept(parts, key, two_steps()))
    parts.forget(KEY)
    parts.end()
    assert len(files(parts)) == 1
    parts.forget(other)
    parts.end()
    assert not parts.folder.exists()
