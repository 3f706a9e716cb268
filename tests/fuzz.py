"""Feed damaged and hostile files to everything in mapmpi that reads files.

    python tests/fuzz.py --inputs 10000 --seed 1

Every case must end within 5 s, in less than 1 GB, with a value or with one sentence (UserError). The last line is
JSON: inputs, tracebacks (any other exception, and crashes), slow, largest_mb. A case depends on the seed and on its
number alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import IO, Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from fuzz_corpus import make  # noqa: E402  (found on the path that was just set)
from fuzz_mutations import mutated  # noqa: E402

from mapmpi.errors import UserError  # noqa: E402

SLOW_S = 5.0
LARGEST_MB = 1000.0
CEILING_BYTES = 6 << 30
"""Address space at which a case is stopped, so that the machine lives."""

LONGEST_MESSAGE = 4000
"""Characters of a message that somebody may want to read."""


@dataclass
class Report:
    """What came of the cases."""

    inputs: int = 0
    refused: int = 0
    tracebacks: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    largest_mb: float = 0.0
    longest_s: float = 0.0

    def line(self) -> str:
        """Return the figures as a line of JSON."""
        figures: dict[str, Any] = {
            "inputs": self.inputs,
            "tracebacks": len(self.tracebacks),
            "slow": len(self.slow),
        }
        return json.dumps(
            {**figures, "largest_mb": round(self.largest_mb, 1), "longest_s": round(self.longest_s, 2)}
        )


def fuzz(inputs: int, seed: int, tell: bool = False, only: str = "") -> Report:
    """Run so many cases in a process of its own, which is replaced where it hangs or dies."""
    report = Report()
    folder = Path(tempfile.mkdtemp(prefix="mapmpi-fuzz-"))
    try:
        while report.inputs < inputs:
            _run_worker(report, inputs, seed, folder, tell, only)
    finally:
        shutil.rmtree(folder)
    return report


def _run_worker(report: Report, inputs: int, seed: int, folder: Path, tell: bool, only: str) -> None:
    """Run cases from where the report is until all are done or the worker is lost."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            _work(pipe, range(report.inputs, inputs), seed, folder, only)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        while report.inputs < inputs:
            ready, _, _ = select.select([pipe], [], [], 6 * SLOW_S)
            line = pipe.readline() if ready else ""
            if not line:
                break
            _take(report, json.loads(line))
            if tell and report.inputs % 500 == 0:
                print(f"{report.inputs} cases, {report.refused} refused: {report.line()}", flush=True)
    if report.inputs < inputs:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if report.inputs < inputs:
        what = f"case {report.inputs}: " + ("hangs" if not ready else f"killed its process (status {status})")
        (report.slow if not ready else report.tracebacks).append(what)
        report.inputs += 1


def _take(report: Report, answer: dict[str, Any]) -> None:
    report.inputs += 1
    name = f"case {report.inputs - 1}, {answer['name']}: "
    report.refused += answer["refused"]
    report.longest_s = max(report.longest_s, answer["seconds"])
    report.largest_mb = max(report.largest_mb, answer["mb"])
    if answer["problem"]:
        report.tracebacks.append(name + answer["problem"])
    if answer["seconds"] > SLOW_S:
        report.slow.append(name + f"{answer['seconds']:.1f} s")


def _work(pipe: IO[str], cases: range, seed: int, folder: Path, only: str) -> None:
    """Be the worker: an answer for each case."""
    resource.setrlimit(resource.RLIMIT_AS, (CEILING_BYTES, resource.RLIM_INFINITY))
    whole = folder / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    whole.mkdir()
    files = {name: pair for name, pair in make(whole).items() if only in name}
    originals = {name: path.read_bytes() for name, (path, _) in files.items()}
    for name, (path, read) in files.items():
        read(path)  # whole files are read, and what is imported late does not count for a case
        path.write_bytes(originals[name])
    for number in cases:
        random = Random(f"{seed}/{number}")
        name = random.choice(sorted(files))
        path, read = files[name]
        path.write_bytes(mutated(name, originals[name], random))
        answer: dict[str, Any] = {"name": name, "refused": False, "problem": ""}
        _forget_peak()
        began = time.monotonic()
        try:
            read(path)
        except UserError as error:
            answer["refused"] = True
            if len(str(error)) > LONGEST_MESSAGE:
                answer["problem"] = f"a message of {len(str(error))} characters: {str(error)[:200]}"
        except BaseException:
            answer["problem"] = traceback.format_exc(limit=-4)
        answer |= {"seconds": time.monotonic() - began, "mb": _peak_mb()}
        print(json.dumps(answer), file=pipe, flush=True)


def _forget_peak() -> None:
    """Start to measure the largest memory anew, where the system can."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as handle:
            handle.write("5")
    except OSError:
        pass


def _peak_mb() -> float:
    """Return the largest memory of this process since :func:`_forget_peak`, or else since it began."""
    try:
        with open("/proc/self/status", encoding="ascii") as handle:
            return next(int(line.split()[1]) / 1024 for line in handle if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Run what the command line asks for; return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--inputs", type=int, default=10_000, help="number of cases")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", metavar="WORD", help="files with this in their names")
    args = parser.parse_args()
    report = fuzz(args.inputs, args.seed, tell=True, only=args.only)
    for problem in [*report.tracebacks, *report.slow][:40]:
        print(problem)
    print(report.line())
    return 1 if report.tracebacks or report.slow or report.largest_mb > LARGEST_MB else 0


if __name__ == "__main__":
    sys.exit(main())
