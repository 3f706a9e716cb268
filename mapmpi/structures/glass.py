"""Silica glass by melt–quench: a random start, a melt under the Vashishta potential, a slow quench, relaxation.

The melt and the quench use P. Vashishta, R. K. Kalia, J. P. Rino and I. Ebbsjö, Phys. Rev. B 41, 12197 (1990),
which LAMMPS brings along: it is many times as fast as ReaxFF, and its glass is a good start for a relaxation.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
from ase import Atoms

from mapmpi.config import Dynamics, ForceField
from mapmpi.errors import UserError
from mapmpi.md.engine import Quench
from mapmpi.md.factory import forces_engine
from mapmpi.md.forcefield import installed_file
from mapmpi.structures.analysis import G_PER_CM3

Progress = Callable[[str, float], None]
"""Called with the name of a stage and the fraction of it that is done."""

MELT_KELVIN, FINAL_KELVIN = 4000.0, 300.0
MELT_PS = 10.0
TIMESTEP_FS = 2.0
"""A fifteenth of the fastest vibration's period (Si–O stretching, some 1,100 cm⁻¹)."""

MELT_STYLE = "vashishta/table 20000 0.2"
"""Tables of the two-body part: a quarter faster than computing it."""

CONTACT = {"SiSi": 2.5, "OSi": 1.5, "OO": 2.0}
"""Shortest distances of the random start in Å; the O–Si one is a little less than a bond."""

MISSES = 5000
"""Random places in a row that are taken already before the random start gives up."""

MAX_CALLS = 2000
"""Force calls of a relaxation after which it is left as it is."""

FORMULA_MASS = float(Atoms("SiO2").get_masses().sum())


def cell_length(units: int, density: float) -> float:
    """Return the edge in Å of the cube that holds ``units`` SiO2 at ``density`` g/cm³."""
    return float((units * FORMULA_MASS * G_PER_CM3 / density) ** (1 / 3))


def random_silica(units: int, length: float, seed: int) -> Atoms:
    """Return ``units`` SiO2 at random places of a periodic cube of edge ``length`` Å, none nearer than CONTACT.

    Raises UserError when they do not fit.
    """
    random = np.random.default_rng(seed)
    placed: dict[str, np.ndarray] = {"Si": np.empty((0, 3)), "O": np.empty((0, 3))}

    def is_free(trial: np.ndarray, symbol: str) -> bool:
        for other, places in placed.items():
            apart = trial - places
            apart -= length * np.round(apart / length)
            if ((apart**2).sum(axis=1) < CONTACT["".join(sorted((symbol, other)))] ** 2).any():
                return False
        return True

    for symbol, count in (("Si", units), ("O", 2 * units)):
        misses = 0
        while len(placed[symbol]) < count and misses < MISSES:
            trial = random.uniform(0.0, length, size=(1, 3))
            if is_free(trial, symbol):
                placed[symbol], misses = np.vstack([placed[symbol], trial]), 0
            else:
                misses += 1
    if len(placed["Si"]) < units or len(placed["O"]) < 2 * units:
        raise UserError(
            f"{units} SiO2 do not fit into a cube of {length:.2f} Å "
            f"({units * FORMULA_MASS * G_PER_CM3 / length**3:.2f} g/cm³); ask for a density of 1 to 3 g/cm³."
        )
    symbols = ["Si"] * units + ["O"] * (2 * units)
    return Atoms(symbols, np.vstack([placed["Si"], placed["O"]]), cell=[length] * 3, pbc=True)


def vashishta() -> ForceField:
    """Return the force field of the melt; the skin is wide because atoms at 4000 K move fast."""
    file = installed_file("SiO.1990.vashishta")
    commands = [f"pair_style {MELT_STYLE}", f'pair_coeff * * "{file}" {{elements}}']
    return ForceField(commands=commands, units="metal", skin=1.0)


def melt_quench(
    atoms: Atoms, rate: float, seed: int, comm: Any = None, progress: Progress = lambda *_: None
) -> Atoms:
    """Melt ``atoms`` at 4000 K, cool them to 300 K at ``rate`` K/ps in a fixed cell; return them at a minimum.

    The energy is that of the Vashishta potential. Raises EngineError when the dynamics fail.
    """
    from mapmpi.md.lammps_engine import LammpsEngine  # only here: who looks at a structure needs no LAMMPS

    dynamics = Dynamics(
        temperature=MELT_KELVIN, timestep=TIMESTEP_FS, damping=100.0, max_temperature=4 * MELT_KELVIN
    )
    melt = round(MELT_PS * 1000 / TIMESTEP_FS)
    cooling = max(1, round((MELT_KELVIN - FINAL_KELVIN) / rate * 1000 / TIMESTEP_FS))

    with closing(LammpsEngine(atoms, vashishta(), dynamics, tagged=[1], comm=comm, seed=seed)) as engine:
        engine.quench(fmax=1.0, max_calls=200)  # or the closest pairs would explode
        engine.restore(engine.snapshot(), seed)
        engine.anneal(MELT_KELVIN, MELT_KELVIN, melt, partial(progress, "melt"))
        engine.anneal(MELT_KELVIN, FINAL_KELVIN, cooling, partial(progress, "quench"))
        positions = engine.quench(fmax=0.05, max_calls=500).positions
    return with_positions(atoms, positions)


def check_forces(atoms: Atoms, forcefield: ForceField, comm: Any = None) -> None:
    """Raise UserError unless ``forcefield`` can be set up for these atoms: better now than after hours of melt."""
    forces_engine(atoms, forcefield, Dynamics(), [1], comm).close()


def relax(atoms: Atoms, forcefield: ForceField, comm: Any = None, fmax: float = 0.02) -> tuple[Atoms, Quench]:
    """Move atoms to the next energy minimum in a fixed cell; return them with charges, and how far it came."""
    with closing(forces_engine(atoms, forcefield, Dynamics(), [1], comm)) as engine:
        result = engine.quench(fmax=fmax, max_calls=MAX_CALLS)
        charges = engine.snapshot().charges
    relaxed = with_positions(atoms, result.positions)
    relaxed.set_initial_charges(charges)
    return relaxed, result


def with_positions(atoms: Atoms, positions: np.ndarray) -> Atoms:
    """Return a copy of ``atoms`` at ``positions`` (n, 3) Å, wrapped into the cell."""
    copy = atoms.copy()
    copy.positions = positions
    copy.wrap()
    return copy
