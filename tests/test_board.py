"""Weights on the board of a node, read and written at once by several ranks."""

from __future__ import annotations

import pytest
from conftest import ROOT, mpiexec


@pytest.mark.parametrize("ranks", [1, 4])
def test_whoever_reads_gets_whole_weights_and_one_of_all_fetches_them(ranks: int) -> None:
    done = mpiexec(ranks, ROOT / "tests" / "board.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "board: ok" in done.stdout
