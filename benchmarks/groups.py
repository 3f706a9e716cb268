"""How busy phase 2 keeps many groups of ranks: the real scheduling, messages and journal, simulated force calls.

    python benchmarks/groups.py [--groups 64] [--paths 64] [--call 0.2] [--out FILE.json]

A short training by engines that only sleep (forcefield.simulated, 195 atoms) gives paths. Phase 2 refines the best of
them with so many groups of one rank, whose force calls take so many seconds, give or take; a rank that sleeps needs no
core of its own. Above 64 groups rank 0 is in none of them. The share of their time in which the groups were busy is
counted from when all have begun to when all has been written, so the end of the last path is in it, at which most have
nothing left to do: the more paths, the less it weighs. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from pathlib import Path

from launch import on_ranks, train, words_of, write_table

from mapmpi.parallel.groups import SERVE_ONLY

AGENTS, ACTIONS_A_PATH, STEPS = 3, 30, 40
"""Of the training: its agents, actions that a path takes, and force calls that an action counts as."""
INPUT = """\
structure:
  file: {structure}
  tagged_atoms: [193]
  molecule_atoms: [193, 194, 195]
forcefield:
  simulated: {{seconds: 0.002, spread: 0.3, atoms: 195}}
goal: {{distance: 10}}
dynamics: {{steps_per_action: {steps}}}
# wandering, but always onwards: every path arrives, and no two are the same
exploration: {{kind: random}}
actions: {{directions: [[1, 0, 0], [1, 1, 0], [1, -1, 0], [1, 0, 1], [1, 0, -1]]}}
"""
SILICA = Path(__file__).parent.parent / "inputs" / "silica-small.data"


def measure(groups: int, paths: int, call_s: float) -> dict[str, float]:
    """Train and refine; return what was measured."""
    with tempfile.TemporaryDirectory() as folder:
        file, run = Path(folder) / "input.yaml", Path(folder) / "run"
        file.write_text(INPUT.format(structure=SILICA, steps=STEPS))
        train(file, run, AGENTS, [f"train.stop.actions={ACTIONS_A_PATH * (paths + AGENTS)}"])
        began = time.monotonic()
        said = on_ranks(
            groups + (groups > SERVE_ONLY),
            ["-m", "mapmpi.pneb", str(run), "--top", str(paths)]
            + words_of([f"forcefield.simulated.seconds={call_s * STEPS}", "pneb.straight=false"]),
        )
        wall = time.monotonic() - began
    found = re.search(r"Done in .*: (\d+) segments, (\d+) force calls, groups busy (\d+) % of the time", said)
    assert found is not None, said[-2000:]
    segments, calls, busy = (int(number) for number in found.groups())
    return {
        "groups": groups,
        "paths": paths,
        "call_s": call_s,
        "segments": segments,
        "force_calls": calls,
        "wall_s": round(wall, 1),
        "calls_per_s": round(calls / wall, 1),
        "busy": busy / 100.0,
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", default="64", help="numbers of groups, for example 16,64,256")
    parser.add_argument("--paths", type=int, default=64, help="paths that are refined")
    parser.add_argument("--call", type=float, default=0.2, help="seconds of a force call")
    parser.add_argument("--out", type=Path, help="file for the table (JSON)")
    args = parser.parse_args()
    rows = []
    print("groups  paths  segments  force calls    wall  calls/s  busy")
    for groups in map(int, args.groups.split(",")):
        row = measure(groups, args.paths, args.call)
        rows.append(row)
        print(
            "{groups:6}  {paths:5}  {segments:8}  {force_calls:11}  {wall_s:4.0f} s  {calls_per_s:7.1f}  "
            "{busy:4.2f}".format(**row),
            flush=True,
        )
    summary = {f"busy_{row['groups']}": row["busy"] for row in rows}
    if args.out is not None:
        write_table(args.out, rows, summary)
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
