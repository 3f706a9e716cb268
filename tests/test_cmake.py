"""The build of LAMMPS as far as its first step goes, and the check of what is installed.

The build itself takes many minutes: `cmake --preset cpu -D LAMMPS_SOURCE=…` ends with that check.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Done, mpiexec
from mpi4py import MPI
from test_check import check, lines

from mapmpi.check import material, mpi
from mapmpi.check.installation import try_step
from mapmpi.check.material import find_lammps
from mapmpi.check.mpi import Called, called_by, called_by_mpi4py, file_of
from mapmpi.check.page import Page
from mapmpi.md import library as library_module
from mapmpi.md.library import OLDEST, Build, library

PRESETS = ["cpu", "openmp", "cuda", "hip", "sycl"]
NEEDS_CMAKE = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")


def cmake(*words: object) -> Done:
    command = ["cmake", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=120)


@NEEDS_CMAKE
def test_all_presets_are_listed_and_can_be_built() -> None:
    listed = cmake("--list-presets").stdout
    assert [name for name in PRESETS if f'"{name}"' in listed] == PRESETS
    listed = cmake("--build", "--list-presets").stdout
    assert [name for name in PRESETS if f'"{name}"' in listed] == PRESETS


def test_gpu_presets_name_their_architecture() -> None:
    presets = {
        one["name"]: one for one in json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]
    }
    assert [name for name, one in presets.items() if "GPU_ARCH" in one.get("cacheVariables", {})] == PRESETS[2:]


def fake_source(folder: Path, date: str) -> Path:
    """Make what looks like LAMMPS's source of a date until its own CMakeLists.txt is read; return the folder."""
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "version.h").write_text(f'#define LAMMPS_VERSION "{date}"\n')
    (folder / "cmake" / "Modules").mkdir(parents=True)
    (folder / "cmake" / "CMakeLists.txt").write_text('message(FATAL_ERROR "as far as LAMMPS")\n')
    (folder / "cmake" / "Modules" / "LAMMPSUtils.cmake").write_text(
        "function(get_lammps_version header variable)\n"
        '  file(READ ${header} text)\n  set(date 20250204)\n  if(text MATCHES "2021")\n    set(date 20210929)\n'
        "  endif()\n  set(${variable} ${date} PARENT_SCOPE)\nendfunction()\n"
    )
    return folder


@NEEDS_CMAKE
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "LAMMPS_SOURCE is not set"),
        ("nowhere", "nowhere does not exist"),
        ("empty", "so it is not LAMMPS's source"),
        ("empty.tar.gz", "so it is not LAMMPS's source"),
        ("old", "mapmpi needs one of 20240829 or newer"),
    ],
)
def test_a_wrong_source_is_refused(source: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    shutil.make_archive(str(tmp_path / "empty"), "gztar", tmp_path, "empty")
    fake_source(tmp_path / "old", "29 Sep 2021")
    done = cmake("-S", ROOT, "-B", tmp_path / "build", f"-DLAMMPS_SOURCE={tmp_path / source if source else ''}")
    assert done.returncode != 0
    words = " ".join(done.stderr.split())
    assert said in words
    assert "-D LAMMPS_SOURCE=PATH" in words


@NEEDS_CMAKE
def test_a_source_without_kokkos_is_refused_for_gpus(tmp_path: Path) -> None:
    source = fake_source(tmp_path / "lammps", "4 Feb 2025")
    for preset in PRESETS[2:]:
        done = cmake("--preset", preset, "-S", ROOT, "-B", tmp_path / preset, f"-DLAMMPS_SOURCE={source}")
        assert done.returncode != 0
        assert "has no lib/kokkos" in done.stderr


@NEEDS_CMAKE
@pytest.mark.parametrize("packed", [False, True])
def test_a_right_source_meets_the_mpi_of_mpi4py(packed: bool, tmp_path: Path) -> None:
    source = fake_source(tmp_path / "lammps", "4 Feb 2025")
    if packed:
        source = Path(shutil.make_archive(str(tmp_path / "packed"), "gztar", tmp_path, "lammps"))
    done = cmake(
        "-S", ROOT, "-B", tmp_path / "build", f"-DLAMMPS_SOURCE={source}", f"-DPython_EXECUTABLE={sys.executable}"
    )
    if "could not find any working MPI" in done.stderr or "CMAKE_CXX_COMPILER" in done.stderr:
        pytest.skip("no C++ compiler, or no MPI compiler")
    assert "as far as LAMMPS" in done.stderr, done.stderr
    assert f"MPI: {called_by_mpi4py().file}, by " in done.stdout


def test_oldest_is_one() -> None:
    assert f"set(OLDEST {OLDEST.replace('-', '')})" in (ROOT / "CMakeLists.txt").read_text()


@pytest.mark.lammps
def test_lammps_and_mpi4py_call_one_mpi() -> None:
    assert called_by(library()) == called_by_mpi4py()
    assert called_by_mpi4py().version == MPI.Get_library_version().rstrip("\0")
    with pytest.raises(OSError, match="knows no no_such_function"):
        file_of(library(), "no_such_function")
    with pytest.raises(OSError, match=r"no-such-library"):
        called_by("no-such-library.so")


@pytest.mark.lammps
@pytest.mark.mpi
def test_an_installation_on_two_ranks() -> None:
    done = mpiexec(2, "-m", "mapmpi.check")
    assert done.returncode == 0, done.stdout + done.stderr
    good = lines(done.stdout, "ok")
    assert "2 ranks on 1 node" in good
    assert f"both call {' '.join(called_by_mpi4py().words.split())}"[:40] in good
    assert "one step of 24 atoms on 2 ranks together: -82.8" in good


@pytest.mark.lammps
def test_an_installation_on_one_rank(capsys: pytest.CaptureFixture[str]) -> None:
    code, page = check(capsys=capsys)
    assert code == 0, page
    assert "on 1 rank together" in lines(page, "ok")
    code = check("--set", "seed=1", capsys=capsys)[0]
    assert code == 2


@pytest.mark.lammps
@pytest.mark.parametrize(
    ("build", "verdict", "said"),
    [
        (Build("2021-09-29", frozenset(["REAXFF"])), "fails", "too old"),
        (Build("2025-02-04", frozenset()), "fails", "without REAXFF"),
        (Build("2025-02-04", frozenset(["REAXFF"])), "note", "silica cannot be melted"),
    ],
)
def test_what_is_missing_is_named(
    build: Build, verdict: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(library_module, "installed", lambda: build)
    assert (find_lammps(Page(), None) is None) == (verdict == "fails")
    assert said in lines(capsys.readouterr().out, verdict)


@pytest.mark.lammps
def test_two_mpis_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def find(called: Called | OSError) -> str:
        def answer(_: str) -> Called:
            if isinstance(called, OSError):
                raise called
            return called

        monkeypatch.setattr(material, "called_by", answer)
        assert find_lammps(Page(), None) is None
        return lines(capsys.readouterr().out, "fails")

    assert "calls Open MPI v4 in /there/libmpi.so.40" in find(Called(Path("/there/libmpi.so.40"), "Open MPI v4"))
    assert "was built without MPI" in find(Called(file_of(library(), "lammps_version"), "LAMMPS MPI STUBS"))
    assert "does not load beside mpi4py (no libmpi" in find(OSError("no libmpi"))


@pytest.mark.lammps
def test_the_step_says_what_it_did() -> None:
    assert try_step(MPI.COMM_SELF).startswith("one step of 24 atoms on 1 rank together")
    assert mpi.called_by_mpi4py().file.exists()
