"""Insertion: the void is the right one, the molecule stays itself."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from mapmpi.errors import UserError
from mapmpi.structures.insert import SPACING, insert, is_intact, largest_void, read_molecule


def solid_with_voids(*voids: tuple[tuple[float, float, float], float]) -> Atoms:
    """Return a simple cubic solid, 15 Å wide, 1.5 Å between atoms, without those in the spheres given."""
    places = np.stack(np.meshgrid(*[np.arange(10) * 1.5] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    for center, radius in voids:
        apart = places - center
        apart -= 15.0 * np.round(apart / 15.0)
        places = places[np.linalg.norm(apart, axis=1) > radius]
    return Atoms(f"Ar{len(places)}", places, cell=[15.0] * 3, pbc=True)


def test_void_across_the_periodic_boundary():
    # the larger void is beyond the slab; the one to find reaches around the cell's edges in y and z
    solid = solid_with_voids(((1.5, 0.0, 15.0), 3.2), ((7.5, 7.5, 7.5), 4.5))
    void = largest_void(solid, axis=0, start=(0.0, 0.2))
    apart = void.center - [1.5, 0.0, 0.0]
    apart -= 15.0 * np.round(apart / 15.0)
    assert np.linalg.norm(apart) < SPACING
    assert void.radius == pytest.approx(np.sqrt(5) * 1.5, abs=SPACING)


def test_slab_across_the_boundary_and_other_axes():
    solid = solid_with_voids(((7.5, 7.5, 14.7), 3.4))
    void = largest_void(solid, axis=2, start=(-0.1, 0.1))
    np.testing.assert_allclose(void.center, [7.5, 7.5, 14.7], atol=0.5)
    assert largest_void(solid, axis=2, start=(0.4, 0.6)).radius < 2.0


def test_void_of_a_skewed_cell_is_the_same_in_fractions():
    # a cell sheared by a whole lattice vector holds the same solid
    solid = solid_with_voids(((1.5, 6.0, 6.0), 3.2))
    sheared = solid.copy()
    sheared.set_cell([[15.0, 0, 0], [15.0, 15.0, 0], [0, 0, 15.0]])
    straight, skewed = (largest_void(atoms, 2, (0.3, 0.5)) for atoms in (solid, sheared))
    assert skewed.radius == pytest.approx(straight.radius, abs=SPACING)
    assert skewed.radius > 3.0


def test_without_periodicity_images_do_not_count():
    atom = Atoms("Ar", [(0.5, 5, 5)], cell=[10.0] * 3, pbc=False)
    assert largest_void(atom, 0, (0.9, 1.0)).radius > 9.0
    atom.pbc = True
    assert largest_void(atom, 0, (0.9, 1.0)).radius < 8.0


def test_insert_appends_the_molecule_unchanged_with_the_most_room():
    solid = solid_with_voids(((1.5, 7.5, 7.5), 3.2))
    water = molecule("H2O")
    found = insert(solid, water, start=(0.0, 0.2), seed=5)
    assert found.ids == [len(solid) + 1, len(solid) + 2, len(solid) + 3]
    assert found.atoms.get_chemical_symbols()[-3:] == ["O", "H", "H"]
    distances = found.atoms.get_distances(found.ids[0] - 1, [found.ids[1] - 1, found.ids[2] - 1], mic=True)
    np.testing.assert_allclose(distances, water.get_distances(0, [1, 2]))
    closest = min(
        found.atoms.get_distances(number - 1, list(range(len(solid))), mic=True).min() for number in found.ids
    )
    assert closest == pytest.approx(found.clearance)
    assert found.clearance > 2.2
    np.testing.assert_array_equal(insert(solid, water, start=(0.0, 0.2), seed=5).atoms.positions,
                                  found.atoms.positions)  # fmt: skip


def test_orientation_gives_a_long_molecule_room():
    # a channel along y, and a rod that fits only along it
    places = np.stack(np.meshgrid(*[np.arange(10) * 1.5] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    in_channel = np.hypot(places[:, 0] - 1.5, places[:, 2] - 7.5) < 2.2
    solid = Atoms(f"Ar{(~in_channel).sum()}", places[~in_channel], cell=[15.0] * 3, pbc=True)
    rod = Atoms("H5", [(x, 0, 0) for x in (-3.0, -1.5, 0, 1.5, 3.0)])
    found = insert(solid, rod, start=(0.0, 0.2))
    ends = found.atoms.get_distance(found.ids[0] - 1, found.ids[-1] - 1, mic=True, vector=True)
    assert abs(ends[1]) > 0.95 * 6.0
    assert found.clearance > 1.9


def test_no_room_is_the_users_error():
    with pytest.raises(UserError, match="no room"):
        insert(solid_with_voids(), molecule("C6H6"))
    with pytest.raises(UserError, match="smaller fraction first"):
        largest_void(solid_with_voids(), start=(0.2, 0.1))


def test_broken_and_bound_molecules_are_seen():
    water = molecule("H2O")
    found = insert(solid_with_voids(((1.5, 7.5, 7.5), 3.2)), water, start=(0.0, 0.2))
    assert is_intact(found.atoms, found.ids, water)
    broken = found.atoms.copy()
    broken.positions[-1] += (0.0, 0.0, 1.0)
    assert not is_intact(broken, found.ids, water)
    bound = found.atoms.copy()
    bound.positions[0] = bound.positions[found.ids[0] - 1] + (1.3, 0.0, 0.0)
    assert not is_intact(bound, found.ids, water)


def test_molecules_by_name_by_element_and_from_a_file(tmp_path):
    assert read_molecule("H2O").get_chemical_formula() == "H2O"
    assert read_molecule("Kr").get_chemical_formula() == "Kr"
    file = tmp_path / "mine.xyz"
    molecule("CH3OH").write(file)
    assert read_molecule(str(file)).get_chemical_formula() == "CH4O"
    with pytest.raises(UserError, match="nor a file"):
        read_molecule("H2Oo")
    (tmp_path / "bad.xyz").write_text("three\n")
    with pytest.raises(UserError, match="cannot read"):
        read_molecule(str(tmp_path / "bad.xyz"))
