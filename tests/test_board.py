"""Weights on the board of a node, read and written at once by several ranks."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import ROOT, mpiexec
from mpi4py import MPI

from mapmpi.parallel import board


@pytest.mark.parametrize("ranks", [1, 4])
def test_whoever_reads_gets_whole_weights_and_one_of_all_fetches_them(ranks: int) -> None:
    done = mpiexec(ranks, ROOT / "tests" / "board.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "board: ok" in done.stdout


def test_without_shared_memory_there_is_no_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "SHARED", Path("/proc"))  # nobody can make a file there
    assert board.make_board(MPI.COMM_SELF, 100) is None
