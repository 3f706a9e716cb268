"""What pip makes of the sources: a wheel that has all that it needs and works far from them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

import mapmpi

SOURCES = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "mapmpi", "inputs", "jobs")


def run(*words: object, cwd: Path) -> str:
    """Run a command that knows nothing of this checkout; return what it printed."""
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = list(map(str, words))
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=outside, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel built from a copy of the sources, links and all, so that nothing stays in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source, copy = ROOT / name, folder / "sources" / name
        if source.is_dir():
            shutil.copytree(source, copy, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            copy.parent.mkdir(exist_ok=True)
            shutil.copy(source, copy)
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    run(*pip, "--wheel-dir", folder, "./sources", cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_every_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA"))).decode()
        entries = archive.read(next(name for name in names if name.endswith("/entry_points.txt"))).decode()
    tracked = [file for file in (ROOT / "mapmpi").rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    beside = {f"mapmpi/env/inputs/{file.name}" for file in (ROOT / "inputs").iterdir() if file.is_file()}
    beside |= {f"mapmpi/jobs/templates/{file.name}" for file in (ROOT / "jobs").iterdir() if file.is_file()}
    assert {str(file.relative_to(ROOT)) for file in tracked} | beside <= names
    assert "mapmpi/py.typed" in names
    assert not [name for name in names if not name.startswith(("mapmpi/", "mapmpi-"))]
    assert "mapmpi = mapmpi.cli:main" in entries
    assert any(name.endswith("LICENSE") for name in names)
    for part in ("Provides-Extra: laptop", "Classifier: Typing :: Typed", "Requires-Python: >=3.10"):
        assert part in metadata


def test_the_wheel_works_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    # the libraries are those of this environment, less mapmpi itself: .pth files of an added folder are not read
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index")
    run(*pip, "--ignore-installed", wheel, cwd=tmp_path)
    where = run(python, "-c", "import mapmpi; print(mapmpi.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(site)
    command = tmp_path / "venv" / "bin" / "mapmpi"
    assert "usage: mapmpi COMMAND" in run(command, cwd=tmp_path)
    assert "goal.distance = required" in run(command, "keys", cwd=tmp_path)
    assert "CopperAdatom" in run(
        python, "-c", "import mapmpi; print(mapmpi.make('mapmpi/CopperAdatom-v0').spec.id)", cwd=tmp_path
    )
    asked = ("mapmpi/jobs/templates/train.slurm", "mapmpi/report/page.html")
    assert all((site / name).is_file() for name in asked)


def test_the_citation_is_of_this_version_and_has_what_the_format_asks_for() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["version"] == mapmpi.__version__
    assert f'version="{mapmpi.__version__}"' in (ROOT / "setup.py").read_text()
    assert citation["authors"] == [{"name": "The mapmpi developers"}]
    assert all({"type", "title", "authors"} <= work.keys() for work in citation["references"])
