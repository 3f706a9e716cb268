"""The host's symmetry: orders of groups, energies of copies, and D of lattices, by hand, from one hop."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc100, make_supercell
from ase.calculators.emt import EMT
from conftest import ROOT, mpiexec
from test_path_network import over

from mapmpi.path import tst
from mapmpi.path.diffusion import CM2_PER_A2, Diffusion, Folded
from mapmpi.path.matching import Matcher, StationaryPoint
from mapmpi.path.network import Network
from mapmpi.path.symmetry import Host, StrainedError, Symmetry, find_symmetry
from mapmpi.pneb.diffusion import network_diffusion, sentences
from mapmpi.structures.files import read_structure

KELVIN = 600.0
KT = 8.617333262e-5 * KELVIN
A = 3.6
"""Å, the lattice constant of copper here; an octahedral site is at (½, 0, 0) a, a tetrahedral one at (¼, ¼, ¼) a."""


def with_h(host: Atoms, place: np.ndarray, strain: float = 0.12) -> Atoms:
    """Return a host whose atoms give way to a hydrogen atom, the last one, by up to ``strain`` Å."""
    atoms = host.copy()
    atoms.append("H")
    atoms.positions[-1] = place
    ways = atoms.get_distances(len(host), list(range(len(host))), mic=True, vector=True)
    lengths = np.maximum(np.linalg.norm(ways, axis=1), 1.0)
    atoms.positions[:-1] += strain * ways / lengths[:, None] * np.exp(1.6 - lengths)[:, None]
    return atoms


def symmetry(atoms: Atoms, fixed: list[int] | None = None) -> Symmetry:
    return find_symmetry(atoms, atoms.positions, [len(atoms) - 1], fixed or [])


def cubic(count: int = 2) -> Atoms:
    return bulk("Cu", "fcc", A, cubic=True).repeat(count)


@pytest.mark.parametrize(
    ("host", "rotations", "translations"),
    [
        (cubic(), 48, 32),
        (bulk("Cu", "fcc", A, cubic=True).repeat((2, 2, 3)), 16, 48),  # the supercell is tetragonal
        (bulk("Cu", "fcc", A).repeat(3), 48, 27),
        (make_supercell(bulk("Cu", "fcc", A), [[3, 0, 0], [3, 3, 0], [-3, 6, 3]]), 48, 27),  # the same, skewed
        (bulk("Fe", "bcc", 2.87, cubic=True).repeat(3), 48, 54),
        (bulk("Si", "diamond", 5.43, cubic=True), 48, 4),  # with screws and glides
        (bulk("NaCl", "rocksalt", 5.64, cubic=True).repeat(2), 48, 32),
        (bulk("ZnS", "zincblende", 5.41, cubic=True).repeat(2), 24, 32),
        (bulk("Mg", "hcp", 3.2, 5.2).repeat((3, 3, 2)), 24, 18),
        (bulk("Sn", "bct", a=5.8, c=3.2).repeat(2), 16, 8),
    ],
)
def test_orders_of_groups(host: Atoms, rotations: int, translations: int) -> None:
    random = np.random.default_rng(1)
    place = host.positions[0] + [0.7, 0.2, 1.6]
    found = symmetry(with_h(host, place))
    assert (len(found.operations), found.translations) == (rotations, translations)
    assert found.count == rotations * translations
    # lattice vectors are fractions of the cell's, exactly, though the molecule strains the host
    perfect = symmetry(with_h(host, place, strain=0.0))
    assert abs(np.linalg.det(found.lattice)) == pytest.approx(abs(np.linalg.det(perfect.lattice)), rel=1e-12)
    assert found.lattice @ np.linalg.inv(perfect.lattice) == pytest.approx(
        np.rint(found.lattice @ np.linalg.inv(perfect.lattice)), abs=1e-9
    )
    host.positions += random.normal(0, 0.9, host.positions.shape)  # a glass has none
    assert symmetry(with_h(host, place)).count == 1


def test_a_slab_keeps_its_surface_and_its_fixed_atoms() -> None:
    slab = fcc100("Cu", (3, 3, 3), a=A, vacuum=6.0)
    fixed = [atom.index for atom in slab if atom.tag == 3]
    atoms = with_h(slab, slab.positions[-1] + [A / 2**1.5, A / 2**1.5, 1.0])
    for periodic in (False, True):
        atoms.pbc = True, True, periodic
        found = symmetry(atoms, fixed)
        assert (len(found.operations), found.translations) == (8, 9)  # 4mm
        assert all(operation.rotation[2] == pytest.approx([0, 0, 1]) for operation in found.operations)
    atoms.positions[0, 0] += 0.05  # of the fixed layer: now nothing but a mirror is left
    assert symmetry(atoms, fixed).count == 2


def test_two_kinds_of_atoms_in_turn_halve_the_symmetry() -> None:
    host = bulk("Cu", "fcc", A, cubic=True).repeat(2)
    host.numbers[np.isclose(host.positions[:, 2] % A, 0)] = 28  # layers: CuNi, tetragonal
    found = symmetry(with_h(host, np.array([A / 2, 0, 0])))
    assert (len(found.operations), found.translations) == (16, 16)


def test_copies_have_the_same_energy_and_forces_turned_likewise() -> None:
    atoms = with_h(cubic(), np.array([0.31, 1.2, 0.8]))
    atoms.positions += np.random.default_rng(3).normal(0, 0.05, atoms.positions.shape)
    found = symmetry(atoms)
    assert found.count == 48 * 32
    atoms.calc = EMT()
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    for number, operation in enumerate(found.operations[::5]):
        copied = atoms.copy()
        cells = np.array([number, 2 - number, -1])
        copied.positions = found.carried(operation.apply(atoms.positions), cells)
        copied.calc = EMT()
        assert copied.get_potential_energy() == pytest.approx(energy, abs=1e-9)
        there = found.host.labels(np.eye(3), cells @ found.lattice).order
        turned = (forces @ operation.rotation.T)[operation.labels.order][there]
        assert copied.get_forces() == pytest.approx(turned, abs=1e-9)
        # host atoms keep their places; the hydrogen alone is elsewhere
        assert abs(copied.positions - atoms.positions)[:-1].max() < 0.5
        way = operation.rotation @ atoms.positions[-1] + operation.translation + cells @ found.lattice
        assert copied.positions[-1] == pytest.approx(way)


def network(host: Atoms, *ways: tuple[list[tuple[np.ndarray, float]], list[float]], **rates: float) -> Network:
    """Return the network of pathways: minima (place in Å, energy in eV), and the saddles' energies halfway."""
    one = with_h(host, np.zeros(3))
    held = bool(one.constraints)
    together = Network(Matcher(one.numbers, one.cell.array, one.pbc, 0.3, 0.02, [len(host)], held))
    for number, (places, tops) in enumerate(ways):
        basins = [StationaryPoint(with_h(host, place).positions, energy) for place, energy in places]
        middles = [0.5 * (one[0] + other[0]) for one, other in pairwise(places)]
        hops = [
            over(with_h(host, place).positions, top, **rates) for place, top in zip(middles, tops, strict=True)
        ]
        together.add_pathway(str(number), basins, hops)
    return together


def by(found: Network, host: Atoms, prefactor: tst.Prefactor = "hbar") -> Diffusion:
    first = found.minima[0].positions
    own = find_symmetry(Atoms(found.matcher.numbers, cell=host.cell, pbc=host.pbc), first, [len(host)])
    return Folded(found, own).diffusion(0, KELVIN, prefactor)


def near(expected: np.ndarray) -> object:
    return pytest.approx(expected, rel=1e-9, abs=1e-9 * abs(expected).max())


def rate(barrier: float) -> float:
    return float(np.exp(tst.log_rate(barrier, KELVIN, tst.prefactor_hz("hbar", KELVIN))))


OCTAHEDRAL, TETRAHEDRAL = np.array([0.5, 0.0, 0.0]) * A, np.array([0.25, 0.25, 0.25]) * A


@pytest.mark.parametrize("host", [cubic(), bulk("Cu", "fcc", A).repeat(3)], ids=["cubic", "rhombohedral"])
def test_one_hop_from_octahedral_to_tetrahedral(host: Atoms) -> None:
    # eight ways out of an octahedral site, four out of each of two tetrahedral ones, √3a/4 long; no memory, as the
    # four add up to zero: D = π 8k (√3a/4)²/3 = π k a²/2, with π = 1/(1 + 2 exp(-E/kT)) walkers in octahedral sites
    found = network(host, ([(OCTAHEDRAL, 0.0), (TETRAHEDRAL, 0.1)], [0.45]))
    d = by(found, host)
    share = 1 / (1 + 2 * np.exp(-0.1 / KT))
    assert d.through == (True, True, True)
    assert d.operations == 48 * len(host)
    assert d.tensor_cm2_s / CM2_PER_A2 == near(np.eye(3) * share * rate(0.45) * A**2 / 2)
    # the same from the other side; with a second way out, straight to the twelve next octahedral sites: + k' a²
    back = network(host, ([(TETRAHEDRAL, 0.1), (OCTAHEDRAL, 0.0)], [0.45]))
    assert by(back, host).tensor_cm2_s == near(d.tensor_cm2_s)
    next_one = (OCTAHEDRAL + np.array([0.0, 0.5, 0.5]) * A, 0.0)
    more = network(host, ([(OCTAHEDRAL, 0.0), (TETRAHEDRAL, 0.1)], [0.45]), ([(OCTAHEDRAL, 0.0), next_one], [0.5]))
    both = share * (rate(0.45) * A**2 / 2 + rate(0.5) * A**2)
    assert by(more, host).tensor_cm2_s / CM2_PER_A2 == near(np.eye(3) * both)
    # without symmetry nothing leads through
    assert not Folded(found).diffusion(0, KELVIN, "hbar").tensor_cm2_s.any()


def test_vineyards_prefactors_are_copied_too() -> None:
    # flows in equilibrium are those there and back: π_O ν exp(-0.45/kT), with weights that have the ratio of both ν
    found = network(cubic(), ([(OCTAHEDRAL, 0.0), (TETRAHEDRAL, 0.1)], [0.45]), forward_hz=6e12, backward_hz=2e12)
    share = 1 / (1 + 2 * 3 * np.exp(-0.1 / KT))
    expected = share * 6e12 * np.exp(-0.45 / KT) * A**2 / 2
    assert by(found, cubic(), "vineyard").tensor_cm2_s / CM2_PER_A2 == near(np.eye(3) * expected)


def test_a_host_that_is_strained_too_much_is_not_copied() -> None:
    host = cubic()
    found = network(host, ([(OCTAHEDRAL, 0.0), (TETRAHEDRAL, 0.1)], [0.45]))
    start, atoms = found.minima[0].positions, Atoms(found.matcher.numbers, cell=host.cell, pbc=host.pbc)
    own = find_symmetry(atoms, start, [len(host)])
    assert network_diffusion(found, 0, "hbar", [KELVIN], own)[KELVIN, "classical"].operations == own.count > 1
    start[0] += 1.5  # no translation lays this atom on another, nor another on it
    assert own.host is not None
    strained = Host(start, own.host.kinds, own.cell, atoms.pbc, own.host.atoms, own.host.fixed)
    with pytest.raises(StrainedError):
        Folded(found, replace(own, host=strained, _carriers={}))
    again = network_diffusion(found, 0, "hbar", [KELVIN], replace(own, host=strained, _carriers={}))
    assert again[KELVIN, "classical"].operations == 1


def test_all_hops_of_the_cell_one_by_one_give_the_same() -> None:
    host = cubic()
    corners = [np.array(one) for one in np.ndindex(4, 4, 4) if sum(one) % 2 == 1]
    steps = [np.array(one) - 0.5 for one in np.ndindex(2, 2, 2)]
    ways = [
        ([(corner * A / 2, 0.0), ((corner + step) * A / 2, 0.1)], [0.45]) for corner in corners for step in steps
    ]
    assert len(ways) == 256
    every = Folded(network(host, *ways)).diffusion(0, KELVIN, "hbar")
    assert every.operations == 1
    one = by(network(host, ways[0]), host)
    assert every.tensor_cm2_s == near(one.tensor_cm2_s)


def test_tetrahedral_sites_of_a_bcc_metal() -> None:
    # four ways out of each, a/√8 long, in one plane of three: D = 4k (a²/8)/6 = k a²/12
    a = 2.87
    host = bulk("Fe", "bcc", a, cubic=True).repeat(3)
    places = np.array([0.5, 0.25, 0.0]) * a, np.array([0.5, 0.0, 0.25]) * a
    found = by(network(host, ([(place, 0.0) for place in places], [0.2])), host)
    assert found.tensor_cm2_s / CM2_PER_A2 == near(np.eye(3) * rate(0.2) * a**2 / 12)


def test_along_the_channels_of_a_tetragonal_crystal() -> None:
    # one site a cell, a hop along c and one across: D = k c² and k' a²
    host = Atoms("Sn", cell=[5.8, 5.8, 3.2], pbc=True).repeat((2, 2, 4))
    start, c, across = np.array([2.9, 2.9, 0.0]), np.array([0, 0, 3.2]), np.array([5.8, 0, 0])
    ways = ([(start, 0.0), (start + c, 0.0)], [0.3]), ([(start, 0.0), (start + across, 0.0)], [0.5])
    assert by(network(host, ways[0]), host).through == (False, False, True)
    expected = np.diag([rate(0.5) * 5.8**2, rate(0.5) * 5.8**2, rate(0.3) * 3.2**2])
    assert by(network(host, *ways), host).tensor_cm2_s / CM2_PER_A2 == near(expected)


def test_an_adatom_on_a_square_surface() -> None:
    # four ways out of each hollow, a/√2 long: D = k a²/2 in the plane, none across it
    slab = fcc100("Cu", (3, 3, 3), a=A, vacuum=6.0)
    side = A / np.sqrt(2)
    hollow = slab.positions[-1] + [side / 2, side / 2, 1.5]
    found = by(network(slab, ([(hollow, 0.0), (hollow + [side, 0, 0], 0.0)], [0.4])), slab)
    assert found.through == (True, True, False)
    assert found.tensor_cm2_s / CM2_PER_A2 == near(np.diag([1, 1, 0]) * rate(0.4) * side**2)
    assert found.reason.endswith("lead through the cell along z, so D there is zero")


def test_a_vacancy_has_no_more_than_it_had() -> None:
    # the atom that hops is followed, not the hole: without both the crystal has only the symmetry of their pair
    host = cubic()
    hop, gone = host.positions[1], host.positions[0]
    rest = host[2:]
    found = network(rest, ([(hop, 0.0), (gone, 0.0)], [0.7]))
    d = by(found, rest)
    assert d.operations == 8
    assert d.through == (False, False, False)


def test_what_is_told() -> None:
    d = Diffusion(1e-6 * np.eye(3), (True, True, True), 1536)
    first, second = sentences({(600.0, "classical"): d})
    assert "in all its copies by 1536 symmetry operations of the host" in first
    assert second == "D of a walker on the network, 600 K: x 1e-06, y 1e-06, z 1e-06 cm²/s."
    assert len(sentences({(600.0, "classical"): Diffusion(1e-6 * np.eye(3), (True, True, True))})) == 1


@pytest.mark.lammps
@pytest.mark.mpi
def test_hydrogen_in_nickel_from_one_hop(tmp_path: Path) -> None:
    atoms = read_structure(ROOT / "inputs" / "nickel-hydrogen.data", ["H", "Ni"])
    frames = []
    for part in np.linspace(0.0, 1.0, 9):
        frame = atoms.copy()
        frame.positions[108] += part * 0.88 * np.ones(3)
        frames.append(frame)
    ase.io.write(tmp_path / "hop.extxyz", frames)
    words = ("--input", ROOT / "inputs" / "nickel-hydrogen.yaml", "--trajectory", tmp_path / "hop.extxyz")
    done = mpiexec(2, "-m", "mapmpi.pneb", tmp_path / "run", *words, "--set", "pneb.temperatures=[600]")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "by 5184 symmetry operations of the host" in " ".join(done.stdout.split())
    folder = tmp_path / "run" / "pathways"
    with open(folder / "diffusion.csv", newline="") as handle:
        (row,) = csv.DictReader(handle)
    with open(folder / "hop-hops.csv", newline="") as handle:
        (hop,) = csv.DictReader(handle)
    assert (row["through"], row["symmetry_operations"]) == ("xyz", "5184")
    there, back = (float(hop[f"barrier_{way}_ev"]) for way in ("forward", "backward"))
    assert there == pytest.approx(0.468, abs=0.003)
    share = 1 / (1 + 2 * np.exp(-(there - back) / KT))
    expected = CM2_PER_A2 * share * rate(there) * 3.52**2 / 2
    for axis in ("xx", "yy", "zz"):
        assert float(row[f"d_{axis}_cm2_s"]) == pytest.approx(expected, rel=0.01, abs=0)
    assert abs(float(row["d_xy_cm2_s"])) < 1e-6 * expected
    again = mpiexec(2, "-m", "mapmpi.pneb", tmp_path / "run", *words, "--set=pneb.symmetry=false")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "do not lead through the cell along x or y or z" in again.stdout
