"""Forces of a film's frames, computed anew by the run's own force field."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np
from ase import Atoms

from mapmpi.config import Config, load
from mapmpi.errors import EngineError, UserError
from mapmpi.export.film import Film
from mapmpi.md.engine import Engine
from mapmpi.md.factory import make_engine
from mapmpi.md.forcefield import describe
from mapmpi.store.rundir import RunDirectory
from mapmpi.structures.inputs import check_atoms, settle_fixed_atoms

STORED = "stored_energy_ev"
"""The value that keeps the energy which a frame had in the run."""


def with_forces(film: Film, run: RunDirectory, allow_commands: bool = False) -> tuple[Film, str]:
    """Return the film with forces, and a sentence on them. Those on fixed atoms are zero.

    Energies become those of the same force calls, so that they belong together; what was stored stays a value of its
    own. They differ where a trajectory's positions were rounded, or an energy is the mean over some steps of dynamics
    (``dynamics.relaxation: md``). Raises UserError where the force field cannot be had, needs ``allow_commands``, or
    fails.
    """
    config = load(run.config, structure_needed=False, allow_commands=allow_commands)
    if config.forcefield.simulated is not None:
        raise UserError(
            f"--forces: {run.config} has a simulated engine, which knows no forces; leave the option out."
        )
    atoms = film.atoms.copy()
    atoms.positions = film.positions[0]
    check_atoms(run.config, config, atoms)
    settle_fixed_atoms(run.config, config, atoms)
    energies, forces = np.empty(len(film)), np.empty_like(film.positions)
    with closing(_engine(config, atoms)) as engine:
        for number, positions in enumerate(film.positions):
            try:
                energies[number], forces[number] = engine.evaluate(positions)
            except EngineError as error:
                raise UserError(
                    f"--forces: those of frame {number} cannot be computed ({error}); choose others by --frame."
                ) from None
    apart = float(np.abs(energies - film.energies).max())
    values = {**film.values, STORED: (film.energies, "eV")}
    sentence = f"{describe(config.forcefield)} Stored energies differ from theirs by {apart:.1g} eV at most."
    return replace(film, energies=energies, forces=forces, values=values), sentence


def _engine(config: Config, atoms: Atoms) -> Engine:
    try:
        return make_engine(config, atoms)
    except EngineError as error:
        raise UserError(f"--forces: the run's force field does not take its structure ({error}).") from None
