"""The journal of results: all is read back as it was, a killed writer costs its last entry and no more."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from muller_brown import minimum, search

from mapmpi.errors import UserError
from mapmpi.path.barrier import Barrier
from mapmpi.path.matching import StationaryPoint
from mapmpi.path.quench import Minimum
from mapmpi.path.saddle import Saddle
from mapmpi.path.transition import Verification
from mapmpi.store.journal import Journal, digest

A, B, C = (digest(name) for name in "abc")


@dataclass(frozen=True)
class Leaf:
    numbers: np.ndarray
    name: str | None = None


@dataclass(frozen=True)
class Tree:
    leaves: tuple[Leaf, ...]
    best: Leaf | None
    energy: float
    settled: bool = True


TYPES = (Leaf, Tree)


def opened(path: Path) -> Journal:
    return Journal(path, TYPES)


def same(first: object, second: object) -> bool:
    """Tell whether two results are equal in value and type; NaN is NaN."""
    if type(first) is not type(second):
        return False
    if isinstance(first, np.ndarray):
        assert isinstance(second, np.ndarray)
        return first.dtype == second.dtype and np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
    if isinstance(first, tuple):
        assert isinstance(second, tuple)
        return len(first) == len(second) and all(map(same, first, second))
    if hasattr(first, "__dataclass_fields__"):
        return all(same(getattr(first, name), getattr(second, name)) for name in first.__dataclass_fields__)
    return first == second or (first != first and second != second)


RESULTS = {
    "none": None,
    "number": 1.5,
    "infinite": (float("inf"), -float("inf"), float("nan")),
    "array": np.random.default_rng(1).normal(size=(3, 4, 3)),
    "empty": np.zeros((0, 3)),
    "scalar array": np.array(2.5),
    "integers": np.arange(5, dtype="i4"),
    "flags": np.array([True, False]),
    "not numbers": np.array([np.nan, np.inf, -0.0]),
    "strided": np.arange(12.0).reshape(3, 4)[::-1, ::2],
    "text": "Ångström – 'µ'\n",
    "list": [1, 2.5, None, "x"],
    "tree": Tree((Leaf(np.ones(3)), Leaf(np.eye(2), "b")), None, float("nan")),
    "deeper": Tree((), Leaf(np.zeros(1), "best"), 1e-300, False),
    "tuple of tuples": ((1, (np.ones(2), None)), ()),
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_read_back_as_they_were(tmp_path: Path, name: str) -> None:
    journal = opened(tmp_path / "journal")
    journal[A] = RESULTS[name]
    journal[B] = 7
    assert same(journal[A], RESULTS[name])  # while it is written
    journal.close()
    again = opened(tmp_path / "journal")
    assert A in again
    assert C not in again
    assert same(again[A], RESULTS[name])
    assert again[B] == 7
    with pytest.raises(KeyError):
        again[C]


def test_numpy_scalars_become_plain_numbers(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal")
    journal[A] = (np.float64(1.5), np.int64(3), np.bool_(True))
    assert same(journal[A], (1.5, 3, True))


def test_a_barrier_is_read_back(tmp_path: Path) -> None:
    start, end = minimum("deep"), minimum("middle")
    found = search((start.energy, end.energy), [start.positions, end.positions])
    types = (Barrier, Saddle, Minimum, Verification, StationaryPoint)
    journal = Journal(tmp_path / "journal", types)
    journal[A] = found
    journal.close()
    assert found.verification is not None
    assert same(Journal(tmp_path / "journal", types)[A], found)


def test_the_last_result_under_a_key_counts(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal")
    journal[A] = 1
    journal[A] = 2
    assert journal[A] == 2
    journal.close()
    assert opened(tmp_path / "journal")[A] == 2


def test_an_unfinished_entry_is_dropped_and_the_journal_goes_on(tmp_path: Path) -> None:
    """Cut off anywhere in its head, and here and there in its archive."""
    path = tmp_path / "journal"
    journal = opened(path)
    journal[A] = np.arange(3)
    whole = path.stat().st_size
    journal[B] = Leaf(np.arange(100.0))
    journal.close()
    data = path.read_bytes()
    head = 52
    for length in [*range(whole, whole + head + 2), *range(whole + head, len(data), 97), len(data) - 1]:
        path.write_bytes(data[:length])
        journal = opened(path)
        assert A in journal
        assert B not in journal
        assert path.stat().st_size == whole
        journal[C] = "goes on"
        journal.close()
        journal = opened(path)
        assert journal[A].tolist() == [0, 1, 2]
        assert journal[C] == "goes on"
        journal.close()


@pytest.mark.parametrize("place", [0, 10, 17, 60, 200])
def test_a_damaged_entry_is_not_believed(tmp_path: Path, place: int) -> None:
    """Its mark, its length, its checksum, its archive."""
    path = tmp_path / "journal"
    journal = opened(path)
    journal[A] = 1
    whole = path.stat().st_size
    journal[B] = 2
    journal.close()
    data = bytearray(path.read_bytes())
    data[whole + place] ^= 0xFF
    path.write_bytes(data)
    journal = opened(path)
    assert journal[A] == 1
    assert B not in journal


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first = opened(path)
    first[A] = 1
    with pytest.raises(UserError, match="another job is refining"):
        opened(path)
    other = "import pathlib, sys, mapmpi.store.journal as j; j.Journal(pathlib.Path(sys.argv[1]), ())"
    done = subprocess.run(
        [sys.executable, "-c", other, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert "UserError" in done.stderr
    first[B] = 2  # undisturbed
    first.close()
    again = opened(path)
    assert (again[A], again[B]) == (1, 2)


@pytest.mark.parametrize("content", [b"frame,energy\n0,-1.5\n", b"\x89HDF\r\n\x1a\n" + bytes(100), b"x"])
def test_a_foreign_file_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is not a journal"):
        opened(path)
    assert path.read_bytes() == content


def test_keys_tell_inputs_apart() -> None:
    numbers = np.arange(6.0)
    inputs = [
        (numbers,),
        (numbers.astype("f4"),),
        (numbers.astype("i8"),),
        (numbers.astype(">f8"),),
        (numbers.reshape(2, 3),),
        (numbers.reshape(3, 2),),
        (numbers + 1e-15 * (numbers == 5),),
        (numbers[:3], numbers[3:]),
        (numbers, None),
        (None, numbers),
        (),
        ("a", "b"),
        ("ab",),
        (["a", "b"],),
        (1,),
        (1.0,),
        ("1",),
        (np.zeros((0, 3)),),
        (np.zeros((0, 6)),),
    ]
    keys = [digest(*parts) for parts in inputs]
    assert len(set(keys)) == len(inputs)
    assert {len(key) for key in keys} == {32}
    assert digest(numbers.copy(), {"a": 1, "b": 2}) == digest(numbers, {"b": 2, "a": 1})
    assert digest(np.arange(12.0)[::2]) == digest(2 * numbers)  # whatever the strides
