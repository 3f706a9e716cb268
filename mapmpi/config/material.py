"""The sections of the material: its atoms, the forces between them, and how it follows an action."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from mapmpi.config.section import Coordinate, Count, NotNegative, Positive, Section


class AtomRegion(Section):
    """The atoms on one side of a plane, or outside the space between two, by their coordinates in the structure."""

    axis: Literal["x", "y", "z"] = Field(description="the coordinate that counts, the cell's origin at zero")
    below: Coordinate | None = Field(None, description="Å: atoms whose coordinate is smaller belong to it")
    above: Coordinate | None = Field(None, description="Å: atoms whose coordinate is larger belong to it")

    @model_validator(mode="after")
    def _some_plane(self) -> AtomRegion:
        if self.below is None and self.above is None:
            raise ValueError("a region needs below or above, a coordinate in Å")
        if self.below is not None and self.above is not None and self.above < self.below:
            raise ValueError("with both, above must not be smaller than below: the space between them stays free")
        return self


def _kind_of_choice(value: Any) -> str:
    return "region" if isinstance(value, dict | AtomRegion) else "ids"


AtomChoice = Annotated[
    Annotated[list[Count], Tag("ids")] | Annotated[AtomRegion, Tag("region")], Discriminator(_kind_of_choice)
]
"""Atoms by their ids (from 1), or by a region."""


class Structure(Section):
    """The atoms at the start of every episode."""

    file: Path = Field(description="any file that ASE reads, or a LAMMPS data file; relative to the input file")
    elements: list[Annotated[str, Field(pattern="^[A-Z][a-z]?$")]] | None = Field(
        None,
        min_length=1,
        description="elements of the LAMMPS atom types, in order (default: from the masses)",
    )
    tagged_atoms: list[Count] = Field(
        min_length=1, description="ids (from 1) of the atoms that the tether pulls at their center of mass"
    )
    molecule_atoms: list[Count] | None = Field(
        None, description="ids of all atoms of the moved molecule (default: the tagged atoms)"
    )
    fixed_atoms: AtomChoice | None = Field(
        None,
        description="ids of atoms that never move, or a region such as {axis: z, below: 5.0} in Å (default: those "
        "that the structure's file fixes, as ASE reads it)",
    )

    @property
    def molecule(self) -> list[int]:
        """Ids of the molecule's atoms; the tagged atoms where none were named."""
        return self.molecule_atoms or self.tagged_atoms


class Simulated(Section):
    """In place of LAMMPS an engine that sleeps: how do a machine and its ranks scale?"""

    seconds: NotNegative = Field(0.5, description="time of an action, the median")
    spread: NotNegative = Field(0.3, description="standard deviation of the logarithm of that time")
    atoms: Count | None = Field(
        None,
        description="size of the structure, which is cut off or repeated along its first cell vector to have it",
    )


class ForceField(Section):
    """The forces: ReaxFF from the installed LAMMPS unless commands are given."""

    commands: list[str] | None = Field(
        None,
        description="LAMMPS commands that define the forces instead of ReaxFF (pair_style, pair_coeff, fix …); "
        "{elements} stands for the elements of the atom types in order",
    )
    units: Literal["real", "metal"] = Field("real", description="LAMMPS units of those commands")
    reaxff_file: Path | None = Field(
        None,
        description="ReaxFF parameters: your file, or the name of one in LAMMPS such as ffield.reax.cho "
        "(default: ffield.reax of the installed LAMMPS)",
    )
    ase: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="an ASE calculator instead of LAMMPS, on one rank: emt, eam, lj, morse, chgnet (if it is "
        "installed), or any other as module:factory, which needs the consent that commands may need",
    )
    arguments: dict[str, Any] = Field(
        {}, description="keyword arguments of that calculator's factory, for eam {potential: FILE}"
    )
    qeq_tolerance: Positive = Field(1e-6, description="charge equilibration: residual at which it stops")
    thb_cutoff: Positive = Field(
        3e-6, description="ReaxFF three-body bond-order cutoff; LAMMPS's 1e-3 makes the forces jump"
    )
    table_points: int = Field(
        2000, ge=0, le=10**6, description="ReaxFF nonbonded tables; 0 computes without tables"
    )
    skin: Positive = Field(0.5, description="neighbour list skin in Å")
    suffix: Literal["omp", "kk", "gpu", "intel", "opt"] | None = Field(
        None,
        description="variant of the LAMMPS styles, from the package that it was built with: omp (OPENMP; threads by "
        "OMP_NUM_THREADS), kk (KOKKOS: GPUs) …",
    )
    gpus: Count | None = Field(
        None, description="kk, gpu: GPUs of a node; a rank takes the one of its number on the node modulo these"
    )
    simulated: Simulated | None = Field(
        None, description="no forces but a simple energy that takes its time, to try how many ranks work together"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> ForceField:
        if self.commands is None and self.units != "real":
            raise ValueError("units: metal needs commands; ReaxFF works in real units")
        if self.gpus is not None and self.suffix not in ("kk", "gpu"):
            raise ValueError("gpus needs suffix: kk, or gpu; the other styles compute on processors")
        if self.ase is None and self.arguments:
            raise ValueError("arguments are those of an ASE calculator; name it in ase")
        lammps = {"commands": self.commands, "reaxff_file": self.reaxff_file, "suffix": self.suffix}
        given = [name for name, value in {**lammps, "simulated": self.simulated}.items() if value is not None]
        if self.ase is not None and given:
            raise ValueError(f"ase computes the forces, and {given[0]} has no part in that; leave one of them out")
        return self


class Dynamics(Section):
    """How the material follows an action: down to rest, or by molecular dynamics (Langevin, no net momentum)."""

    relaxation: Literal["minimize", "md"] = Field(
        "minimize",
        description="minimize: the energy with the tether's goes down after each action, so that a path is nearly one "
        "of least energy; md (the paper's): a short run of dynamics",
    )
    temperature: Positive = Field(10.0, description="K")
    timestep: Positive = Field(0.5, description="fs")
    damping: Positive = Field(50.0, description="relaxation time of the thermostat in fs")
    steps_per_action: Count = Field(
        40, description="force calls, or MD steps, that relax everything after an action"
    )
    equilibration_steps: int = Field(40, ge=0, le=10**9, description="md: steps at the start of each episode")
    max_temperature: Positive = Field(3000.0, description="K; above it the simulation counts as failed")
    max_energy_step: Positive = Field(
        20.0,
        description="eV; where the energy changes by more in one action the simulation counts as failed (the tether "
        "can store k/2·limit², by default 4.9 eV)",
    )
