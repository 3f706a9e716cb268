"""LAMMPS commands of an input: what defines forces passes, what runs programs or writes files does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mapmpi.commands import refusal
from mapmpi.config import load
from mapmpi.errors import UserError
from mapmpi.prepare.arguments import read_forcefield


@pytest.mark.parametrize(
    "command",
    [
        "pair_style eam/alloy",
        "pair_coeff * * Cu_mishin1.eam.alloy {elements}",
        "pair_coeff * * /home/müller/SiO.1990.vashishta {elements}",
        'pair_coeff * * "/some where/SiO.1990.vashishta" {elements}',
        "pair_style hybrid/overlay lj/cut 10.0 coul/long 10.0",
        "pair_style reaxff NULL",
        "fix charges all qeq/reaxff 1 0.0 10.0 1.0e-6 reaxff",
        "fix charges all qeq/reaxff/kk 1 0.0 10.0 1.0e-6 reaxff",
        "fix wall all wall/lj93 zlo 0.0 1.0 1.0 2.5",
        "kspace_style pppm 1e-4",
        "variable k equal 3*PI",
        "group water type 1 2",
        "set type 1 charge 0.4",
        "special_bonds lj/coul 0 0 0.5",
        "compute bonds all property/local btype",
    ],
)
def test_what_defines_forces_passes(command: str) -> None:
    assert refusal([command]) is None


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("shell rm -r x", "shell"),
        ("  shell ls", "shell"),
        ('"shell" ls', "shell"),
        ("python f here x", "python"),
        ("include other.in", "include"),
        ("jump SELF", "jump"),
        ("log here", "log"),
        ("write_data x", "write_data"),
        ("write_restart x", "write_restart"),
        ("plugin load x.so", "plugin"),
        ("dump 1 all atom 1 x", "dump"),
        ("print hello file x", "print"),
        ("if 1 then 'shell ls'", "if"),
        ("read_data x", "read_data"),
        ("run 5 every 1 'shell ls'", "run"),
        ("Shell ls", "Shell"),
        ("", ""),
        ("fix 1 all print 1 hello file x", "print"),
        ('fix 1 all "print" 1 hello', "print"),
        ("fix 1 all python/invoke 1 end_of_step f", "python/invoke"),
        ("fix 1 all ave/time 1 1 1 c_x file y", "ave/time"),
        ("fix 1 all reaxff/species 1 1 1 x", "reaxff/species"),
        ("fix 1 all nve", "nve"),
        ("variable x shell ls", "shell"),
        ("variable x python f", "python"),
        ("variable x file name", "file"),
        ("variable x getenv HOME", "getenv"),
        ("pair_style python 5.0", "python"),
        ("pair_style hybrid lj/cut 5.0 python 5.0", "python"),
        ("pair_style mliap unified x.pkl", "mliap"),
        ("pair_style mliap/kk unified x.pkl", "mliap/kk"),
        ("compute 1 all mliap model x", "mliap"),
        ("fix 1 all ${style} x", "$"),
        ('group "all spring" type 1', '"all'),
        ("fix x 'all spring' print 1 here file there", "'all"),
        ("compute x all pe “y”", "“"),
        ("labelmap write there", "labelmap"),
    ],
)
def test_what_runs_programs_or_writes_files_does_not(command: str, word: str) -> None:
    reason = refusal(["pair_style lj/cut 5.0", command])
    assert reason is not None
    assert f"as {word!r} is not" in reason
    assert reason.endswith("or allow all commands if you trust this file")
    assert refusal([command], allowed=True) is None


@pytest.mark.parametrize(
    "command", ["pair_style zero 5\nshell ls", "pair_style zero\r", "mass \x00", "mass 1 " * 500]
)
def test_a_command_is_one_line_in_any_case(command: str) -> None:
    for allowed in (False, True):
        assert "is not one line" in str(refusal([command], allowed))


def test_the_input_and_the_forcefield_file_are_checked(tmp_path: Path) -> None:
    (tmp_path / "s.xyz").touch()
    tree = {
        "structure": {"file": "s.xyz", "tagged_atoms": [1]},
        "goal": {"distance": 5},
        "forcefield": {"commands": ["pair_style zero 5.0", "shell touch here"]},
    }
    path = tmp_path / "input.yaml"
    path.write_text(yaml.safe_dump(tree))
    with pytest.raises(UserError, match=r"input.yaml: forcefield.commands: 'shell touch here' is refused"):
        load(path)
    assert load(path, allow_commands=True).forcefield.commands == tree["forcefield"]["commands"]
    with pytest.raises(UserError, match=r"--forcefield .* 'shell touch here' is refused"):
        read_forcefield(path)
    assert read_forcefield(path, allow_commands=True).commands == tree["forcefield"]["commands"]
