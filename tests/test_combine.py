"""Medians over glasses: by hand, against the distribution they are drawn from, and of run directories."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from reported import make_run, refine
from test_pathway_files import pathway

from mapmpi import cli
from mapmpi.path.diffusion import Diffusion
from mapmpi.path.pathway import Pathway
from mapmpi.pneb import diffusion
from mapmpi.report.combine import median_and_interval


def test_medians_by_hand() -> None:
    assert median_and_interval([1e-3, 1e3, 1.0])[0] == pytest.approx(1.0)
    assert median_and_interval([1e-2, 1e2])[0] == pytest.approx(1.0)  # of logarithms
    # of two glasses a quarter of the draws each is twice the one or twice the other: the interval is their range
    assert median_and_interval([1e-2, 1e2])[1:] == pytest.approx((1e-2, 1e2))
    value, low, high = median_and_interval([5.0])
    assert value == 5.0
    assert np.isnan([low, high]).all()
    for wrong in ([], [1.0, np.inf], [0.0]):
        with pytest.raises(ValueError, match="median"):
            median_and_interval(wrong)


def test_the_interval_holds_the_true_median_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    hits = [
        low <= 1.0 <= high
        for _, low, high in (median_and_interval(random.lognormal(0, 2, 15)) for _ in range(200))
    ]
    assert 0.88 < np.mean(hits) < 0.99


def shifted(barrier: float, glass: int, name: str) -> Pathway:
    """A pathway of one hop in a glass of its own."""
    found = pathway(barrier, name=name)
    found.atoms.positions[4] += 0.5 * glass
    for place in found.basins:
        place.positions[4] += 0.5 * glass
    return found


def test_runs_of_several_glasses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [tmp_path / name for name in ("a", "a-again", "b", "c")]
    # two runs in the first glass, whose faster pathway counts
    for folder, barrier, glass in zip(folders, (1.2, 1.0, 0.9, 1.1), (0, 0, 1, 2), strict=True):
        refine(make_run(folder), shifted(barrier, glass, "one"), shifted(1.5, glass, "two"))
    out = tmp_path / "combined.csv"
    assert cli.main(["combine", *map(str, folders), "--output", str(out)]) == 0
    told = capsys.readouterr().out
    assert "8 pathways, 3 glasses" in told
    assert "Fewer than 6 glasses" in told
    assert max(map(len, told.splitlines())) <= 80
    with open(out, newline="") as handle:
        row = next(csv.DictReader(handle))
    kelvin = float(row["temperature_K"])
    times = {barrier: pathway(barrier).passage_time_s("hbar", kelvin) for barrier in (0.9, 1.0, 1.1)}
    assert row["glasses"] == "3"
    assert float(row["passage_time_s"]) == pytest.approx(times[1.0])
    assert float(row["passage_time_s_low"]) == pytest.approx(times[0.9])
    assert float(row["passage_time_s_high"]) == pytest.approx(times[1.1])
    assert row["pathways"] == "8"
    assert float(row["fastest_s"]) == pytest.approx(times[0.9])
    assert float(row["slowest_s"]) == pytest.approx(pathway(1.5).passage_time_s("hbar", kelvin))
    assert "One by one the pathways take from" in told
    # 3 Å: (3e-8 cm)² / 2t
    assert float(row["diffusion_cm2_s"]) == pytest.approx(4.5e-16 / times[1.0], rel=1e-6)


def test_what_cannot_be_combined_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refine(make_run(tmp_path / "a"), pathway(1.0))
    make_run(tmp_path / "empty")
    assert cli.main(["combine", str(tmp_path / "a"), str(tmp_path / "empty")]) == 2
    assert "has no refined pathway" in capsys.readouterr().err
    refine(make_run(tmp_path / "h"), pathway(1.0))
    file = tmp_path / "h" / "pathways" / "pathways.csv"
    file.write_text(file.read_text().replace("hbar", "h"))
    assert cli.main(["combine", str(tmp_path / "a"), str(tmp_path / "h")]) == 2
    assert "give runs of one kind" in capsys.readouterr().err


def tensor_file(run: Path, xx: float, through: str = "xyz", xy: float = 0.0, kelvin: float = 500.0) -> None:
    """Write a diffusion.csv of D = xx along x, twice that along y, three times along z."""
    axes = tuple(axis in through for axis in "xyz")
    d = np.diag([xx, 2 * xx, 3 * xx]) * np.outer(axes, axes)
    d[0, 1] = d[1, 0] = xy
    diffusion.write_diffusion(
        run / "pathways" / "diffusion.csv", {(kelvin, "classical"): Diffusion(d, axes)}, "hbar"
    )


def test_tensors_of_several_glasses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [tmp_path / name for name in ("a", "a-again", "b", "c", "d")]
    for folder, glass in zip(folders, (0, 0, 1, 2, 3), strict=True):
        refine(make_run(folder), shifted(1.0, glass, "one"))
    tensor_file(folders[0], 1e-12)
    tensor_file(folders[1], 1e-10, xy=-1e-11)  # knows more ways through the same glass
    tensor_file(folders[2], 1e-8, xy=1e-9)
    tensor_file(folders[3], 1e-9, through="y")
    tensor_file(folders[4], 0.0, through="")
    out = tmp_path / "combined.csv"
    assert cli.main(["combine", *map(str, folders), "--output", str(out)]) == 0
    told = capsys.readouterr().out
    assert "D of a walker on the networks, 4 glasses" in told
    assert max(map(len, told.splitlines())) <= 80
    with open(tmp_path / "combined-tensor.csv", newline="") as handle:
        rows = {row["entry"]: row for row in csv.DictReader(handle)}
    assert list(rows) == ["xx", "yy", "zz", "xy", "xz", "yz", "mean"]
    assert {row["temperature_K"] for row in rows.values()} == {"500"}
    assert [rows[entry]["glasses"] for entry in ("xx", "yy", "zz", "xy", "mean")] == ["2", "3", "2", "2", "2"]
    assert float(rows["xx"]["d_cm2_s"]) == pytest.approx(1e-9)  # the median of logarithms of 1e-10 and 1e-8
    assert float(rows["yy"]["d_cm2_s"]) == pytest.approx(2e-9)
    assert float(rows["mean"]["d_cm2_s"]) == pytest.approx(2e-9)
    low, high = float(rows["xx"]["d_cm2_s_low"]), float(rows["xx"]["d_cm2_s_high"])
    assert (low, high) == pytest.approx((1e-10, 1e-8))
    assert float(rows["xy"]["d_cm2_s"]) == pytest.approx((1e-9 - 1e-11) / 2)
    assert float(rows["xy"]["d_cm2_s_low"]) == pytest.approx(-1e-11)


def test_tensors_are_read_as_they_were_written(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    found = {}
    for kelvin in (300.0, 623.15):
        root = random.normal(size=(3, 3))
        found[kelvin, "classical"] = Diffusion(1e-9 * root @ root.T, (True, True, True))
    found[300.0, "quantum"] = Diffusion(np.diag([1e-7, 0.0, 0.0]), (True, False, False))
    diffusion.write_diffusion(tmp_path / "diffusion.csv", found, "vineyard")
    again = diffusion.read_diffusion(tmp_path / "diffusion.csv")
    assert list(again) == list(found)
    for key, one in found.items():
        assert again[key].through == one.through
        np.testing.assert_allclose(again[key].tensor_cm2_s, one.tensor_cm2_s, rtol=1e-6)
    assert diffusion.read_diffusion(tmp_path / "nothing.csv") == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [("500", "nan"), ("classical", "classical,one more"), ("d_xx", "d_x"), ("1e-12", "x")],
)
def test_a_damaged_table_of_d_is_told(
    tmp_path: Path, old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refine(make_run(tmp_path / "a"), pathway(1.0))
    tensor_file(tmp_path / "a", 1e-12)
    file = tmp_path / "a" / "pathways" / "diffusion.csv"
    file.write_text(file.read_text().replace(old, new))
    assert cli.main(["combine", str(tmp_path / "a")]) == 2
    error = capsys.readouterr().err
    assert "is no table of D" in error
    assert len(error.splitlines()) == 1


def test_without_ways_through_there_is_no_tensor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refine(make_run(tmp_path / "a"), pathway(1.0))
    assert cli.main(["combine", str(tmp_path / "a")]) == 0
    assert "no run has pathways/diffusion.csv" in capsys.readouterr().out
    tensor_file(tmp_path / "a", 0.0, through="")
    assert cli.main(["combine", str(tmp_path / "a")]) == 0
    assert "the network of no glass leads through its cell" in capsys.readouterr().out
