"""Damaged and hostile files, some hundreds of them: no traceback, no hang, no flood of memory (tests/fuzz.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from random import Random

import pytest
from conftest import ROOT
from fuzz import LARGEST_MB
from fuzz_corpus import INPUT
from fuzz_mutations import mutated


def test_some_hundred_damaged_files() -> None:
    """In a process of its own, whose memory other tests have not filled."""
    command = [sys.executable, "tests/fuzz.py", "--inputs", "600", "--seed", "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    report = json.loads(done.stdout.splitlines()[-1])
    assert (report["tracebacks"], report["slow"]) == (0, 0), done.stdout
    assert report["largest_mb"] < LARGEST_MB
    assert report["inputs"] == 600


@pytest.mark.parametrize("seed", range(3))
def test_a_case_depends_on_its_seed_alone(seed: int) -> None:
    cases = [mutated("input.yaml", INPUT.encode(), Random(seed)) for _ in range(2)]
    assert cases[0] == cases[1] != INPUT.encode()
