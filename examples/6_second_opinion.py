"""A second opinion on a barrier: the same hop by another potential.

    python examples/6_second_opinion.py

Of all pathways of a run: `mpiexec -n 2 python -m mapmpi.pneb RUN_DIR --with emt`, or `--with chgnet` for a neural
network that knows all elements (pip install 'mapmpi[chgnet]').
"""

from ase.build import add_adsorbate, fcc100
from ase.constraints import FixAtoms

import mapmpi

initial = fcc100("Cu", (3, 3, 3), a=3.60, vacuum=7.0)
add_adsorbate(initial, "Cu", 1.7, "hollow")
initial.set_constraint(FixAtoms([atom.index for atom in initial if atom.tag == 3]))
final = initial.copy()
final.positions[-1, 0] += initial.cell[0, 0] / 3

first = mapmpi.find_barrier(initial, final, "emt")

# EAM by Mishin et al. (2001), a file that the installed LAMMPS brings along; it begins with the path of the first
eam = {"ase": "eam", "arguments": {"potential": "Cu_mishin1.eam.alloy"}}
frames = first.images[:: max(1, len(first.images) // 6)]
for frame in frames:
    frame.set_constraint(initial.constraints)
second = mapmpi.refine(frames, eam, moving=[len(initial) - 1])

for name, path in (("EMT", first), ("EAM", second)):
    place = path.transition_state.positions[-1] - path.minima[0].positions[-1]
    print(f"{name}: {path.barrier:.3f} eV, transition state {place.round(2)} Å from the minimum, {path}")
