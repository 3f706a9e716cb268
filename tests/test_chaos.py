"""A short version of ``chaos.py``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.mark.mpi
@pytest.mark.lammps
def test_nothing_is_lost_by_kills(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "tests/chaos.py",
        "--kills",
        "15",
        "--seed",
        "3",
        "--folder",
        str(tmp_path / "jobs"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=290, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "kills": 15,
        "unreadable": 0,
        "lost_episodes": 0,
        "duplicate_episodes": 0,
        "hangs": 0,
        "wrong_exits": 0,
    }
