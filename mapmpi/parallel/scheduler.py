"""When a batch job ends, as its scheduler says: Slurm, PBS Pro and OpenPBS."""

from __future__ import annotations

import json
import os
import subprocess
import time

from mapmpi.errors import UserError
from mapmpi.units import seconds


def seconds_to_work(margin_s: float) -> float:
    """Return the seconds until a run has to stop, ``margin_s`` before its batch job ends.

    Raises UserError where ``seconds_left`` does, and when that is less than the margin.
    """
    left = seconds_left()
    if left <= margin_s:
        raise UserError(
            f"train.stop.job_margin: {margin_s:.0f} s, but the batch job has {left:.0f} s left; ask for more."
        )
    return left - margin_s


def seconds_left() -> float:
    """Return the seconds until this batch job's time is over.

    Raises UserError outside a batch job, and when the scheduler does not tell.
    """
    if "SLURM_JOB_ID" in os.environ:
        return _slurm(os.environ["SLURM_JOB_ID"])
    if "PBS_JOBID" in os.environ:
        return _pbs(os.environ["PBS_JOBID"])
    raise UserError(
        "wall_time: job is the time that Slurm or PBS gives a batch job, and this is none; give a time, "
        "for example 10min."
    )


def _slurm(job: str) -> float:
    """Ask the environment (SLURM_JOB_END_TIME, seconds since 1970), or squeue on older versions."""
    if end := os.environ.get("SLURM_JOB_END_TIME"):
        try:
            return float(end) - time.time()
        except ValueError:
            raise UserError(f"SLURM_JOB_END_TIME is {end!r}, expected seconds since 1970; unset it.") from None
    left = _asked("squeue", "--noheader", "--job", job, "--format", "%L").strip()
    days, _, clock = left.rpartition("-")
    try:
        # minutes:seconds for squeue, which are hours:minutes elsewhere
        return 86400.0 * int(days or 0) + seconds(f"0:{clock}" if clock.count(":") == 1 else clock)
    except ValueError:
        raise UserError(f"squeue says that job {job} has {left!r} left; give wall_time a time.") from None


def _pbs(job: str) -> float:
    """Ask qstat for the time that was asked for and the time that was used."""
    try:
        (facts,) = json.loads(_asked("qstat", "-f", "-F", "json", job))["Jobs"].values()
        limit, used = facts["Resource_List"]["walltime"], facts.get("resources_used", {}).get("walltime", "0s")
        return seconds(limit) - seconds(used)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"qstat does not say how long job {job} may run; give wall_time a time.") from None


def _asked(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(
            f"wall_time: job, but {command[0]} does not answer ({error}); give a time instead."
        ) from None
    return done.stdout
