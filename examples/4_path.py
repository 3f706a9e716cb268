"""Refinement of a path of your own: the adatom pushes an atom out of the surface of Cu(100) and takes its place.

    python examples/4_path.py [PATH.extxyz]

Frames may come from anywhere (a trajectory: `ase.io.read("md.extxyz", ":")`), and need not be relaxed.
"""

import sys

import ase.io
import numpy as np
from ase.build import add_adsorbate, fcc100
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms

import mapmpi

start = fcc100("Cu", (3, 3, 3), a=3.60, vacuum=7.0)
add_adsorbate(start, "Cu", 1.7, "hollow")
start.set_constraint(FixAtoms([atom.index for atom in start if atom.tag == 3]))

adatom = len(start) - 1
near = [atom.index for atom in start if atom.tag == 1 and start.get_distance(adatom, atom.index) < 2.7]
pushed = max(near, key=lambda index: start.positions[index] @ [1, 1, 0])
across = start.positions[pushed] - start.positions[adatom]  # the pushed atom goes on as far as the adatom came
frames = []
for share in np.linspace(0.0, 1.0, 7):
    frame = start.copy()
    frame.positions[adatom] += share * across
    frame.positions[pushed] += share * across * [1, 1, -1] + [0, 0, 0.6 * np.sin(np.pi * share)]
    frames.append(frame)

path = mapmpi.refine(frames, EMT(), moving=[adatom, pushed])
print(path)
for number, barrier in enumerate(path.barriers, 1):
    print(f"hop {number}: {barrier:.3f} eV")
print(*path.faults, sep="\n")
if len(sys.argv) > 1:
    ase.io.write(sys.argv[1], path.images)
