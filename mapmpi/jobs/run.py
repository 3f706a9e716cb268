"""``mapmpi jobs``: writes the job scripts of both phases for an input."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from functools import partial
from pathlib import Path

from mapmpi.config import Config, load
from mapmpi.errors import UserError, exit_code
from mapmpi.jobs.template import LAUNCH, PHASES, SCHEDULERS, SUBMIT, Job
from mapmpi.parallel.layout import divide
from mapmpi.parser import Parser
from mapmpi.store.rundir import RunDirectory
from mapmpi.units import duration_text, seconds

EXAMPLE = "example: mapmpi jobs input.yaml --scheduler slurm --nodes 8 --ranks-per-node 64"


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 10**7:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 to 10,000,000")
    return number


def _clock(text: str) -> str:
    if not re.fullmatch(r"\d{1,4}:[0-5]\d:[0-5]\d", text) or seconds(text) == 0.0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write hours:minutes:seconds, such as 12:00:00")
    return text


def _word(text: str) -> str:
    if not re.fullmatch(r"[\w.,:@+-]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not one plain word")
    return text


def _line(text: str) -> str:
    if not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is not one line of text")
    return text


def _command(text: str) -> list[str]:
    try:
        return shlex.split(_line(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a command; close its quotes") from None


_count.__name__ = "whole number"  # argparse names it when the word is no number at all


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = Parser(
        prog="mapmpi jobs",
        usage="mapmpi jobs INPUT --scheduler slurm|pbs --ranks-per-node N [options]",
        description="Writes a chain of training jobs (INPUT-train) and phase 2 (INPUT-pneb).",
        epilog=EXAMPLE,
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=28),
    )
    add = parser.add_argument
    add("input", type=Path, help=argparse.SUPPRESS)
    add("--scheduler", choices=SCHEDULERS, required=True, metavar="NAME", help="slurm or pbs: what runs the jobs")
    add("--nodes", type=_count, default=1, metavar="N", help="nodes of a job (default 1)")
    add("--ranks-per-node", type=_count, required=True, metavar="N", help="ranks on each node, one for a core")
    add("--time", type=_clock, default="12:00:00", metavar="HH:MM:SS", help="of one job (default 12:00:00)")
    add("--partition", type=_word, metavar="NAME", help="or --queue: where jobs wait (default: the system's)")
    add("--queue", dest="partition", type=_word, help=argparse.SUPPRESS)
    add("--account", type=_word, metavar="NAME", help="whose hours are used (default: the system's)")
    add("--gpus-per-node", type=_count, metavar="N", help="each rank sees one of so many GPUs (default: none)")
    setup = "before all else; may be repeated"
    add("--setup", type=_line, action="append", default=[], metavar="COMMAND", help=setup)
    launch = "starts the ranks (default: mpiexec here, or srun)"
    add("--launch", type=_command, metavar="COMMAND", help=launch)
    add("--max-jobs", type=_count, default=20, metavar="N", help="jobs after which a chain ends (default 20)")
    add("--run-dir", type=Path, metavar="FOLDER", help="for the results (default: runs/INPUT-NUMBER)")
    add("--output", type=Path, default=Path("."), metavar="FOLDER", help="for the scripts (default: this folder)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="overrides the input; may be repeated")
    add("--allow-commands", action="store_true", help="let the force field hold any command or Python code")
    add("--force", action="store_true", help="overwrite existing scripts")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Write the scripts and say how to start them; return the exit code."""
    args = make_parser().parse_args(argv)
    return exit_code(lambda: _jobs(args), "choose another --output")


def _jobs(args: argparse.Namespace) -> None:
    """Write the scripts and say how to start them. Raises UserError."""
    config = load(args.input, args.set, allow_commands=args.allow_commands)
    job = make_job(args, config)
    print(_size(job, config))
    _write(job, args.force)
    if isinstance(config.train.stop.wall_time, float):
        print("train.stop.wall_time of the input does not count in a chain; the other limits do.")
    train, pneb = map(job.file, PHASES)
    print(f"wrote {train} and {pneb}\nstart: {SUBMIT[job.scheduler]} {shlex.quote(str(train))}")


FILES = ("structure.file", "forcefield.reaxff_file", "forcefield.arguments", "exploration.prior")
"""Keys that name files, which an input means beside itself and a run directory in it."""


def make_job(args: argparse.Namespace, config: Config) -> Job:
    """Return what the scripts have to say. Raises UserError for what would fail later, or never end."""
    stop = config.train.stop
    if stop.actions is None and stop.episodes is None:
        raise UserError(
            f"{args.input}: train.stop: a chain of jobs ends when so many actions or episodes are done; set "
            "train.stop.actions or train.stop.episodes."
        )
    if seconds(args.time) <= stop.job_margin:
        raise UserError(
            f"--time {args.time}: training stops train.stop.job_margin, {duration_text(stop.job_margin)}, before a "
            "job's end, so nothing is left; ask for more."
        )
    for key in (text.partition("=")[0].strip() for text in args.set):
        if key == "structure" or key.startswith(FILES):
            raise UserError(
                f"--set {key}: the jobs that go on would look for another file; write it into the input."
            )
    beside = Path(sys.executable).with_name("mpiexec")
    allow = ["--allow-commands"] * args.allow_commands
    return Job(
        name=args.input.stem,
        input=args.input.resolve(),
        run_dir=Path.cwd() / (args.run_dir or RunDirectory.next_free(args.input)),
        folder=Path.cwd() / args.output,
        scheduler=args.scheduler,
        nodes=args.nodes,
        ranks_per_node=args.ranks_per_node,
        time=args.time,
        gpus_per_node=args.gpus_per_node or 0,
        queue=args.partition,
        account=args.account,
        max_jobs=args.max_jobs,
        python=sys.executable,
        launch=args.launch or [str(beside) if beside.exists() else LAUNCH[args.scheduler]],
        setup=args.setup,
        options={"train": [word for text in args.set for word in ("--set", text)] + allow, "pneb": allow},
    )


def _size(job: Job, config: Config) -> str:
    """Return in words what the ranks are for. Raises UserError where they hold no agent."""
    across = config.train.across_nodes
    nodes = [0 if across else rank // job.ranks_per_node for rank in range(job.ranks)]
    groups, idle = divide(nodes, config.train.ranks_per_agent)
    many = f"{len(groups)} agents" if len(groups) > 1 else "an agent"
    each = f" of {config.train.ranks_per_agent} ranks" if config.train.ranks_per_agent > 1 else ""
    return f"{job.ranks} ranks: a learner and {many}{each}" + (f"; {len(idle)} stay idle" if idle else "")


def _write(job: Job, force: bool) -> None:
    """Write the scripts. Raises UserError where that cannot be, or one is there and ``force`` is not given."""
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        for file in map(job.file, PHASES):
            if file.exists() and not force:
                raise UserError(f"{file} is there already; give --force to overwrite it.")
        for phase in PHASES:
            job.file(phase).write_text(job.script(phase), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{error.filename}: cannot write there ({error.strerror}); choose another --output."
        ) from None
