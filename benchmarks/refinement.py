"""How much faster two ranks refine a pathway than one.

    python benchmarks/refinement.py RUN_DIR [--episode AGENT:EPISODE] [--quick]

Refines a pathway of a training (the best one unless named; for a figure that means something, one with eight segments
or more) from nothing, with one rank and with two, each in a copy of the run directory, and prints both times, the
share of the time in which the ranks were busy, and whether both gave the same pathways.csv. Start-up (Python, LAMMPS)
is part of the times. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def refine(run: Path, ranks: int, words: list[str]) -> tuple[float, str, str]:
    """Refine in a copy of a run directory; return seconds, the last line printed, and pathways.csv."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "run"
        shutil.copytree(run, copy, ignore=shutil.ignore_patterns("pathways", "figures", "checkpoints"))
        mpiexec = Path(sys.executable).parent / "mpiexec"
        start = [str(mpiexec if mpiexec.exists() else "mpiexec"), "-n", str(ranks)]
        began = time.perf_counter()
        done = subprocess.run(
            [*start, sys.executable, "-m", "mapmpi.pneb", str(copy), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - began
        if done.returncode:
            sys.exit(f"{done.stdout}{done.stderr}")
        return seconds, done.stdout.strip().splitlines()[-1], (copy / "pathways" / "pathways.csv").read_text()


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--episode", metavar="AGENT:EPISODE", help="the pathway (default: the best)")
    parser.add_argument("--quick", action="store_true", help="quenches and searches to looser tolerances")
    arguments = parser.parse_args()
    words = ["--episode", arguments.episode] if arguments.episode else []
    if arguments.quick:
        words += [
            "--set",
            "pneb.quench.force=0.03",
            "--set",
            "pneb.saddle.force=0.05",
            "--set",
            "pneb.connect.searches=2",
        ]
    results = {ranks: refine(arguments.run_dir, ranks, words) for ranks in (1, 2)}
    for ranks, (seconds, said, _) in results.items():
        print(f"{ranks} rank{'s' * (ranks > 1)}: {seconds:.1f} s. {said}")
    segments = [int(n) for n in re.findall(r"(\d+) segments", results[1][1])]
    same = results[1][2] == results[2][2]
    print("Same pathways.csv." if same else "The two pathways.csv differ.")
    speedup = results[1][0] / results[2][0]
    print(json.dumps({"speedup": round(speedup, 3), "segments": segments[0] if segments else None, "same": same}))


if __name__ == "__main__":
    main()
