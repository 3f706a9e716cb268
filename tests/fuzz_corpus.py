"""Whole files of every kind that mapmpi reads, and what reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ancestors
import ase.io
import numpy as np
from ase import Atoms
from test_choose import silica, write_dump, write_wrapped
from test_journal import RESULTS, TYPES, A, B
from test_pathway_files import doubtful, with_a_pass_beside
from test_trajectory import new_writer, write_episode

from mapmpi import config
from mapmpi.config import load
from mapmpi.pneb import record
from mapmpi.pneb.choose import read_path
from mapmpi.prepare.arguments import read_forcefield
from mapmpi.rl.dqn import Learner
from mapmpi.rl.replay import Replay
from mapmpi.rl.returns import TRANSITION
from mapmpi.store import checkpoint
from mapmpi.store.journal import Journal
from mapmpi.store.metrics import LEARNER_FIELDS, METRICS_FIELDS, CsvLog, read_learner, read_metrics
from mapmpi.store.trajectory import TrajectoryReader
from mapmpi.store.wholepath import WholePaths
from mapmpi.store.writer import TrajectoryWriter
from mapmpi.structures.files import read_structure, write_lammps_data
from mapmpi.structures.insert import read_molecule
from mapmpi.train.resume import past

FACTS = {"elapsed_s": 60.0, "deterministic": True, "episodes": {"1": 4}}
PLAIN = {"structure": {"file": "x", "tagged_atoms": [1]}, "goal": {"distance": 5.0}, "deterministic": True}
CHAIN = (
    ancestors.Episode(1, 1, [0.0, 2.0, 0.5, 3.0]),
    ancestors.Episode(1, 2, [0.5, -1.0, 1.5], (1, 1, 2), 0.2),
    ancestors.Episode(1, 3, [-1.0, 0.0, 0.2], (1, 2, 1), 0.3),
)
INPUT = """\
mode: paper
seed: 7
structure: {file: glass.xyz, elements: [Si, O, H], tagged_atoms: [2], molecule_atoms: [2, 3]}
forcefield:
  units: metal
  skin: 0.7
  commands:
    - pair_style eam/alloy
    - "pair_coeff * * Cu_mishin1.eam.alloy {elements}"
    - fix charges all qeq/point 1 10.0 1e-6 100 reaxff
actions: {directions: [[1, 0, 0], [0.0, 1.0, 0.5]], displacement: 0.4}
goal: {direction: [1, 0, 0], distance: 8.0}
state: {points: 12, spacing: 0.8, channels: elements}
replay: {capacity: 5000}
train: {stop: {wall_time: 10min, actions: 100}, report_interval: 01:30}
pneb: {temperatures: [500, 623.15], prefactor: vineyard}
"""


def make(folder: Path) -> dict[str, tuple[Path, Callable[[Path], object]]]:
    """Write one whole file of each kind; return for each its path and what reads it all."""
    makers = {
        "input.yaml": (lambda path: path.write_text(INPUT), load),
        "forces.yaml": (lambda path: path.write_text(INPUT), read_forcefield),
        "start.data": (_write_data, lambda path: read_structure(path, ["H", "O", "Si"])),
        "masses.data": (_write_data, read_structure),
        "start.extxyz": (_write_structure, read_structure),
        "start.cif": (_write_structure, read_structure),
        "start.vasp": (_write_structure, read_structure),
        "start.pdb": (_write_structure, read_structure),
        "start.xsf": (_write_structure, read_structure),
        "molecule.xyz": (_write_structure, lambda path: read_molecule(str(path))),
        "walk.extxyz": (write_wrapped, lambda path: read_path(path, silica(), None)),
        "walk.dump": (write_dump, lambda path: read_path(path, silica(), ["Si", "O", "H"])),
        "agent-00003.h5": (_write_trajectory, _read_trajectory),
        "agent-00001.h5": (lambda path: ancestors.write_file(path, *CHAIN), _read_trajectory),
        "resumed.h5": (_write_trajectory, TrajectoryWriter.resume),
        "doubtful.h5": (lambda path: record.save(path, doubtful(), {"fmax": 0.05}), record.load),
        "settings.h5": (lambda path: record.save(path, doubtful(), {"fmax": 0.05}), record.load_settings),
        "beside.h5": (lambda path: record.save(path, with_a_pass_beside(), {}), record.load),
        "learner.npz": (_write_checkpoint, checkpoint.load),
        "checkpoint-000001.npz": (
            lambda path: checkpoint.Checkpoints(path.parent).save(training(), FACTS),
            lambda path: _read_training(folder, path),
        ),
        "journal": (_write_journal, _read_journal),
        "metrics.csv": (lambda path: _write_log(path, METRICS_FIELDS), read_metrics),
        "learner.csv": (lambda path: _write_log(path, LEARNER_FIELDS), read_learner),
        "log.csv": (
            lambda path: _write_log(path, METRICS_FIELDS),
            lambda path: CsvLog(path, METRICS_FIELDS).close(),
        ),
    }
    (folder / "glass.xyz").touch()
    for name, (write, _) in makers.items():
        write(folder / name)
    return {name: (folder / name, read) for name, (_, read) in makers.items()}


def _write_structure(path: Path) -> None:
    atoms = silica()
    atoms.positions += 0.01
    ase.io.write(path, atoms)


def _write_data(path: Path) -> None:
    write_lammps_data(
        path, Atoms("SiO2OH", np.arange(15.0).reshape(5, 3) / 3, cell=[9, 10, 11], pbc=True), "glass"
    )


def _write_trajectory(path: Path) -> None:
    writer = new_writer(path)
    for actions in (4, 0, 20):
        write_episode(writer, actions)


def _read_trajectory(path: Path) -> None:
    with TrajectoryReader(path) as reader:
        reader.atoms_template()
        for row in range(len(reader.episodes)):
            reader.episode(row)
        assert reader.last_step >= -1
    paths = WholePaths([path])
    for row in paths.episodes:
        numbers = int(row["agent"]), int(row["episode"])
        paths.heights(*numbers)
        paths.highest_part(*numbers)
        paths.path(*numbers)


def _write_checkpoint(path: Path) -> None:
    random = np.random.default_rng(1)
    arrays = {"weights": random.normal(size=(30, 20)), "states": np.zeros((10, 64), "u1"), "steps": np.array(7)}
    checkpoint.save(path, arrays, {"actions": 100, "settings": {"nested": [1, 2.5, None]}})


def training() -> dict[str, checkpoint.Part]:
    """Return the parts of a small training with some experience."""
    replay = Replay((1, 4, 4, 4), config.ReplaySettings(capacity=100), 1)
    network, learning = config.NetworkSettings(channels=[2], hidden=4), config.Learning(batch=4)
    learner = Learner(replay.shape, 5, network, learning, replay, 1)
    record = np.zeros(1, TRANSITION)
    for number in range(12):
        replay.add_state(0, number, np.full(replay.shape, number, np.uint8))
        record["sequence"], record["next_sequence"], record["td_error"] = number - 1, number, 1.0
        replay.add_transitions(0, record)
    learner.update()
    return {"learner": learner, "replay": replay}


def _read_training(folder: Path, path: Path) -> None:
    """Read a checkpoint as a resumed training does; its ring lies in ``folder``."""
    found = checkpoint.Checkpoints(folder).read(path)
    found.restore(training())
    past(found.facts, config.Config.model_validate(PLAIN))


def _write_journal(path: Path) -> None:
    journal = Journal(path, TYPES)
    journal[A], journal[B] = RESULTS["tree"], RESULTS["tuple of tuples"]
    journal.close()


def _read_journal(path: Path) -> None:
    journal = Journal(path, TYPES)
    try:
        for key in (A, B):
            if key in journal:
                journal[key]
    finally:
        journal.close()


def _write_log(path: Path, fields: tuple[str, ...]) -> None:
    log = CsvLog(path, fields)
    for number in range(5):
        log.write({name: "goal" if name == "outcome" else number for name in fields})
    log.close()
