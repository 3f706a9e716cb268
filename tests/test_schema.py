"""The JSON Schema of the input: it takes what mapmpi takes, and refuses what a slip makes."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
import yaml
from conftest import ROOT

from mapmpi.cli import main
from mapmpi.config.schema import input_schema, reference

SMALL = {"structure": {"file": "x.data", "tagged_atoms": [1]}, "goal": {"distance": 5}}


@pytest.fixture(scope="module")
def checker() -> jsonschema.Draft202012Validator:
    """Return what checks an input by the schema."""
    return jsonschema.Draft202012Validator(input_schema())


def test_the_command_prints_a_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema == input_schema()
    assert schema["$defs"]["Goal"]["properties"]["distance"]["description"].startswith("Å ")
    assert '"gt"' not in json.dumps(schema)  # no keyword of JSON Schema: a duration's bound would say nothing


@pytest.mark.parametrize("name", sorted(file.name for file in (ROOT / "inputs").glob("*.yaml")))
def test_the_inputs_are_valid(name: str, checker: jsonschema.Draft202012Validator) -> None:
    checker.validate(yaml.safe_load((ROOT / "inputs" / name).read_text()))


@pytest.mark.parametrize(
    "more",
    [
        {"train": {"stop": {"wall_time": "10min"}}},
        {"train": {"stop": {"wall_time": "01:30:00"}}},
        {"train": {"stop": {"wall_time": "job", "actions": 5, "job_margin": 90}}},
        {"structure": {"file": "x.data", "tagged_atoms": [1], "fixed_atoms": {"axis": "z", "below": 5.0}}},
        {"structure": {"file": "x.data", "tagged_atoms": [1], "fixed_atoms": [2, 3]}},
        {"actions": {"directions": [[1, 0, 0], [0, 1, 0]]}},
        {"forcefield": {"ase": "eam", "arguments": {"potential": "file"}}},
    ],
)
def test_what_may_be_written_is_valid(more: dict[str, Any], checker: jsonschema.Draft202012Validator) -> None:
    checker.validate({**SMALL, **more})


@pytest.mark.parametrize(
    "more",
    [
        {"leraning": {}},
        {"learning": {"discont": 0.9}},
        {"learning": {"discount": 1.5}},
        {"mode": "papr"},
        {"train": {"stop": {"wall_time": "soon"}}},
        {"train": {"stop": {"wall_time": 0}}},
        {"actions": {"directions": [[1, 0]]}},
        {"structure": {"file": "x.data"}},
    ],
)
def test_slips_are_not(more: dict[str, Any], checker: jsonschema.Draft202012Validator) -> None:
    assert not checker.is_valid({**SMALL, **more})


def test_the_reference_has_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    page, section = reference(), ""
    told = set()
    for line in page.splitlines():
        if line.startswith("#"):
            section = line.split()[1] + "."
        elif line.startswith("| `"):
            told.add(section + line.split("`")[1])
    main(["keys"])
    printed = set(re.findall(r"^  (\S+) = ", capsys.readouterr().out, re.MULTILINE))
    assert printed <= told
    inside = ("structure.fixed_atoms.", "forcefield.simulated.")  # sections that one may leave out
    assert {key for key in told - printed if not key.startswith(inside)} == set()
    assert "``" not in page
