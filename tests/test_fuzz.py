"""Damaged and hostile files, some hundreds of them: no traceback, no hang, no flood of memory (tests/fuzz.py)."""

from __future__ import annotations

from random import Random

import pytest
from fuzz import LARGEST_MB, fuzz
from fuzz_corpus import INPUT
from fuzz_mutations import mutated


def test_some_hundred_damaged_files() -> None:
    report = fuzz(inputs=600, seed=20)
    assert report.tracebacks == []
    assert report.slow == []
    assert report.largest_mb < LARGEST_MB
    assert report.refused > 200  # and many were damaged


@pytest.mark.parametrize("seed", range(3))
def test_a_case_depends_on_its_seed_alone(seed: int) -> None:
    cases = [mutated("input.yaml", INPUT.encode(), Random(seed)) for _ in range(2)]
    assert cases[0] == cases[1] != INPUT.encode()
