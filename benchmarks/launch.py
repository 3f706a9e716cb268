"""Trainings and refinements as users start them, for the benchmarks."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
_FORCE_CALLS = re.compile(r"(\d+) force calls")


def seeds(text: str) -> range:
    """Return the seeds that ``A-B`` or one number names, for argparse."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def words_of(settings: Sequence[str]) -> list[str]:
    """Return settings (KEY=VALUE) as words of a command line."""
    return [word for setting in settings for word in ("--set", setting)]


def on_ranks(ranks: int, words: Sequence[str]) -> str:
    """Run Python with these words on so many ranks; return what it printed. Raises CalledProcessError."""
    mpiexec = Path(sys.executable).parent / "mpiexec"
    command = [str(mpiexec), "-n", str(ranks), sys.executable, *words]
    ran = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    if ran.returncode:
        print(ran.stdout[-2000:], ran.stderr[-2000:], file=sys.stderr)
    ran.check_returncode()
    return ran.stdout


def write_table(file: Path, rows: Sequence[Mapping[str, Any]], figures: Mapping[str, Any]) -> None:
    """Write the rows of a benchmark and its figures as JSON, with the command and the machine."""
    machine = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    content = {"command": " ".join(["python", *sys.argv]), **machine, "rows": rows, **figures}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1) + "\n")


def prepare(*words: str) -> None:
    """Make a structure and its input. Raises CalledProcessError."""
    subprocess.run(
        [sys.executable, "-m", "mapmpi.prepare", *words], check=True, capture_output=True, env=ENVIRONMENT
    )


def train(input_file: Path, run: Path, agents: int, settings: Sequence[str]) -> None:
    """Train once with so many agents, or go on where that was cut off. Raises CalledProcessError."""
    if (run / "config.yaml").exists():
        on_ranks(agents + 1, ["-m", "mapmpi.train", "--resume", str(run), *words_of(settings)])
    else:
        on_ranks(agents + 1, ["-m", "mapmpi.train", str(input_file), "--run-dir", str(run), *words_of(settings)])


def refine(run: Path, ranks: int, words: Sequence[str], settings: Sequence[str]) -> int:
    """Refine paths of a training; return the force calls that this took. Raises CalledProcessError."""
    said = on_ranks(ranks, ["-m", "mapmpi.pneb", str(run), *words, *words_of(settings)])
    counts = _FORCE_CALLS.findall(said)
    return int(counts[-1]) if counts else 0
