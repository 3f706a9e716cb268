"""The input: one set of pydantic models is its schema, its documentation and its defaults.

``load("input.yaml", ["train.stop.wall_time=60s"])`` reads a file, lays the preset of its ``mode`` under it and
the command line's settings over it, and refuses what it does not know or cannot use with a UserError.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeGuard

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from mapmpi import calculators, commands
from mapmpi.errors import CONSENT, ConsentError, UserError
from mapmpi.nearest import nearest_key
from mapmpi.units import DURATION, seconds
from mapmpi.yamltext import parse_yaml, quoted, read_yaml

_DURATIONS = {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": DURATION}]}
Seconds = Annotated[float, BeforeValidator(seconds), Field(gt=0, allow_inf_nan=False), WithJsonSchema(_DURATIONS)]
Coordinate = Annotated[float, Field(ge=-1e6, le=1e6)]
Vector = tuple[Coordinate, Coordinate, Coordinate]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10**12)]
Size = Annotated[int, Field(ge=1, le=16384)]
"""A number of something that is kept in memory."""

COMPLAINTS = 20
"""Mistakes that are told at once."""


class Section(BaseModel):
    """A part of the input; unknown keys are errors, and so is a yes or no where a number belongs."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_values(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what pydantic takes for 0 or 1; YAML reads yes, no, on and off so, too."""
        entries = value if isinstance(value, list) else [value]
        wanted = cls.model_fields[info.field_name or ""].annotation
        if wanted is not bool and any(isinstance(entry, bool) for entry in entries):
            raise ValueError("expected no true or false here (YAML reads yes, no, on and off so)")
        return value


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


class Tether(Section):
    """The harmonic spring between the agent's position and the tagged atoms: k/2·|agent - atoms|²."""

    spring_constant: Positive = Field(100.0, description="kcal/mol/Å²")
    limit: Positive = Field(1.5, description="longest distance between agent and tagged atoms in Å")
    at_limit: Literal["clamp", "end"] = Field(
        "clamp", description="an agent that runs ahead is held at the limit, or its episode ends"
    )


SHORTEST = 1e-6
"""Components of a direction that are all smaller make a zero vector."""

MOST_DIRECTIONS = 1000


class Actions(Section):
    """What an agent can do: move by ``displacement`` along one of a set of directions."""

    directions: Literal["forward5", "axes6", "all26"] | list[Vector] = Field(
        "all26",
        description="all26 (axes and diagonals), axes6, forward5 (the paper's: all axes but backward), or vectors",
    )
    displacement: Positive = Field(0.4, description="length δ of a move in Å")
    forbid_reversal: bool = Field(True, description="never undo the last action at once")

    @model_validator(mode="after")
    def _no_empty_moves(self) -> Actions:
        if not isinstance(self.directions, str):
            if not 1 <= len(self.directions) <= MOST_DIRECTIONS:
                raise ValueError(
                    f"directions: expected 1 to {MOST_DIRECTIONS} vectors, found {len(self.directions)}"
                )
            if any(max(map(abs, vector)) < SHORTEST for vector in self.directions):
                raise ValueError("directions must not hold the zero vector")
        return self


class Goal(Section):
    """Where to: a plane at ``distance`` from the start along ``direction``."""

    direction: Vector = Field((1.0, 0.0, 0.0), description="the forward direction; any length but zero")
    distance: Positive = Field(description="Å from the tagged atoms' start")

    @model_validator(mode="after")
    def _not_zero(self) -> Goal:
        if max(map(abs, self.direction)) < SHORTEST:
            raise ValueError("direction must not be the zero vector")
        return self


class StateGrid(Section):
    """What an agent sees: Gaussians of the atoms around it on a cubic grid."""

    points: int = Field(16, ge=4, le=64, description="grid points along each side")
    spacing: Positive = Field(0.7, description="Å between grid points")
    width: Positive = Field(0.7, description="standard deviation of an atom's Gaussian in Å")
    saturation: Positive = Field(2.0, description="density at which the stored grid (8 bits) saturates")
    channels: Literal["elements", "merged"] = Field("elements", description="a channel per element, or one")


class Reward(Section):
    """One term of the reward."""

    weight: NotNegative = Field(1.0, description="factor of the term")
    enabled: bool = Field(True, description="whether it counts")


class PositionReward(Reward):
    """Along the goal direction: the agent's progress in this action, or its coordinate (the paper), per Å.

    The coordinate is counted from where the tagged atoms are at the start: where a cell has its origin is no matter.
    """

    measure: Literal["progress", "coordinate"] = Field(
        "progress", description="of the agent along the goal's direction: since the last action, or from the start"
    )


class EnergyReward(Reward):
    """Reference energy minus present energy, per eV."""

    weight: NotNegative = Field(0.5, description="factor of the term")
    reference_steps: Count = Field(
        100, description="md: steps before the action whose mean is the reference (minimize: the energy before it)"
    )
    average_steps: Count = Field(20, description="md: last steps whose mean is the present energy")
    clip: Positive = Field(2.0, description="eV at which the term saturates")


class BarrierReward(Reward):
    """Minus the rise of the highest energy on the whole path so far, per eV."""


class DensityReward(Reward):
    """Minus the overlap Σ(1 - d/radius) of the agent with atoms outside the molecule nearer than radius."""

    weight: NotNegative = Field(0.5, description="factor of the term")
    radius: Positive = Field(1.3, description="Å")


class DistanceReward(Reward):
    """Minus the length in Å by which the tether exceeds the threshold."""

    weight: NotNegative = Field(0.5, description="factor of the term")
    threshold: Positive = Field(1.0, description="Å")


class TimeReward(Reward):
    """Minus one per action."""

    weight: NotNegative = Field(0.05, description="factor of the term")


class Rewards(Section):
    """The weighted sum; each term is logged on its own and can be switched off."""

    position: PositionReward = PositionReward()
    energy: EnergyReward = EnergyReward()
    barrier: BarrierReward = BarrierReward()
    density: DensityReward = DensityReward()
    distance: DistanceReward = DistanceReward()
    time: TimeReward = TimeReward()


class Episode(Section):
    """When an episode ends, besides at the goal."""

    max_actions: Count = Field(150, description="step limit")


class NetworkSettings(Section):
    """The Q function: a 3-D convolutional network."""

    channels: list[Size] = Field(
        [16, 32, 32], min_length=1, max_length=16, description="features of each convolution"
    )
    kernel: Literal[3, 5] = Field(3, description="edge of a convolution's kernel in grid points")
    hidden: Size = Field(128, description="features of the fully connected layer")
    dueling: bool = Field(True, description="separate value and advantage streams")


class Learning(Section):
    """Deep Q-learning."""

    discount: float = Field(0.98, gt=0, lt=1, description="γ of one action")
    steps: int = Field(3, ge=1, le=20, description="n of the n-step return")
    imitation: NotNegative = Field(
        3.0,
        description="weight of the loss by which the network learns to do as the plan would in its place; 0: none, "
        "it learns from rewards alone",
    )
    double: bool = Field(True, description="the behaviour network chooses, the target network values")
    batch: Size = Field(64, description="transitions of a gradient step")
    learning_rate: Positive = Field(5e-4, description="of Adam")
    gradient_clip: Positive = Field(10.0, description="largest gradient norm")
    target_interval: Count = Field(50, description="updates between copies into the target network")
    start: Count = Field(100, description="transitions in the buffer before learning starts")
    replay_ratio: Positive = Field(16.0, description="how often a transition is replayed on average")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where gradient steps are made; auto: on a GPU if torch sees one on rank 0's node"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="of the network's inner layers in gradient steps; weights, values and optimizer are float32. "
        "auto: bfloat16 on processors with a matrix unit (AMX), where it pays; float32 elsewhere and in a "
        "deterministic training",
    )


class ReplaySettings(Section):
    """Prioritized experience replay (proportional)."""

    capacity: int = Field(200_000, ge=100, le=10**12, description="states kept; each takes channels·points³ bytes")
    priority_exponent: float = Field(0.6, ge=0, le=1, description="α; 0 samples uniformly")
    importance_exponent: float = Field(0.4, ge=0, le=1, description="β of the importance-sampling weights")


class Exploration(Section):
    """What an agent does where it does not do as the network says, and how often: with a probability ε of its own."""

    kind: Literal["planned", "archive", "random"] = Field(
        "planned",
        description="planned: by a plan over a map of the energy that is learned on the way, from states that were "
        "visited; archive: any action from such a state, that on the lowest path first, each less with every try; "
        "random (the paper's): any action",
    )
    epsilon_max: float = Field(1.0, ge=0, le=1, description="ε of the agent that explores most")
    schedule: Literal["apex", "linear"] = Field("apex", description="ε_i = ε_max^(1 + α·i/(N-1)), or linear")
    alpha: Positive = Field(7.0, description="α of the apex schedule")
    greedy_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of its actions that an agent spends on episodes with ε = 0, from the start",
    )
    prior: Path | None = Field(
        None,
        description="planned: file of what trainings in other structures of the same elements saw "
        "(python -m mapmpi.train.prior makes it); relative to the input file",
    )
    advice_interval: Count = Field(
        10,
        description="planned: actions after which an agent asks for a newer way; archive: after which it goes on from "
        "another state",
    )


class Stop(Section):
    """The training ends at the first of these limits."""

    actions: Count | None = Field(None, description="actions of all agents together")
    episodes: Count | None = Field(None, description="episodes of all agents together")
    wall_time: Seconds | Literal["job"] | None = Field(
        None,
        description="of all its jobs together: 60s, 10min, 2h, 1d or hours:minutes:seconds; job: each ends in order "
        "before Slurm or PBS ends it",
    )
    job_margin: Seconds = Field(120.0, description="job: how long before the batch job's end to stop")

    @model_validator(mode="after")
    def _one_limit(self) -> Stop:
        if self.actions is None and self.episodes is None and self.wall_time is None:
            raise ValueError("set at least one of actions, episodes and wall_time")
        return self


class Train(Section):
    """How phase 1 is spread over the ranks, and when it ends."""

    ranks_per_agent: Count = Field(1, description="ranks that run the simulation of an agent together")
    across_nodes: bool = Field(False, description="whether the ranks of one agent may lie on several nodes")
    stop: Stop = Stop(wall_time="1h")
    learner_threads: Count | Literal["auto"] = Field(
        1,
        description="cores of the learner's gradient steps, if no GPU takes them; auto: all that no other rank needs",
    )
    weights_interval: Count = Field(5, description="actions of an agent between its requests for new weights")
    report_interval: Seconds = Field(10.0, description="time between progress reports and learner.csv rows")
    tensorboard: bool = Field(
        False, description="also write learner.csv and metrics.csv as event files for TensorBoard, RUN_DIR/events"
    )
    checkpoint_interval: Seconds = Field(
        300.0, description="time between checkpoints, from which --resume goes on"
    )
    silence_limit: Seconds = Field(
        600.0,
        description="an agent from which nothing comes for so long is given up; longer than any action takes",
    )


class QuenchSettings(Section):
    """When a quench is at rest, and when it gives up."""

    force: Positive = Field(0.01, description="eV/Å: largest force on an atom of a quenched structure")
    calls: Count = Field(400, description="force calls after which a quench gives up")


class BandSettings(Section):
    """The first band between two minima, and how far it is relaxed before a saddle search goes on from its top."""

    first: Literal["path", "idpp"] = Field(
        "path", description="path: the trajectory's frames and their ways down to the minima; or interpolation"
    )
    spacing: Positive = Field(0.6, description="Å (over all coordinates) between images of a first band")
    images: int = Field(15, ge=5, le=1000, description="most images of a band, with its ends")
    focus_width: Positive = Field(1.0, description="Å before and behind the highest image that are relaxed")
    focus_images: int = Field(5, ge=3, le=99, description="images of that part, an odd number")
    forces: list[Positive] = Field(
        [0.8, 0.4, 0.2],
        min_length=1,
        description="eV/Å on the highest image, down to which the band is relaxed before the first, second … search",
    )
    iterations: Count = Field(15, description="most moves of the band before each search")


class SaddleSettings(Section):
    """When a saddle search has arrived, and when it gives up."""

    force: Positive = Field(0.02, description="eV/Å: largest force on an atom of a transition state")
    calls: Count = Field(250, description="force calls after which a saddle search gives up")


class ConnectSettings(Section):
    """How many searches it may take to connect the ends of a pathway over saddles, and how many run side by side."""

    searches: Count = Field(
        10, description="for each segment that a path is first cut into, and as many for two more"
    )
    at_once: Count = Field(
        8, description="of a pathway that run side by side; more for hundreds of ranks, results depend on it"
    )


class Pneb(Section):
    """Phase 2: from stored pathways to barriers and a time (python -m mapmpi.pneb)."""

    top: Count = Field(1, description="how many of the best episodes are refined")
    straight: bool = Field(
        False, description="refine the straight drag of the training, too, and compare the best pathway with it"
    )
    segmentation: Literal["basins", "profile"] = Field(
        "basins",
        description="basins: frames are quenched and the path cut where the basin changes; profile (the paper's): cut "
        "at the minima of the energy profile between its peaks",
    )
    stride: Count = Field(
        1,
        description="every how many frames are quenched to find the basins, before those between two of different "
        "ones; with 8 all quenches take about half the force calls, but wait for one another: for few ranks",
    )
    prominence: Positive = Field(0.1, description="eV by which a peak of the profile stands out")
    quench: QuenchSettings = QuenchSettings()
    band: BandSettings = BandSettings()
    saddle: SaddleSettings = SaddleSettings()
    connect: ConnectSettings = ConnectSettings()
    same_distance: Positive = Field(0.3, description="Å: atoms of two quenches of one basin are no farther apart")
    same_energy: Positive = Field(
        0.02, description="eV: nor are their energies; without a verified saddle a barrier below this is none"
    )
    remote_distance: Positive = Field(6.0, description="Å from the molecule beyond which a jump is called remote")
    prefactor: Literal["hbar", "h", "vineyard"] = Field(
        "hbar",
        description="of the rates: k_BT/ℏ (the paper's Eq. 3), k_BT/h (Eyring), or from harmonic frequencies",
    )
    temperatures: list[Positive] = Field(
        [623.15], min_length=1, description="K at which times are computed; the first ranks the pathways"
    )
    moving_distance: Positive = Field(
        0.1, description="vineyard: Å that an atom moves to have its frequencies taken"
    )
    hessian_step: Positive = Field(0.01, description="vineyard: Å of the finite differences")
    symmetry: bool = Field(
        True, description="count hops in all copies by the symmetry of the host, for D of a walker in a crystal"
    )
    ranks_per_image: Count = Field(1, description="ranks that compute one configuration together")
    wall_time: Seconds | Literal["job"] | None = Field(
        None,
        description="after which it stops in order and can be started again; job: train.stop.job_margin before Slurm "
        "or PBS ends the batch job",
    )


class Config(Section):
    """A whole input."""

    mode: Literal["default", "paper"] = Field("default", description="paper: vanilla DQN and its rewards")
    seed: int = Field(1, ge=0, le=2**32 - 1, description="of all random numbers")
    deterministic: bool = Field(
        False,
        description="equal seeds repeat a whole training, to the last bit, with one agent on one rank: learner and "
        "agent wait for each other, and a stopped training goes on from its last whole episode",
    )
    structure: Structure
    forcefield: ForceField = ForceField()
    dynamics: Dynamics = Dynamics()
    tether: Tether = Tether()
    actions: Actions = Actions()
    goal: Goal
    state: StateGrid = StateGrid()
    rewards: Rewards = Rewards()
    episode: Episode = Episode()
    network: NetworkSettings = NetworkSettings()
    learning: Learning = Learning()
    replay: ReplaySettings = ReplaySettings()
    exploration: Exploration = Exploration()
    train: Train = Train()
    pneb: Pneb = Pneb()


PAPER: dict[str, Any] = {
    "dynamics": {"relaxation": "md"},
    "actions": {"directions": "forward5", "forbid_reversal": False},
    "state": {"channels": "merged"},
    "rewards": {
        "position": {"measure": "coordinate"},
        "energy": {"average_steps": 1},
        "barrier": {"enabled": False},
    },
    "network": {"dueling": False},
    "learning": {"steps": 1, "double": False, "imitation": 0.0},
    "exploration": {"kind": "random", "epsilon_max": 0.4, "schedule": "apex"},
}
"""What ``mode: paper`` changes: the paper's rewards, action set and vanilla DQN (target network, prioritized
replay). What the input itself says goes before it."""


RENAMED = {
    "minimum_force": ("quench", "force"),
    "minimum_calls": ("quench", "calls"),
    "saddle_force": ("saddle", "force"),
    "saddle_calls": ("saddle", "calls"),
    "first_band": ("band", "first"),
    "image_spacing": ("band", "spacing"),
    "max_images": ("band", "images"),
    "searches": ("connect", "searches"),
    "searches_at_once": ("connect", "at_once"),
}
"""Keys of ``pneb`` that inputs and run directories of before have, and what they are called now."""


def renamed(tree: dict[str, Any]) -> dict[str, Any]:
    """Return an input, or the settings of a pathway, in which the keys of ``pneb`` have their present names."""
    if not isinstance(tree.get("pneb"), dict):
        return tree
    pneb: dict[str, Any] = {}
    for key, value in tree["pneb"].items():
        section, name = RENAMED.get(key, (key, None))
        pneb = merged(pneb, {section: value if name is None else {name: value}})
    return {**tree, "pneb": pneb}


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` laid over it, section by section."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def _setting(text: str) -> dict[str, Any]:
    """Turn ``a.b.c=value`` into ``{a: {b: {c: value}}}``; the value is read as YAML."""
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        raise UserError(f"setting {quoted(text)}: expected key=value, for example train.stop.wall_time=60s.")
    try:
        tree = parse_yaml(value)
    except ValueError:
        raise UserError(
            f"setting {quoted(text)}: {quoted(value)} is not YAML; write it as in the input file."
        ) from None
    for part in reversed(key.split(".")):
        tree = {part: tree}
    return tree


def _complaint(path: Path, tree: Any, error: ValidationError, section: tuple[str, ...] = ()) -> str:
    """Return pydantic's complaints of a tree as one sentence a line, each with the key's path and what was found."""
    wishes: dict[str, list[str]] = {}
    findings: dict[str, str] = {}
    errors = error.errors()
    for item in errors[:COMPLAINTS]:
        place = _place(tree, item["loc"], item["type"] in ("extra_forbidden", "missing"))
        key = ".".join(part if _is_plain(part) else quoted(part) for part in (*section, *place))
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            meant = nearest_key(Config, place)
            advice = "look for a spelling mistake" if meant is None else f"did you mean {meant}?"
            message = f"unknown key; {advice} (`mapmpi keys` lists all)"
        elif item["type"] == "missing":
            message = "this key is required and missing; add it"
        elif not isinstance(item["input"], dict):
            findings[key] = f", found {quoted(item['input'])}"
        wishes.setdefault(key, []).append(message)  # several, where a key may hold values of several kinds
    lines = [
        f"{path}: {key or '(whole input)'}: {', or: '.join(messages)}{findings.get(key, '')}."
        for key, messages in wishes.items()
    ]
    if len(errors) > COMPLAINTS:
        lines.append(f"{path}: {len(errors) - COMPLAINTS} more mistakes of this kind; mend these first.")
    return "\n".join(lines)


def _place(tree: Any, location: Sequence[int | str], last_is_key: bool) -> list[int | str]:
    """Return the keys and indices of a place in the input, without pydantic's names for the kinds of a value.

    ``last_is_key`` where the last key is unknown, or missing.
    """
    place: list[int | str] = []
    for number, part in enumerate(location):
        if isinstance(tree, list):
            inside = isinstance(part, int) and part < len(tree)
        else:
            inside = isinstance(tree, Mapping) and part in tree
        if inside:
            tree = tree[part]
        if inside or (last_is_key and number == len(location) - 1):
            place.append(part)
    return place


def _is_plain(part: object) -> TypeGuard[str]:
    return isinstance(part, str) and part.isprintable() and len(part) < 80


def parse(source: Path | str | Mapping[str, Any], settings: Sequence[str] = ()) -> Config:
    """Return an input checked, with every default filled in, whether or not the files that it names are there.

    Arguments as those of :func:`load`. Raises UserError, a sentence a line.
    """
    path = _path_of(source)
    tree = dict(source) if isinstance(source, Mapping) else read_yaml(path)
    if not isinstance(tree, dict):
        raise UserError(f"{path}: expected keys and values (structure:, goal:, …), found {type(tree).__name__}.")
    tree = renamed(tree)
    for text in settings:
        tree = merged(tree, renamed(_setting(text)))
    if tree.get("mode") == "paper":
        tree = merged(PAPER, tree)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise UserError(_complaint(path, tree, error)) from None


def _path_of(source: Path | str | Mapping[str, Any]) -> Path:
    """Return an input's file; of a dictionary what stands for it in errors."""
    return Path("input") if isinstance(source, Mapping) else Path(source)


def load(
    source: Path | str | Mapping[str, Any],
    settings: Sequence[str] | None = None,
    structure_needed: bool = True,
    allow_commands: bool = False,
) -> Config:
    """Read an input file, or a dictionary like one, and return it checked, with every default filled in.

    Paths become absolute; those of a dictionary are relative to the working directory. ``settings`` are ``key=value``
    texts that go before the file. Without ``structure_needed`` the structure's file may be missing: a run directory
    holds the structure itself. With ``allow_commands`` the commands of the force field may be any of LAMMPS's, those
    that run programs among them, and its ASE calculator any Python code. Raises UserError for anything wrong.
    """
    path, config = _path_of(source), parse(source, settings or [])
    if structure_needed:
        config.structure.file = _existing(path, "structure.file", config.structure.file)
        if config.exploration.prior is not None:
            config.exploration.prior = _existing(path, "exploration.prior", config.exploration.prior)
    _settle_forces(path, config.forcefield, allow_commands)
    return config


def load_forcefield(
    source: Path | Mapping[str, Any], allow_commands: bool = False, name: str = "input"
) -> ForceField:
    """Return the ``forcefield:`` section of a YAML file, or a dictionary like it, checked as :func:`load` does.

    ``name`` is what errors call a dictionary. Raises UserError when there is none, or when it is wrong, or needs
    ``allow_commands``.
    """
    path = Path(name) if isinstance(source, Mapping) else source
    tree = {"forcefield": dict(source)} if isinstance(source, Mapping) else read_yaml(source)
    if not isinstance(tree, dict) or "forcefield" not in tree:
        raise UserError(f"{path}: expected YAML with a section forcefield:, found none.")
    try:
        forcefield = ForceField.model_validate(tree["forcefield"])
    except ValidationError as error:
        raise UserError(_complaint(path, tree["forcefield"], error, ("forcefield",))) from None
    _settle_forces(path, forcefield, allow_commands)
    return forcefield


def _settle_forces(path: Path, forcefield: ForceField, allowed: bool) -> None:
    """Make the paths of a force field absolute; refuse what is not there, and what needs consent."""
    if (reason := commands.refusal(forcefield.commands or [], allowed)) is not None:
        raise _refused(f"{path}: forcefield.commands: {reason}.")
    if forcefield.reaxff_file is not None:
        beside, bare = path.parent / forcefield.reaxff_file, forcefield.reaxff_file.name.startswith("ffield.reax.")
        # a name such as ffield.reax.cho is looked for among the files of the installed LAMMPS
        if os.path.isfile(beside) or not bare or len(forcefield.reaxff_file.parts) > 1:
            forcefield.reaxff_file = _existing(path, "forcefield.reaxff_file", forcefield.reaxff_file)
    if forcefield.ase is None:
        return
    if (reason := calculators.refusal(forcefield.ase, forcefield.arguments, allowed)) is not None:
        raise _refused(f"{path}: forcefield.ase: {reason}.")
    for key, value in calculators.files(forcefield.ase, forcefield.arguments).items():
        beside = path.parent / value
        if os.path.isfile(beside):  # else it is looked for among those of the installed LAMMPS
            forcefield.arguments[key] = str(beside.resolve())


def _refused(sentence: str) -> UserError:
    """Return the error for a force field that is not taken: some are not whoever allows them."""
    return (ConsentError if CONSENT in sentence else UserError)(sentence)


def _existing(input_path: Path, key: str, file: Path) -> Path:
    """Return the file as seen from the input file's folder; raise UserError when it is not there."""
    if not os.path.isfile(found := input_path.parent / file):  # False, too, for names that no file can have
        raise UserError(
            f"{input_path}: {key}: no file {quoted(str(found))}; paths are relative to the input file."
        )
    return found.resolve()


def unit(vector: Vector) -> np.ndarray:
    """Return a vector at length one, shape (3,)."""
    array = np.asarray(vector, dtype=float)
    return array / np.linalg.norm(array)
