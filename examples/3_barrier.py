"""The barrier between two structures: an adatom hops over a bridge of Cu(100), forces by ASE's EMT.

python examples/3_barrier.py [PROFILE.png]
"""

import sys

from ase.build import add_adsorbate, fcc100
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms

import mapmpi

initial = fcc100("Cu", (3, 3, 3), a=3.60, vacuum=7.0)
add_adsorbate(initial, "Cu", 1.7, "hollow")
initial.set_constraint(FixAtoms([atom.index for atom in initial if atom.tag == 3]))
final = initial.copy()
final.positions[-1, 0] += initial.cell[0, 0] / 3  # the next hollow

path = mapmpi.find_barrier(initial, final, EMT())
print(path)
print(f"barrier {path.barrier:.3f} eV, back {path.reverse_barrier:.3f} eV")
print(f"transition state: the adatom at {path.transition_state.positions[-1].round(2)}")
print(f"one hop takes {path.time_s(300):.2g} s at 300 K")
if len(sys.argv) > 1:
    path.plot(sys.argv[1])
