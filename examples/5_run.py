"""Reading a run: its episodes, the best path, and the pathway that phase 2 made of it, plotted.

mpiexec -n 3 python -m mapmpi.train inputs/copper-adatom.yaml --run-dir RUN_DIR
mpiexec -n 2 python -m mapmpi.pneb RUN_DIR
python examples/5_run.py RUN_DIR [PICTURE.png]
"""

import csv
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import mapmpi

run = Path(sys.argv[1])
picture = sys.argv[2] if len(sys.argv) > 2 else run / "overview.png"

with open(run / "metrics.csv", newline="") as handle:
    episodes = list(csv.DictReader(handle))
goals = [row for row in episodes if row["outcome"] == "goal"]
print(f"{len(episodes)} episodes, {len(goals)} at the goal")

frames = mapmpi.read_episode(run)
energies = np.array([frame.get_potential_energy() for frame in frames])
print(f"the best path has {len(frames)} frames and rises to {np.ptp(energies):.3f} eV")

path = mapmpi.read_pathway(run)
print(path)

figure = Figure(figsize=(7, 3), layout="constrained")
left, right = figure.subplots(1, 2)
left.plot([float(row["total_reward"]) for row in episodes], ".-")
left.set(xlabel="episode", ylabel="return")
images = [image.get_potential_energy() - energies[0] for image in path.images]
right.plot(np.linspace(0, 1, len(energies)), energies - energies[0], ".", label="best episode")
right.plot(np.linspace(0, 1, len(images)), images, label="refined")
right.set(xlabel="share of the path", ylabel="energy (eV)")
right.legend()
figure.savefig(picture)
print(f"{picture}; and the profile, as phase 2 draws it: path.plot()")
