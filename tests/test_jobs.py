"""Job scripts: what is written, what bash makes of it, and a chain in which only PBS itself is stood in for."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import MPIEXEC, ROOT
from running import committed, rows_twice, write_analytic_input

from mapmpi import cli
from mapmpi.errors import FAILED, REFUSED, UNFINISHED
from mapmpi.jobs.template import PHASES, SCHEDULERS, fill
from mapmpi.store.metrics import read_metrics

CLOCK = r"\d+:[0-5]\d:[0-5]\d"
NAME = r"(?=.{1,15}$)[A-Za-z][\w-]*"
SLURM = {
    "job-name": NAME,
    "output": r"%x-%j\.out",
    "nodes": r"[1-9]\d*",
    "ntasks-per-node": r"[1-9]\d*",
    "cpus-per-task": "1",
    "time": CLOCK,
    "partition": r"\S+",
    "account": r"\S+",
    "gpus-per-node": r"[1-9]\d*",
}
PBS = {
    "-N": NAME,
    "-j": "oe",
    "-l select": r"[1-9]\d*:ncpus=[1-9]\d*:mpiprocs=[1-9]\d*(:ngpus=[1-9]\d*)?",
    "-l walltime": CLOCK,
    "-q": r"\S+",
    "-A": r"\S+",
    "-r": "n",
}


def directives(text: str, scheduler: str) -> dict[str, str]:
    """Return what a script asks its scheduler for; AssertionError for anything that no scheduler of the kind reads."""
    mark, known, found = ("#SBATCH", SLURM, {}) if scheduler == "slurm" else ("#PBS", PBS, {})
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    head = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    assert not [line for line in lines[head:] if line.lstrip().startswith(mark)], "behind the first command"
    for line in lines[:head]:
        if not line.startswith(mark):
            continue
        if line == "#SBATCH --no-requeue":
            found["no-requeue"] = ""
            continue
        pattern = r"#SBATCH --([a-z-]+)=(.+)" if scheduler == "slurm" else r"#PBS (-l \w+(?==)|-\w)[= ](.+)"
        match = re.fullmatch(pattern, line)
        assert match, line
        key, value = match.groups()
        assert key not in found, f"{key} twice"
        assert re.fullmatch(known[key], value), line
        found[key] = value
    return found


def same_part(text: str) -> str:
    """Return what has to be the same with both schedulers."""
    head, mark, body = text.partition("# ---- from here on the same with Slurm and PBS\n")
    assert head
    assert mark
    return body


def jobs(*words: object) -> int:
    return cli.main(["jobs", *map(str, words)])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return an input that a chain can come to an end with."""
    path = write_analytic_input(tmp_path)
    path.write_text(path.read_text() + "train: {stop: {actions: 500}}\n")
    return path


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder before all others in the path, and take away what a surrounding batch job says."""
    for name in list(os.environ):
        if name.startswith(("SLURM_", "PBS_", "MAPMPI_")):
            monkeypatch.delenv(name)
    (folder := tmp_path / "commands").mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def command(folder: Path, name: str, body: str) -> Path:
    """Write a command of bash."""
    (path := folder / name).write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("phase", PHASES)
def test_the_templates_are_scripts_as_they_are(phase: str) -> None:
    texts = {scheduler: (ROOT / "jobs" / f"{phase}.{scheduler}").read_text() for scheduler in SCHEDULERS}
    for scheduler, text in texts.items():
        assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
        asked = directives(text, scheduler)
        assert asked.get("time", asked.get("-l walltime")) == "12:00:00"
    assert same_part(texts["slurm"]).replace("sbatch", "qsub") == same_part(texts["pbs"])


def test_both_scripts_for_slurm(tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--time",
        "06:30:00",
        "--partition",
        "big",
        "--account",
        "me",
        "--setup",
        "module load a",
        "--setup",
        "b",
    ]
    folder = tmp_path / "of mine"
    assert (
        jobs(source, "--scheduler", "slurm", "--nodes", 8, "--ranks-per-node", 64, *words, "--output", folder) == 0
    )
    said = capsys.readouterr().out
    assert "512 ranks: a learner and 511 agents\n" in said
    assert f"start: sbatch '{folder}/wall-train.slurm'" in said
    for phase in PHASES:
        text = (folder / f"wall-{phase}.slurm").read_text()
        assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
        assert directives(text, "slurm") == {
            "job-name": f"wall-{phase}", "output": "%x-%j.out", "nodes": "8", "ntasks-per-node": "64",
            "cpus-per-task": "1", "time": "06:30:00", "partition": "big", "account": "me", "no-requeue": "",
        }  # fmt: skip
        assert "\nmodule load a\nb\n" in text
        assert f"\nPNEB_JOB='{folder}/wall-pneb.slurm'\n" in text
        assert f"\nRUN_DIR={Path.cwd()}/runs/wall-" in text
    assert f"\nINPUT={source}\n" in (folder / "wall-train.slurm").read_text()


def test_both_scripts_for_pbs_with_gpus(tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--gpus-per-node", 4, "--set", "seed=2", "--set", "train.ranks_per_agent=5", "--allow-commands"]
    words += ["--launch", "mpiexec --ppn 32", "--output", tmp_path, "--run-dir", tmp_path / "run"]
    source = source.rename(tmp_path / "2nd glass, long name.yaml")
    assert jobs(source, "--scheduler", "pbs", "--nodes", 2, "--ranks-per-node", 32, *words) == 0
    assert "64 ranks: a learner and 12 agents of 5 ranks; 3 stay idle" in capsys.readouterr().out
    for phase in PHASES:
        text = (tmp_path / f"{source.stem}-{phase}.pbs").read_text()
        asked = directives(text, "pbs")
        assert asked["-l select"] == "2:ncpus=32:mpiprocs=32:ngpus=4"
        assert "-q" not in asked
        assert "\nLAUNCH=(mpiexec --ppn 32)\n" in text
        assert "\nGPUS=4\n" in text
        settings = "--set seed=2 --set train.ranks_per_agent=5 " if phase == "train" else ""
        assert f"\nOPTIONS=({settings}--allow-commands)\n" in text


def test_scripts_are_not_overwritten(tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [source, "--scheduler", "pbs", "--ranks-per-node", 3, "--output", tmp_path]
    assert jobs(*words) == 0
    assert jobs(*words) == REFUSED
    assert "wall-train.pbs is there already; give --force" in capsys.readouterr().err
    capsys.readouterr()
    assert jobs(*words, "--force", "--set", "train.stop.wall_time=1h") == 0
    assert "train.stop.wall_time of the input does not count in a chain" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--set", "train.stop={actions: null, wall_time: 1h}"], "set train.stop.actions or train.stop.episodes."),
        (
            ["--set", "train.ranks_per_agent=4"],
            "train.ranks_per_agent: 4 ranks cannot hold a learner and an agent of",
        ),
        (["--time", "00:02:00"], "--time 00:02:00: training stops train.stop.job_margin, 2 min, before"),
        (
            ["--set", "structure.file=wall.extxyz"],
            "--set structure.file: the jobs that go on would look for another",
        ),
        (
            ["--set", "structure={file: wall.extxyz}"],
            "--set structure: the jobs that go on would look for another",
        ),
        (["--set", "structure.fil=x"], "structure.fil: unknown key"),
        (["--output", "/proc/nowhere"], "cannot write there"),
    ],
)
def test_a_mistake_in_the_input(
    source: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert (
        jobs(source, "--scheduler", "slurm", "--ranks-per-node", 4, "--output", source.parent, *words) == REFUSED
    )
    said = capsys.readouterr().err
    assert said.startswith("mapmpi: ")
    assert sentence in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--time", "2h"], "argument --time: '2h' is no time; write hours:minutes:seconds, such as 12:00:00"),
        (["--time", "12:00"], "'12:00' is no time"),
        (["--nodes", "0"], "argument --nodes: 0 is not a whole number from 1"),
        (["--nodes", "two"], "argument --nodes: invalid whole number value: 'two'"),
        (["--partition", "a\n#SBATCH"], "is not one plain word"),
        (["--setup", "a\nb"], "is not one line of text"),
        (["--launch", "'srun"], "is not a command; close its quotes"),
        (["--scheduler", "lsf"], "invalid choice: 'lsf'"),
    ],
)
def test_a_mistake_in_the_command_line(
    source: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit) as left:
        jobs(source, "--scheduler", "slurm", "--ranks-per-node", 4, "--output", source.parent, *words)
    assert left.value.code == REFUSED
    assert sentence in capsys.readouterr().err


def test_help_fits_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        jobs("--help")
    said = capsys.readouterr().out
    assert "example: mapmpi jobs input.yaml --scheduler slurm --nodes 8" in said
    assert max(map(len, said.splitlines())) <= 80


def test_a_template_that_does_not_fit_is_a_defect() -> None:
    assert fill("A=1\n#B=2\n", {"B=": r"\1$x"}) == "A=1\nB=\\1$x\n"
    for text in ("A=1\n", "B=1\n#B=2\n"):
        with pytest.raises(ValueError, match="lines of the template begin with 'B='"):
            fill(text, {"B=": "3"})


def run_script(script: Path, scheduler: str, number: int, ranks: int = 2) -> subprocess.CompletedProcess[str]:
    """Run a script as a batch system would: with its variables, in a folder from which it was not submitted."""
    nodes = script.parent / "nodes"
    nodes.write_text("localhost\n" * ranks)
    told = {"PBS_JOBID": f"{number}.head", "PBS_NODEFILE": str(nodes), "PBS_O_WORKDIR": str(script.parent)}
    if scheduler == "slurm":
        told = {"SLURM_JOB_ID": f"{number}", "SLURM_JOB_NUM_NODES": "1", "SLURM_NTASKS_PER_NODE": str(ranks)}
        told["SLURM_SUBMIT_DIR"] = str(script.parent)
    environment = {**os.environ, **told, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", str(script)], capture_output=True, text=True, env=environment, cwd="/", timeout=200, check=False
    )


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize(
    ("code", "episodes", "job", "sent", "words"),
    [
        (0, 1, 1, "afterok 1 pneb", "training is finished; phase 2 follows"),
        (UNFINISHED, 1, 1, "afterany 2 train", ""),
        (UNFINISHED, 1, 3, None, "this was the last of 3 jobs"),
        (UNFINISHED, 0, 1, None, "got no further in this job; the chain ends here"),
        (FAILED, 1, 1, None, "the training failed with exit code 1, see above; the chain ends here"),
        (137, 1, 1, None, "the training failed with exit code 137"),
    ],
)
def test_what_follows_a_training(
    tmp_path: Path, source: Path, commands: Path, monkeypatch: pytest.MonkeyPatch,
    scheduler: str, code: int, episodes: int, job: int, sent: str | None, words: str,
) -> None:  # fmt: skip
    submit = "sbatch" if scheduler == "slurm" else "qsub"
    command(commands, submit, f'printf "%s\\n" "$@" > {tmp_path}/sent')
    (tmp_path / "run").mkdir()
    launch = command(
        commands, "launch", f"head -c {2 * episodes} /dev/zero | tr '\\0' '\\n' >> run/metrics.csv; exit {code}"
    )
    options = ["--launch", launch, "--max-jobs", 3, "--run-dir", tmp_path / "run", "--output", tmp_path]
    assert jobs(source, "--scheduler", scheduler, "--ranks-per-node", 2, *options) == 0
    monkeypatch.setenv("MAPMPI_JOB", str(job))
    done = run_script(tmp_path / f"wall-train.{scheduler}", scheduler, 7)
    assert words in done.stdout
    assert f"job {job} of at most 3, 2 ranks" in done.stdout
    assert done.returncode == (0 if sent else code)
    assert (tmp_path / "sent").exists() == bool(sent)
    if sent:
        condition, following, phase = sent.split()
        file = str(tmp_path / f"wall-{phase}.{scheduler}")
        expected = {
            "slurm": [f"--dependency={condition}:7", f"--export=ALL,MAPMPI_JOB={following}", file],
            "pbs": ["-W", f"depend={condition}:7.head", "-v", f"MAPMPI_JOB={following}", file],
        }
        assert (tmp_path / "sent").read_text().splitlines() == expected[scheduler]


@pytest.mark.parametrize(
    ("code", "computed", "sent", "words"),
    [
        (0, "more", False, "all is done"),
        (UNFINISHED, "more", True, ""),
        (UNFINISHED, "", False, "phase 2 got no further in this job"),
        (REFUSED, "", False, "phase 2 failed with exit code 2"),
    ],
)
def test_what_follows_phase_2(
    tmp_path: Path, source: Path, commands: Path, code: int, computed: str, sent: bool, words: str
) -> None:
    command(commands, "sbatch", f'echo "$@" > {tmp_path}/sent')
    (tmp_path / "run" / "pathways").mkdir(parents=True)
    launch = command(commands, "launch", f'printf "{computed}" >> run/pathways/journal; exit {code}')
    (tmp_path / "run" / "pathways" / "journal").touch()
    options = ["--launch", launch, "--run-dir", tmp_path / "run", "--output", tmp_path]
    assert jobs(source, "--scheduler", "slurm", "--ranks-per-node", 2, *options) == 0
    done = run_script(tmp_path / "wall-pneb.slurm", "slurm", 7)
    assert words in done.stdout
    assert done.returncode == (0 if sent else code)
    assert (tmp_path / "sent").exists() == sent
    if sent:
        following = f"--dependency=afterany:7 --export=ALL,MAPMPI_JOB=2 {tmp_path}/wall-pneb.slurm\n"
        assert (tmp_path / "sent").read_text() == following


def test_a_successor_that_cannot_be_sent(tmp_path: Path, source: Path, commands: Path) -> None:
    command(commands, "qsub", "echo no more jobs >&2; exit 1")
    launch = command(commands, "launch", "exit 0")
    options = ["--launch", launch, "--run-dir", tmp_path / "run", "--output", tmp_path]
    assert jobs(source, "--scheduler", "pbs", "--ranks-per-node", 2, *options) == 0
    done = run_script(tmp_path / "wall-train.pbs", "pbs", 1)
    assert done.returncode == FAILED
    assert "no more jobs" in done.stderr


@pytest.mark.mpi
@pytest.mark.parametrize(("given", "expected"), [(None, ["0", "0", "1", "1"]), ("4,6", ["4", "4", "6", "6"])])
def test_every_rank_sees_a_gpu_and_mps_ends_with_the_job(
    tmp_path: Path,
    source: Path,
    commands: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: str | None,
    expected: list[str],
) -> None:
    log = tmp_path / "mps.log"
    command(
        commands, "nvidia-cuda-mps-control", f'echo "${{*:-$(cat)}} of ${{CUDA_VISIBLE_DEVICES:-all}}" >> {log}'
    )
    python = command(
        commands, "python-stand-in", f'sleep 1; echo "$CUDA_VISIBLE_DEVICES" > {tmp_path}/rank-$PMI_RANK'
    )
    options = ["--gpus-per-node", 2, "--run-dir", tmp_path / "run", "--output", tmp_path]
    assert jobs(source, "--scheduler", "pbs", "--ranks-per-node", 4, *options) == 0
    script = tmp_path / "wall-train.pbs"
    script.write_text(fill(script.read_text(), {"PYTHON=": str(python)}))
    command(commands, "qsub", "")
    if given is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    done = run_script(script, "pbs", 1, ranks=4)
    assert done.returncode == 0, done.stderr
    assert sorted(path.read_text().strip() for path in tmp_path.glob("rank-*")) == expected
    assert log.read_text().splitlines()[0] == "-d of all"
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["-d", "quit"]


@pytest.fixture(scope="module")
def maze(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the input of a small labyrinth for the real LAMMPS."""
    folder = tmp_path_factory.mktemp("maze")
    words = ["labyrinth", folder / "maze", "--seed", 1, "--obstacles", 60, "--length", 13, "--distance", 6]
    start = [sys.executable, "-m", "mapmpi.prepare", *map(str, words)]
    subprocess.run(start, check=True, capture_output=True, cwd=ROOT, timeout=200)
    return folder / "maze.yaml"


def qstat(commands: Path, left_s: int) -> None:
    """Let PBS say how long the job may run."""
    facts = {"Resource_List": {"walltime": f"0:{left_s // 60:02d}:{left_s % 60:02d}"}}
    command(commands, "qstat", f"echo '{json.dumps({'Jobs': {'1.head': facts}})}'")


@pytest.mark.lammps
@pytest.mark.mpi
@pytest.mark.timeout(600)
def test_a_chain_of_pbs_jobs_from_training_to_barriers(tmp_path: Path, maze: Path, commands: Path) -> None:
    command(commands, "qsub", f'printf "%s " "$@" > {tmp_path}/sent')
    run, sent = tmp_path / "run", tmp_path / "sent"

    def write(actions: int) -> Path:
        options = ["--run-dir", run, "--output", tmp_path, "--force", "--set", f"train.stop.actions={actions}"]
        options += [
            "--set",
            "train.stop.job_margin=20",
            "--set",
            "network.channels=[8,16]",
            "--set",
            "learning.batch=16",
        ]
        assert jobs(maze, "--scheduler", "pbs", "--ranks-per-node", 2, "--time", "0:01:00", *options) == 0
        return tmp_path / "maze-train.pbs"

    qstat(commands, 35)
    done = run_script(write(10**6), "pbs", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sent.read_text() == f"-W depend=afterany:1.head -v MAPMPI_JOB=2 {tmp_path}/maze-train.pbs "
    before, unreadable, twice = committed(run)
    assert before
    assert (unreadable, twice) == (0, 0)

    qstat(commands, 3599)
    actions = sum(int(row["actions"]) for row in read_metrics(run / "metrics.csv"))
    done = run_script(write(actions + 150), "pbs", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Going on from checkpoint" in done.stdout
    assert sent.read_text() == f"-W depend=afterok:2.head -v MAPMPI_JOB=1 {tmp_path}/maze-pneb.pbs "
    after, unreadable, twice = committed(run)
    assert (unreadable, twice, rows_twice(run)) == (0, 0, 0)
    assert sorted(after) == [(1, number) for number in range(1, len(after) + 1)]
    assert len(after) > len(before)

    # phase 2 meets its own limit first, and then is done
    sent.unlink()
    words = ["-n", "2", sys.executable, "-m", "mapmpi.pneb", str(run), "--set", "pneb.wall_time=0.3"]
    stopped = subprocess.run(
        [str(MPIEXEC if MPIEXEC.exists() else "mpiexec"), *words],
        capture_output=True, text=True, cwd=ROOT, timeout=200, check=False,
    )  # fmt: skip
    assert stopped.returncode == UNFINISHED, stopped.stdout + stopped.stderr
    assert "the same command goes on from there" in stopped.stdout
    done = run_script(tmp_path / "maze-pneb.pbs", "pbs", 3)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"all is done; {run}/pathways/pathways.csv ranks" in done.stdout
    assert (run / "pathways" / "pathways.csv").exists()
    assert not sent.exists()


NEEDED = ("slurmctld", "slurmd", "sbatch", "srun", "munged")


@pytest.mark.lammps
@pytest.mark.mpi
@pytest.mark.timeout(1200)
@pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, NEEDED)), reason="needs root, Slurm's daemons and munge"
)
def test_a_real_slurm() -> None:
    environment = {**os.environ, "PYTHON": sys.executable}
    script = str(ROOT / "tests" / "slurm.sh")
    done = subprocess.run(
        ["bash", script], capture_output=True, text=True, env=environment, timeout=1100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
