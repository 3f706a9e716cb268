"""Zero point and tunnelling: numbers by hand, limits, an isotope, and hydrogen in nickel by another program."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.vibrations import Vibrations
from test_pathway_files import pathway, text

import mapmpi
from mapmpi.md.ase_calculators import eam
from mapmpi.md.forcefield import installed_file
from mapmpi.path import quantum, tst
from mapmpi.path.pathway import Hop, Pathway
from mapmpi.pneb import corrections, record, table
from mapmpi.store.pathway import read_tree, write_tree

MODES = np.array([3e13, 3e13, 3e13])
"""hν = 4.135668e-15 eV s · 3e13 Hz = 0.124070 eV, which is 1000.7 cm⁻¹."""
SADDLE = np.array([-3e13, 3e13, 3e13])
KT = 8.617333262e-5


def hydrogen_like(*barriers: float) -> Pathway:
    """A pathway with these barriers in eV and the modes above at each hop."""
    found = pathway(*barriers)
    attempts = tst.vineyard_hz(MODES, SADDLE)
    modes = {"start_hz": MODES, "saddle_hz": SADDLE, "end_hz": MODES}
    hops = [replace(hop, forward_hz=attempts, backward_hz=attempts, **modes) for hop in found.hops]
    return replace(found, hops=hops)


def test_by_hand() -> None:
    assert quantum.zero_point_ev(MODES) == pytest.approx(3 * 0.0620350, rel=1e-5)
    assert quantum.zero_point_ev(SADDLE) == pytest.approx(2 * 0.0620350, rel=1e-5)
    # at 300 K: x = 0.124070/0.0258520 = 4.79924; sinh(2.39962) = 5.46412; one oscillator 2.39962/5.46412 = 0.439159;
    # of two at the saddle over three at the minimum 1/0.439159 = 2.27708
    assert quantum.quantum_ratio(MODES, SADDLE, 300.0) == pytest.approx(2.27708, rel=1e-4)
    # 1 + 4.79924²/24
    assert quantum.wigner_factor(SADDLE, 300.0) == pytest.approx(1.95970, rel=1e-4)
    # 0.124070 eV / (2π · 8.617333e-5 eV/K)
    assert quantum.crossover_k(SADDLE) == pytest.approx(229.147, rel=1e-4)
    assert not quantum.wigner_holds(SADDLE, 300.0)
    assert quantum.wigner_holds(SADDLE, 459.0)
    barriers = quantum.zero_point_barriers_ev(hydrogen_like(0.5))
    assert barriers == pytest.approx([0.5 - 0.0620350], rel=1e-5)


def test_hot_nuclei_are_classical() -> None:
    for kelvin, within in ((1e4, 0.05), (1e6, 1e-5)):
        assert quantum.quantum_ratio(MODES, SADDLE, kelvin) == pytest.approx(1.0, abs=within)
        assert quantum.wigner_factor(SADDLE, kelvin) == pytest.approx(1.0, abs=within)


def test_cold_nuclei_go_over_the_barrier_of_the_zero_point() -> None:
    # Π f → Π x e^{-x/2}: what is left of Vineyard's rate is (k_BT/h) exp(-(ΔE + ΔZPE)/k_BT)
    softer, saddle, kelvin, barrier = 0.7 * MODES, np.array([-2e13, 4e13, 5e13]), 30.0, 0.3
    rate = np.exp(tst.log_rate(barrier, kelvin, tst.vineyard_hz(softer, saddle)))
    corrected = barrier + quantum.zero_point_ev(saddle) - quantum.zero_point_ev(softer)
    eyring = np.exp(tst.log_rate(corrected, kelvin, tst.prefactor_hz("h", kelvin)))
    assert rate * quantum.quantum_ratio(softer, saddle, kelvin) == pytest.approx(eyring, rel=1e-6, abs=0)


def test_deuterium_is_more_classical() -> None:
    light, heavy = (
        (quantum.quantum_ratio(scale * MODES, scale * SADDLE, 400.0), quantum.wigner_factor(scale * SADDLE, 400.0))
        for scale in (1.0, np.sqrt(0.5))
    )
    assert 1.0 < heavy[0] < light[0]
    # half the frequency's square, half the correction
    assert heavy[1] - 1.0 == pytest.approx(0.5 * (light[1] - 1.0))
    assert quantum.crossover_k(np.sqrt(0.5) * SADDLE) == pytest.approx(229.147 / np.sqrt(2), rel=1e-4)


def test_cold_stiff_modes_overflow_nothing() -> None:
    assert quantum.quantum_ratio(1e3 * MODES, 1e3 * SADDLE, 1.0) == np.inf
    assert quantum.quantum_ratio(1e3 * MODES, 2e3 * SADDLE, 1.0) == 0.0
    for scale in (1e3, 1e-3):
        (hop,) = hydrogen_like(0.5).hops
        far = quantum.corrected_hop(replace(hop, saddle_hz=scale * SADDLE), 1.0)
        assert 0.0 < far.forward_hz < np.inf
    for wrong in (quantum.quantum_ratio, lambda *_: quantum.wigner_factor(SADDLE, 0.0)):
        with pytest.raises(ValueError, match="positive"):
            wrong(MODES, SADDLE, 0.0)


def test_columns_are_added_only_to_vineyards(tmp_path: Path) -> None:
    found, kelvins = hydrogen_like(0.5, 0.3), [300.0, 600.0]
    old = pathway(0.5, 0.3, name="older")  # of a file without frequencies
    tables = {}
    for prefactor in ("hbar", "vineyard"):
        table.write_csv(tmp_path / "pathways.csv", [found, old], prefactor, kelvins)  # type: ignore[arg-type]
        with open(tmp_path / "pathways.csv", newline="") as handle:
            tables[prefactor] = {row["name"]: row for row in csv.DictReader(handle)}
    plain, more = (tables[prefactor]["pathway-001"] for prefactor in ("hbar", "vineyard"))
    assert tuple(plain) == tuple(more)[: len(plain)]
    assert float(more["highest_zero_point_barrier_ev"]) == pytest.approx(0.437965, rel=1e-5)
    for kelvin in kelvins:
        factor = quantum.quantum_ratio(MODES, SADDLE, kelvin) * quantum.wigner_factor(SADDLE, kelvin)
        for kind in ("time_s", "passage_time_s"):
            one, other = (float(more[f"{name}_{kelvin:g}K"]) for name in (kind, f"quantum_{kind}"))
            assert other == pytest.approx(one / factor)
    assert tables["vineyard"]["older"]["quantum_time_s_300K"] == ""
    table.write_hops_csv(tmp_path / "hops.csv", found, corrections.hop_columns(found, kelvins))
    with open(tmp_path / "hops.csv", newline="") as handle:
        first = next(csv.DictReader(handle))
    assert tuple(first)[: len(table.HOP_FIELDS)] == table.HOP_FIELDS
    assert float(first["zero_point_barrier_forward_ev"]) == pytest.approx(0.437965, rel=1e-5)
    assert float(first["quantum_ratio_backward_300K"]) == pytest.approx(2.27708, rel=1e-4)
    assert (first["wigner_valid_300K"], first["wigner_valid_600K"], first["modes"]) == ("no", "yes", "3")


def test_people_are_told_where_wigner_does_not_hold() -> None:
    shown = text(corrections.corrections_table(hydrogen_like(0.5), [300.0, 600.0]))
    assert "0.438" in shown
    assert " ".join(shown.split()).count("not valid for 1→2") == 1
    assert "…" not in shown  # nothing is cut off
    text(corrections.corrections_table(pathway(0.5), [300.0]))  # nothing known, nothing wrong


def test_frequencies_are_kept_and_older_files_read(tmp_path: Path) -> None:
    found = replace(hydrogen_like(0.5), quantum_passage_times_s=((300.0, 0.001),))
    record.save(tmp_path / "new.h5", found, {})
    again = record.load(tmp_path / "new.h5")
    assert again.hops[0].saddle_hz.tolist() == SADDLE.tolist()
    assert again.hops[0].reversed().start_hz.tolist() == MODES.tolist()
    assert again.quantum_passage_times_s == ((300.0, 0.001),)
    tree, attributes = read_tree(tmp_path / "new.h5")
    del attributes["quantum_passage_times_s"]
    for name in ("start_hz", "saddle_hz", "end_hz"):
        del tree["hops"]["0001"][name]
    write_tree(tmp_path / "old.h5", tree, attributes)
    older = record.load(tmp_path / "old.h5")
    assert older.hops[0].saddle_hz.size == len(older.quantum_passage_times_s) == 0
    assert older.hops[0].forward_hz == found.hops[0].forward_hz


HERE = {
    "commands": ["pair_style eam/alloy", "pair_coeff * * NiAlH_jea.eam.alloy {elements}"],
    "units": "metal",
}


def hydrogen_in_nickel(place: float) -> Atoms:
    atoms = bulk("Ni", "fcc", 3.52, cubic=True) * 2
    atoms.append("H")
    atoms.positions[-1] = {0.0: [1.76, 0.0, 0.0], 1.0: [0.88, 0.88, 0.88]}[place]
    return atoms


def zero_point_by_ase(atoms: Atoms, positions: np.ndarray, movable: np.ndarray, folder: Path) -> float:
    """Return the zero-point energy in eV by ASE's finite differences and ASE's own EAM."""
    here = atoms.copy()
    here.positions = positions
    here.calc = eam(str(installed_file("NiAlH_jea.eam.alloy")))
    vibrations = Vibrations(here, indices=list(movable), name=str(folder))
    vibrations.run()
    return float(vibrations.get_zero_point_energy())


@pytest.mark.lammps
def test_hydrogen_in_nickel_has_the_zero_point_that_ase_finds(tmp_path: Path) -> None:
    settings = {"prefactor": "vineyard", "saddle": {"force": 0.005}, "quench": {"force": 0.005}}
    ends = hydrogen_in_nickel(0.0), hydrogen_in_nickel(1.0)
    found = mapmpi.find_barrier(*ends, HERE, settings=settings).pathway
    (hop,) = found.hops
    assert isinstance(hop, Hop)
    assert hop.saddle is not None
    places = found.basins[0].positions, hop.saddle.positions, found.basins[1].positions
    movable = tst.moving_atoms(*places, 0.1)
    assert len(ends[0]) - 1 in movable
    by_ase = [
        zero_point_by_ase(found.atoms, place, movable, tmp_path / str(number))
        for number, place in enumerate(places[:2])
    ]
    ours = quantum.zero_point_ev(hop.start_hz), quantum.zero_point_ev(hop.saddle_hz)
    assert ours == pytest.approx(by_ase, abs=1e-4)
    (barrier,) = found.barriers_ev()
    (corrected,) = quantum.zero_point_barriers_ev(found)
    assert corrected - barrier == pytest.approx(by_ase[1] - by_ase[0], abs=1e-4)
    assert (barrier, corrected) == pytest.approx((0.475, 0.480), abs=0.003)  # two stiff modes against three softer
