"""Files of refined pathways: all is read back as it was, tables hold hand-worked numbers, ASE reads extxyz."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ase.io
import h5py
import numpy as np
import pytest
from ase import Atoms
from matplotlib.image import imread
from rich.console import Console
from rich.table import Table

from mapmpi.config import Config, Pneb
from mapmpi.errors import UserError
from mapmpi.panel import WIDTH
from mapmpi.path.assembly import fastest_pathway, pool
from mapmpi.path.matching import Matcher, StationaryPoint
from mapmpi.path.pathway import Hop, Pathway, Profile
from mapmpi.path.saddle import Saddle
from mapmpi.pneb import export, figure, record, table
from mapmpi.pneb.output import Output
from mapmpi.store.codec import Quantity
from mapmpi.store.pathway import read_tree, write_tree
from mapmpi.store.rundir import RunDirectory

CELL = np.array([[20.0, 0, 0], [-3.0, 18.0, 0], [1.0, 2.0, 17.0]])
DOUBTS = "the way down towards the end leads to another minimum, Å–²\n(0.3 → 0.4)"
FAILED = "not converged: a force of 0.31 eV/Å is left"
PAPER_K = 623.15


def at(way: float) -> np.ndarray:
    """Water whose O is ``way`` Å along x; one Si stands at x = 4.5 Å, another across the cell's border."""
    water = np.array([[0.0, 5, 5], [0.7, 5.6, 5], [-0.7, 5.6, 5]]) + [way, 0, 0]
    return np.vstack([water, [[4.5, 5, 5], [19.0, 5, 5]]])


def hop(start: StationaryPoint, end: StationaryPoint, top_ev: float, **changes: object) -> Hop:
    """A hop over a saddle half-way, with Vineyard's prefactors."""
    ways = np.linspace(start.positions[0, 0], end.positions[0, 0], 7)
    energies = np.interp(ways, ways[[0, 3, 6]], [start.energy, top_ev, end.energy])
    mode = np.eye(5, 3) / np.sqrt(3)
    found = Hop(
        band=np.array([at(way) for way in ways]),
        energies=energies,
        top=3,
        name="O1+Si4",
        remote=False,
        saddle=Saddle(at(ways[3]), top_ev, mode, 0.013, 57),
        verified=True,
        residual=0.0125,
        curvatures=np.array([-1.25, 0.5]),
        forward_hz=1.5e13,
        backward_hz=2.5e12,
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def pathway(*barriers: float, **changes: object) -> Pathway:
    """A pathway of hops of 3 Å between basins of -100 eV, with these barriers in eV."""
    basins = [StationaryPoint(at(3.0 * number), -100.0) for number in range(len(barriers) + 1)]
    found = Pathway(
        name="pathway-001",
        source="agent 3, episode 41",
        atoms=Atoms("OHHSi2", basins[0].positions, cell=CELL, pbc=[True, True, False]),
        tagged=(0,),
        molecule=(0, 1, 2),
        basins=list(basins),
        hops=[hop(basins[i], basins[i + 1], -100.0 + barrier) for i, barrier in enumerate(barriers)],
        before=Profile(-99.0 + np.sin(np.arange(40.0)), np.linspace(0, 3.0 * len(barriers), 40)),
        notes=("a detour of 4 frames was cut out", "ein Umweg – über Si12"),
        calls=4321,
    )
    return replace(found, **changes)  # type: ignore[arg-type]


MATCHER = Matcher.of(pathway(1.0).atoms, [0], Pneb(), held=False)


def doubtful() -> Pathway:
    """Three hops: verified, not verified and remote, and without a saddle."""
    found = pathway(1.0, 1.5, 0.5)
    nan = float("nan")
    found.hops[1] = replace(found.hops[1], verified=False, reason=DOUBTS, remote=True, name="Si4, 8.3 Å away")
    found.hops[2] = replace(
        found.hops[2], saddle=None, verified=False, reason=FAILED, residual=nan, forward_hz=nan, backward_hz=nan
    )
    return found


def with_a_pass_beside() -> Pathway:
    """One hop, and a saddle that leads from its end to somewhere else."""
    found = pathway(1.0)
    end, other = (StationaryPoint(at(x), energy) for x, energy in ((3.0, -100.0), (4.0, -99.8)))
    return replace(found, beside=(hop(end, other, -99.2),))


def same(first: object, second: object) -> None:
    """Compare dataclasses, arrays and plain values down to the last digit, and types too."""
    assert type(first) is type(second)
    if hasattr(first, "__dataclass_fields__"):
        for name in first.__dataclass_fields__:
            if name == "band":  # kept as float32
                np.testing.assert_allclose(getattr(first, name), getattr(second, name), rtol=0, atol=2e-6)
            else:
                same(getattr(first, name), getattr(second, name))
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second)  # type: ignore[arg-type]
        for one, other in zip(first, second, strict=True):  # type: ignore[call-overload]
            same(one, other)
    elif isinstance(first, Atoms):
        assert first == second
        same(first.get_masses(), second.get_masses())  # type: ignore[attr-defined]
    else:
        # NaN equals NaN here.
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "make", [doubtful, with_a_pass_beside, lambda: pathway(1.0, before=None, notes=()), pathway]
)
def test_what_is_saved_comes_back(tmp_path: Path, make: Callable[[], Pathway]) -> None:
    before = make()
    record.save(tmp_path / "one.h5", before, {})
    same(before, record.load(tmp_path / "one.h5"))
    assert [path.name for path in tmp_path.iterdir()] == ["one.h5"]


def test_a_pass_beside_an_earlier_pathway_is_part_of_the_network(tmp_path: Path) -> None:
    alone = pathway(1.5, 0.5)
    first, second = (StationaryPoint(at(x), -100.0) for x in (0.0, 3.0))
    beside = replace(alone, beside=(hop(first, second, -99.0),))
    record.save(tmp_path / "one.h5", beside, {})
    for one, barriers in ((alone, [1.5, 0.5]), (record.load(tmp_path / "one.h5"), [1.0, 0.5])):
        route = fastest_pathway([one], pool([one], MATCHER, "hbar"), "hbar", [623.15], 6.0)
        assert route is not None
        assert route.barriers_ev() == pytest.approx(barriers)


def test_a_pass_beside_a_pathway_is_read_from_files_of_before(tmp_path: Path) -> None:
    record.save(tmp_path / "one.h5", with_a_pass_beside(), {})
    with h5py.File(tmp_path / "one.h5", "r+") as file:
        file.move("beside", "later")
        between = file.create_group("beside/0001")
        between.attrs.create("type", b"SidePass", dtype="S8")
        file.move("later/0001", "beside/0001/hop")
        del file["later"]
    same(record.load(tmp_path / "one.h5").beside, with_a_pass_beside().beside)


def test_a_pathway_of_the_keys_of_before_is_one_of_the_same_settings(tmp_path: Path) -> None:
    tree = {"structure": {"file": "start.data", "tagged_atoms": [1]}, "goal": {"distance": 6.0}}
    output = Output(Config.model_validate(tree), RunDirectory(tmp_path), MATCHER)
    now = output._physics["pneb"]
    before = {**now, "searches": 10, "searches_at_once": 8}
    del before["connect"]
    assert "stride" not in before  # it came later, and changes no barrier
    for searches in (10, 11):
        stored = {**output._physics, "pneb": {**before, "searches": searches}}
        assert output._same_physics(stored) == (searches == 10)


def test_settings_and_units_are_in_the_file(tmp_path: Path) -> None:
    settings = {
        "forcefield": {"type": "reaxff", "text": "x" * 100_000},  # more than an old HDF5 attribute can hold
        "fmax": 0.05,
        "temperatures": [623.15, 300],
        "spring": None,
    }
    record.save(tmp_path / "one.h5", doubtful(), settings)
    assert record.load_settings(tmp_path / "one.h5") == settings
    with h5py.File(tmp_path / "one.h5") as file:
        assert json.loads(file.attrs["settings"]) == settings  # other programs read it, too
        assert file["atoms/tagged"][:].tolist() == [1]
        assert file["atoms/molecule"][:].tolist() == [1, 2, 3]
        assert file["hops/0001/band"].dtype == np.float32
        assert file["hops/0001/band"].compression == "gzip"
        assert file["basins/0001/positions"].attrs["unit"] == "Angstrom"
        assert file["hops/0002/curvatures"].attrs["unit"] == "eV/Angstrom^2"


def test_the_same_pathway_makes_the_same_file(tmp_path: Path) -> None:
    for name in ("one.h5", "two.h5"):
        record.save(tmp_path / name, doubtful(), {"fmax": 0.05})
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_a_tree_comes_back(tmp_path: Path) -> None:
    tree = {"some": {"numbers": Quantity(np.arange(3.0), "eV"), "empty": [], "on": True, "text": "Å"}}
    write_tree(tmp_path / "tree.h5", tree, {"count": 3})
    read, attributes = read_tree(tmp_path / "tree.h5")
    assert attributes == {"count": 3}
    np.testing.assert_array_equal(read["some"].pop("numbers"), np.arange(3.0))
    assert read == {"some": {"empty": [], "on": True, "text": "Å"}}
    assert read["some"]["on"] is True


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree.h5", {}, {"count": 3})
    with pytest.raises(TypeError):
        write_tree(tmp_path / "tree.h5", {"some": object()}, {})
    assert read_tree(tmp_path / "tree.h5")[1] == {"count": 3}


def test_files_of_another_kind_are_told(tmp_path: Path) -> None:
    path = tmp_path / "some.h5"
    with pytest.raises(UserError, match="no such file"):
        record.load(path)
    path.write_text("no HDF5")
    with pytest.raises(UserError, match="not HDF5, or damaged"):
        record.load(path)
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(UserError, match="not a pathway file"):
        record.load(path)
    write_tree(path, {"atoms": {}}, {"name": "x"})
    with pytest.raises(UserError, match="not a whole pathway file"):
        record.load(path)
    record.save(path, doubtful(), {})
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 2
    with pytest.raises(UserError, match="version 2 and this mapmpi reads 3; refine the pathway anew"):
        record.load(path)
    record.save(path, doubtful(), {})
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(UserError, match="damaged"):
        record.load(path)


def test_the_band_as_extxyz(tmp_path: Path) -> None:
    found = doubtful()
    export.write_band(tmp_path / "band.xyz", found)
    frames = ase.io.read(tmp_path / "band.xyz", index=":", parallel=False)
    assert len(frames) == 1 + 3 * 6
    kinds = [frame.info["kind"] for frame in frames]
    assert [index for index, kind in enumerate(kinds) if kind == "basin"] == [0, 6, 12, 18]
    assert [index for index, kind in enumerate(kinds) if kind == "saddle"] == [3, 9]  # the third hop has none
    assert [frame.info["hop"] for frame in frames[5:8]] == [1, 1, 2]
    assert [frame.info["image"] for frame in frames[5:8]] == [5, 6, 1]
    assert frames[9].info["hop_name"] == "Si4, 8.3 A away"
    assert frames[9].get_potential_energy() == -98.5
    np.testing.assert_allclose(frames[6].arrays["displacement"], at(3.0) - at(0.0), atol=1e-7)
    np.testing.assert_allclose(frames[0].cell.array, CELL)
    assert frames[0].pbc.tolist() == [True, True, False]
    # From x = 0 the Si at 19 Å is 1 Å away, in the next cell; from 3 Å the one at 4.5 Å.
    assert frames[0].info["closest_si_id"] == 5
    assert frames[0].info["closest_si_distance"] == pytest.approx(1.0)
    assert frames[6].info["closest_si_id"] == 4
    assert frames[6].info["closest_si_distance"] == pytest.approx(1.5)
    assert frames[6].arrays["closest_si"].tolist() == [0, 0, 0, 1, 0]


def test_transition_states_as_extxyz(tmp_path: Path) -> None:
    found = doubtful()
    found.basins[2] = replace(found.basins[2], energy=-99.75)
    paths = export.write_transition_states(tmp_path, found)
    assert [path.name for path in paths] == ["pathway-001-ts-01.xyz", "pathway-001-ts-02.xyz"]
    assert sorted(tmp_path.iterdir()) == paths
    first, second = (ase.io.read(path, parallel=False) for path in paths)
    assert first.info["verified"]
    assert "reason" not in first.info
    assert not second.info["verified"]
    assert second.info["reason"] == "the way down towards the end leads to another minimum, A-2 (0.3 -> 0.4)"
    assert second.info["barrier_forward_ev"] == pytest.approx(1.5)
    assert second.info["barrier_backward_ev"] == pytest.approx(1.25)
    np.testing.assert_allclose(second.info["curvatures_ev_A2"], [-1.25, 0.5])
    np.testing.assert_allclose(second.arrays["mode"], np.eye(5, 3) / np.sqrt(3), atol=1e-7)
    np.testing.assert_allclose(second.arrays["displacement"][0], [1.5, 0, 0], atol=1e-7)  # from the basin before
    assert second.get_potential_energy() == -98.5


def test_no_silicon_no_closest_silicon(tmp_path: Path) -> None:
    found = pathway(1.0)
    found = replace(found, atoms=Atoms("OHHAl2", found.atoms.positions, cell=CELL, pbc=True))
    assert export.closest_silicon(found, at(0.0)) is None
    export.write_band(tmp_path / "band.xyz", found)
    frame = ase.io.read(tmp_path / "band.xyz", index=0, parallel=False)
    assert "closest_si" not in frame.arrays
    assert "closest_si_id" not in frame.info


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_pathways_csv(tmp_path: Path) -> None:
    paper = pathway(2.366, name="paper")
    slow, fast = pathway(2.5, 1.0, name="slow"), pathway(0.5, 0.5, name="fast")
    slow.hops[1] = replace(slow.hops[1], verified=False, reason=DOUBTS)
    path = tmp_path / "pathways.csv"
    table.write_csv(path, [doubtful(), slow, paper, fast], "hbar", [PAPER_K, 300.0])
    read = rows(path)
    assert [(row["rank"], row["name"]) for row in read] == [
        ("1", "fast"),
        ("2", "paper"),
        ("3", "slow"),
        ("4", "pathway-001"),
    ]
    told = ("rank", "name", "source", "status", "hops", "verified", "highest_barrier_ev", "length_A", "prefactor")
    kelvins = ("time_s_{}K", "passage_time_s_{}K", "diffusion_cm2_s_{}K", "passage_diffusion_cm2_s_{}K")
    each = [name.format(kelvin) for kelvin in ("623.15", "300") for name in kelvins]
    assert tuple(read[0]) == (*told, *each, "arrhenius_d0_cm2_s", "arrhenius_energy_ev")
    one = read[1]
    # exp(2.366 / (8.617333e-5 · 623.15)) / (8.617333e-5 · 623.15 / 6.582120e-16) s = 1.93 days
    assert float(one["time_s_623.15K"]) / 86400 == pytest.approx(1.93, abs=0.01)
    assert one["time_s_623.15K"] == one["passage_time_s_623.15K"]  # one barrier: nowhere to go back to
    assert float(one["length_A"]) == 3.0
    assert float(one["diffusion_cm2_s_623.15K"]) == pytest.approx(9e-16 / 2 / float(one["time_s_623.15K"]))
    assert float(one["highest_barrier_ev"]) == 2.366
    # The prefactor grows with T: in the fit by k_B·ln(623.15/300)/(1/300 - 1/623.15) = 0.0364 eV.
    assert float(one["arrhenius_energy_ev"]) == pytest.approx(2.366 + 0.0364, abs=1e-4)
    assert [row["status"] for row in read] == [
        "complete",
        "complete",
        "complete, 1 of 2 saddles not verified",
        f"incomplete: {FAILED}",
    ]
    last = read[-1]
    assert (last["hops"], last["verified"], last["prefactor"]) == ("3", "1", "hbar")
    assert {name for name, value in last.items() if not value} == set(read[0]) - set(told)


def test_one_temperature_has_no_arrhenius_fit(tmp_path: Path) -> None:
    table.write_csv(tmp_path / "pathways.csv", [pathway(1.0)], "h", [PAPER_K])
    (one,) = rows(tmp_path / "pathways.csv")
    assert one["time_s_623.15K"]
    assert one["arrhenius_d0_cm2_s"] == one["arrhenius_energy_ev"] == ""


def test_the_order_does_not_hang_on_who_came_first(tmp_path: Path) -> None:
    found = [pathway(1.0, name="b"), pathway(1.0, name="a"), replace(doubtful(), name="c"), doubtful()]
    unknown = pathway(1.0, name="z")
    unknown.hops[0] = replace(unknown.hops[0], forward_hz=float("nan"))
    found.append(unknown)
    for order in (found, found[::-1]):
        names = [one.name for one in table.ranked(order, "vineyard", [PAPER_K])]
        assert names == ["a", "b", "z", "c", "pathway-001"]


def test_a_pathway_without_hops_has_a_row(tmp_path: Path) -> None:
    table.write_csv(tmp_path / "pathways.csv", [pathway()], "hbar", [PAPER_K, 300.0])
    (one,) = rows(tmp_path / "pathways.csv")
    assert (one["status"], one["time_s_623.15K"], one["highest_barrier_ev"]) == ("complete", "", "")
    figure.profile_figure(tmp_path / "one.png", pathway())


def test_hops_csv(tmp_path: Path) -> None:
    table.write_hops_csv(tmp_path / "hops.csv", doubtful())
    first, second, third = rows(tmp_path / "hops.csv")
    assert tuple(first) == table.HOP_FIELDS
    assert (first["from"], first["to"], first["status"], first["reason"]) == ("1", "2", "verified", "")
    assert float(first["barrier_forward_ev"]) == 1.0
    assert float(first["prefactor_backward_hz"]) == 2.5e12
    assert (second["status"], second["remote"]) == ("not verified", "True")
    assert "\n" not in second["reason"]
    assert (third["status"], third["reason"], third["barrier_forward_ev"]) == ("no saddle", FAILED, "")
    assert third["prefactor_forward_hz"] == ""


def text(shown: Table) -> str:
    console = Console(width=WIDTH, color_system=None)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


def test_tables_for_people() -> None:
    paper = pathway(2.366, name="[paper]")  # which is no markup
    slow = pathway(3.0, name="agent-00012-episode-00345")
    shown = text(table.terminal_table([doubtful(), paper, slow], "hbar", [PAPER_K, 300.0]))
    assert "k_BT/ℏ (Eq. 3 of the paper)" in shown
    assert "46.5 h" in shown  # 1.94 days
    assert "[paper]" in shown
    assert f"3 is incomplete: {FAILED}" in " ".join(shown.split())
    assert "12:345" in shown
    hops = text(table.hops_table(doubtful()))
    words = " ".join(hops.split())  # what a cell folds stands alone on its lines
    assert "not verified: the way down towards" in words
    assert "no saddle: not converged" in words
    assert "1.500" in hops
    assert "…" not in shown + hops  # nothing is cut off


def test_a_missing_prefactor_is_told() -> None:
    found = pathway(1.0, 1.0)
    found.hops[1] = replace(found.hops[1], forward_hz=float("nan"))
    shown = text(table.terminal_table([found], "vineyard", [PAPER_K]))
    assert "1 has no time: 1 of 2 hops have no prefactor" in shown


@pytest.mark.parametrize("heat", [0.0, 50.0])
def test_the_figure_is_drawn(tmp_path: Path, heat: float) -> None:
    found = doubtful()
    assert found.before is not None
    hot = replace(found, before=replace(found.before, energies=found.before.energies + heat))
    figure.profile_figure(tmp_path / "profile.png", hot)
    pixels = imread(tmp_path / "profile.png")
    assert pixels.shape[:2] == (880, 1440)
    for color in (figure.AFTER, figure.SADDLE, figure.MISSING):
        wanted = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert (np.abs(pixels[..., :3] - wanted).max(axis=-1) < 0.01).sum() > 100
    assert [path.name for path in tmp_path.iterdir()] == ["profile.png"]


def test_the_profile_is_measured_from_the_first_basin() -> None:
    drawn = figure.curves(doubtful())
    np.testing.assert_allclose(drawn.basins, [[0, 3, 6, 9], [0, 0, 0, 0]], atol=1e-12)
    assert drawn.saddles[0] == pytest.approx((1.5, 1.0))
    assert drawn.saddles[2] is None
    np.testing.assert_allclose(drawn.bands[2], [[6, 9], [0, 0]], atol=1e-12)
