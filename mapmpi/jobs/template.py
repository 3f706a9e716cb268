"""The templates and how they are filled in: lines that are there already get other values, as by an editor."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

PHASES = ("train", "pneb")
SCHEDULERS = ("slurm", "pbs")
SUBMIT = {"slurm": "sbatch", "pbs": "qsub"}
"""The command that sends a job."""
LAUNCH = {"slurm": "srun", "pbs": "mpiexec"}
"""What usually starts the ranks."""
_NAME_LENGTH = 15
"""Characters of a job's name that every PBS takes."""


@dataclass(frozen=True)
class Job:
    """What a job script has to say. ``name`` is the input's; ``time`` is hours:minutes:seconds of one job."""

    name: str
    input: Path
    run_dir: Path
    folder: Path
    scheduler: str
    nodes: int
    ranks_per_node: int
    time: str
    gpus_per_node: int = 0
    queue: str | None = None
    account: str | None = None
    max_jobs: int = 20
    python: str = "python"
    launch: list[str] = field(default_factory=lambda: ["mpiexec"])
    setup: list[str] = field(default_factory=list)
    options: dict[str, list[str]] = field(default_factory=dict)
    """More words for the program of each phase."""

    @property
    def ranks(self) -> int:
        """How many ranks there are."""
        return self.nodes * self.ranks_per_node

    def file(self, phase: str) -> Path:
        """Return where the script of a phase is written."""
        return self.folder / f"{self.name}-{phase}.{self.scheduler}"

    def script(self, phase: str) -> str:
        """Return the script of a phase: its template with the values of this job."""
        template = Path(__file__).with_name("templates") / f"{phase}.{self.scheduler}"
        lines = (self._slurm if self.scheduler == "slurm" else self._pbs)(phase)
        lines["RUN_DIR="] = shlex.quote(str(self.run_dir))
        lines["PNEB_JOB="] = shlex.quote(str(self.file("pneb")))
        if phase == "train":
            lines["INPUT="] = shlex.quote(str(self.input))
            lines["TRAIN_JOB="] = shlex.quote(str(self.file("train")))
        lines["MAX_JOBS="] = str(self.max_jobs)
        lines["GPUS="] = str(self.gpus_per_node)
        lines["OPTIONS="] = f"({shlex.join(self.options.get(phase, []))})"
        lines["PYTHON="] = shlex.quote(self.python)
        lines["LAUNCH="] = f"({shlex.join(self.launch)})"
        text = fill(template.read_text(encoding="utf-8"), lines)
        return fill(text, {"module load ": "\n".join(self.setup)}, whole=True) if self.setup else text

    def _job_name(self, phase: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9_]", "_", self.name)
        plain = plain if plain[:1].isalpha() else f"m{plain}"
        return f"{plain[: _NAME_LENGTH - 1 - len(phase)]}-{phase}"

    def _slurm(self, phase: str) -> dict[str, str]:
        words = {
            "job-name": self._job_name(phase),
            "nodes": str(self.nodes),
            "ntasks-per-node": str(self.ranks_per_node),
            "time": self.time,
            "partition": self.queue,
            "account": self.account,
            "gpus-per-node": str(self.gpus_per_node) if self.gpus_per_node else None,
        }
        return {f"#SBATCH --{word}=": value for word, value in words.items() if value is not None}

    def _pbs(self, phase: str) -> dict[str, str]:
        gpus = f":ngpus={self.gpus_per_node}" if self.gpus_per_node else ""
        words = {
            "-N ": self._job_name(phase),
            "-l select=": f"{self.nodes}:ncpus={self.ranks_per_node}:mpiprocs={self.ranks_per_node}{gpus}",
            "-l walltime=": self.time,
            "-q ": self.queue,
            "-A ": self.account,
        }
        return {f"#PBS {word}": value for word, value in words.items() if value is not None}


def fill(text: str, lines: dict[str, str], whole: bool = False) -> str:
    """Return a template in which the line that begins so, switched off by a # or not, has that value.

    With ``whole`` the value takes the place of the whole line. Raises ValueError unless there is just one such line.
    """
    for begin, value in lines.items():
        found = re.findall(rf"^#?{re.escape(begin)}.*\n", text, flags=re.MULTILINE)
        if len(found) != 1:
            raise ValueError(f"{len(found)} lines of the template begin with {begin!r}, expected one")
        text = text.replace(found[0], f"{'' if whole else begin}{value}\n")
    return text
