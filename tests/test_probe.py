"""What ``prepare probe`` proposes: on real systems, and on drags made up to be chosen from."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from mapmpi.config import merged, parse
from mapmpi.prepare.drag import Drag, Settings, cheapest, softest
from mapmpi.prepare.run import main

INPUT = ROOT / "inputs" / "nickel-hydrogen.yaml"


def drag(stiffness: float, step: float, calls: int, climb: float, left: float = 0.0, failure: str = "") -> Drag:
    """Return a drag of which only settings, climb and what is left over count."""
    return Drag(Settings(stiffness, step, calls), climb, 0.1, 0.2, 0.1, 0.1, left, 0.0, failure)


REFERENCE = drag(400, 0.1, 160, 1.0)


def test_the_cheapest_that_climbs_as_the_reference_does() -> None:
    dear, cheap = drag(100, 0.2, 40, 1.01), drag(100, 0.4, 20, 1.04)
    by_chance = drag(100, 0.4, 10, 1.0, left=0.3)
    broken = drag(100, 0.6, 10, float("nan"), failure="lost atoms")
    assert cheapest([dear, cheap, by_chance, broken], REFERENCE) == (cheap, 0.05)
    rough, rougher = drag(100, 0.2, 20, 1.15), drag(100, 0.4, 10, 1.18)
    assert cheapest([rough, rougher], REFERENCE) == (rougher, 0.2)
    far, farther = drag(100, 0.2, 20, 1.3), drag(100, 0.2, 10, 1.5)
    assert cheapest([farther, far, broken], REFERENCE) == (far, None)
    assert cheapest([broken], REFERENCE) == (REFERENCE, None)


def test_the_softest_tether_from_which_on_all_agree() -> None:
    climbs = {25.0: 1.0, 50.0: 0.7, 100.0: 0.98, 200.0: 1.0}  # the softest agrees by chance
    assert softest([drag(k, 0.2, 80, climb) for k, climb in climbs.items()], REFERENCE) == 100.0
    assert softest([drag(25, 0.2, 80, 0.2), drag(50, 0.2, 80, 0.3)], REFERENCE) == 50.0


@pytest.mark.lammps
@pytest.mark.parametrize("setting", [[], ["--set", "dynamics.relaxation=md", "--length", "1"]])
def test_hydrogen_in_nickel(tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: list[str]) -> None:
    """Straight on are 0.574 eV (an independent NEB); a tether of 25 kcal/mol/Å², 1.1 eV/Å², slips over the pass."""
    output = tmp_path / "probed.yaml"
    words = ["probe", str(INPUT), "--output", str(output), *setting]
    assert main(words) == 0
    said, text = capsys.readouterr().out, output.read_text(encoding="utf-8")
    assert text.rstrip() in said
    tree = yaml.safe_load(text)
    assert set(tree) == {"tether", "actions", "dynamics", "rewards"}
    assert tree["tether"]["spring_constant"] >= 50
    if not setting:
        assert "energy climbs by 0.57" in text
        assert "25: climb 0.3" in text
    config = parse(merged(yaml.safe_load(INPUT.read_text(encoding="utf-8")), tree))
    assert config.tether.limit >= 2 * config.actions.displacement
    assert main(words) == 2  # the file is there


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nothing.yaml"], "nothing.yaml"),
        ([str(INPUT), "--output", "nowhere/probed.yaml"], "no folder nowhere"),
        ([str(INPUT), "--set", "tether.limits=1"], "did you mean"),
        ([str(INPUT), "--set", "forcefield={simulated: {seconds: 1}}"], "forcefield.simulated has no forces"),
    ],
)
def test_mistakes_are_told(words: list[str], complaint: str, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["probe", *words]) == 2
    assert complaint in caplog.text
