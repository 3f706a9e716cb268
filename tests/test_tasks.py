"""The pool of ranks: answers, errors, dead groups, interruption, fair shares. Scenarios: ``analytic_tasks.py``."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Done, mpiexec

from mapmpi.errors import UserError
from mapmpi.parallel.groups import SERVE_ONLY, divide

SCRIPT = Path(__file__).parent / "analytic_tasks.py"
LAYOUTS = [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (5, 1), (5, 2)]
"""Ranks, and ranks of a group."""


def run(scenario: str, ranks: int, ranks_per_image: int = 1, *words: str) -> Done:
    return mpiexec(ranks, SCRIPT, scenario, ranks_per_image, *words, timeout=60)


def numbers(done: Done, name: str) -> list[int]:
    """Return the line of numbers, one of each rank, that begins with a name."""
    (line,) = (line for line in done.stdout.splitlines() if line.startswith(name + " "))
    return [int(word) for word in line.split()[1:]]


def good(done: Done) -> bool:
    return done.returncode == 0 and "good" in done.stdout


def test_division():
    assert divide(1, 1) == ([(0,)], [])
    assert divide(5, 2) == ([(0, 1), (2, 3)], [4])
    assert divide(SERVE_ONLY, 1) == ([(rank,) for rank in range(SERVE_ONLY)], [])
    groups, idle = divide(2 * SERVE_ONLY + 4, 2)
    last = 2 * SERVE_ONLY + 1
    assert (groups[0], groups[-1], idle) == ((1, 2), (last, last + 1), [last + 2])
    with pytest.raises(UserError, match=r"pneb.ranks_per_image: 1 rank cannot"):
        divide(1, 2)


@pytest.mark.mpi
@pytest.mark.parametrize(("ranks", "ranks_per_image"), LAYOUTS)
@pytest.mark.parametrize("scenario", ["answers", "quenches"])
def test_answers_are_right_and_in_order(scenario, ranks, ranks_per_image):
    done = run(scenario, ranks, ranks_per_image)
    assert good(done), done


@pytest.mark.mpi
@pytest.mark.parametrize(("ranks", "ranks_per_image"), [(3, 1), (5, 2)])
def test_rank_0_may_only_serve(ranks, ranks_per_image):
    done = run("answers", ranks, ranks_per_image, "serve")
    assert good(done), done
    assert numbers(done, "made")[0] == 0


@pytest.mark.mpi
@pytest.mark.parametrize(("ranks", "ranks_per_image"), [(1, 1), (3, 1), (2, 2), (5, 2)])
def test_errors_come_where_they_belong(ranks, ranks_per_image):
    done = run("errors", ranks, ranks_per_image)
    assert good(done), done
    renewed = numbers(done, "renewed")
    assert sum(renewed) == 20 * ranks_per_image
    assert (
        renewed[::ranks_per_image][: ranks // ranks_per_image] == renewed[ranks_per_image - 1 :: ranks_per_image]
    )


@pytest.mark.mpi
def test_a_lost_group_is_replaced():
    done = run("lost", 3)
    assert good(done), done
    assert "group 2 is lost: one rank died" in done.stderr


@pytest.mark.mpi
def test_a_group_that_hangs_is_replaced_and_the_job_ends():
    done = run("lost", 4, 2)
    assert "group 1 is lost: one rank died" in done.stderr, done
    assert "some ranks hang in a dead group" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.mpi
def test_without_rank_0_the_job_ends():
    done = run("lost", 2, 2)
    assert done.returncode != 0
    assert "rank 1 failed" in done.stderr


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [3, 5])
def test_what_kills_groups_is_given_up(ranks):
    done = run("deadly", ranks)
    assert good(done), done
    assert done.stderr.count("is lost") == 2


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_no_group_left(ranks):
    done = run("nobody", ranks)
    assert good(done), done


@pytest.mark.mpi
@pytest.mark.parametrize(("ranks", "ranks_per_image"), [(1, 1), (2, 1), (5, 1), (5, 2)])
def test_interruption(ranks, ranks_per_image):
    done = run("interrupted", ranks, ranks_per_image)
    assert good(done), done
    assert "cancelled" in done.stdout
    assert sum(numbers(done, "made")) < 500 * ranks


@pytest.mark.mpi
@pytest.mark.parametrize(("ranks", "ranks_per_image"), [(2, 1), (3, 1), (4, 2)])
def test_all_groups_have_a_fair_share(ranks, ranks_per_image):
    done = run("shares", ranks, ranks_per_image)
    assert good(done), done
    made = numbers(done, "made")
    assert sum(made) == 200 * ranks_per_image
    assert min(made) > 0.6 * sum(made) / ranks


@pytest.mark.mpi
def test_order():
    done = run("order", 1)
    assert good(done), done


@pytest.mark.mpi
@pytest.mark.parametrize(("ranks", "ranks_per_image"), [(1, 1), (2, 1), (3, 1), (4, 2)])
def test_a_configuration_does_not_wait_for_a_whole_calculation(ranks, ranks_per_image):
    done = run("overtaking", ranks, ranks_per_image)
    assert good(done), done


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_defect_ends_the_job(ranks):
    done = run("defects", ranks)
    assert done.returncode != 0
    assert f"rank {ranks - 1} failed" in done.stderr
    assert "ZeroDivisionError: a defect" in done.stderr
