"""A pool of ranks on the Müller–Brown landscape: ``mpiexec -n 3 python -m mpi4py analytic_tasks.py SCENARIO 1``.

The second word is the number of ranks of a group; ``serve`` behind it keeps rank 0 out of the groups. A failed
assertion on any rank ends the job; at the end rank 0 prints ``good``.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any

import muller_brown
import numpy as np
import pytest
from mpi4py import MPI

import mapmpi.parallel.agreement
import mapmpi.parallel.groups
from mapmpi.calculation import CALLS, Calculation, Forces, Subcalculation, Task, alone, solve
from mapmpi.config import QuenchSettings
from mapmpi.errors import EngineError, EngineLost
from mapmpi.parallel.groups import follow, make_groups
from mapmpi.parallel.layout import Layout
from mapmpi.parallel.tasks import Interrupted, Pool
from mapmpi.path.quench import Minimum, quench

BAD, DEADLY, SLOW = 100.0, 200.0, 300.0
"""x of the mobile atom at which the engine fails, the group dies, a force call takes 5 ms."""
LARGE = 20_000
"""Atoms of a message that does not leave before it is asked for."""

world = MPI.COMM_WORLD
comm: Any = None
scenario = sys.argv[1]
broken = False
made, renewed = 0, 0


class Unphysical(EngineError):
    """A kind of EngineError."""


def together() -> None:
    """Wait for the other ranks of the group, for ever if one is dead, as a force call does."""
    waiting = comm.Ibarrier()
    while not waiting.Test():
        time.sleep(1e-4)


def evaluate(positions: np.ndarray) -> Forces:
    """Return the landscape's answer; all ranks of a group are to come here together."""
    global broken, made
    assert not broken, "the engine was not made anew"
    made += 1
    x = positions[0, 0]
    last = world.rank == world.size - 1
    if (x == DEADLY and comm.size == 1) or (scenario == "lost" and last and made == 3):
        raise EngineLost("one rank died")
    together()
    if x == BAD:
        broken = True
        raise Unphysical("the energy is too high")
    if x == SLOW:
        time.sleep(0.005)
        return Forces(0.0, np.zeros_like(positions))
    if len(positions) == LARGE:
        return Forces(float(positions.sum()), -positions)
    return muller_brown.evaluate(positions)


def renew() -> None:
    """Make the engine anew."""
    global broken, renewed
    together()
    renewed += 1
    broken = False


def at(x: float, y: float = 0.0) -> np.ndarray:
    """Return positions with the mobile atom there."""
    return muller_brown.place(x, y)


def serial(positions: np.ndarray) -> Forces:
    """Return the landscape's answer without counting."""
    return muller_brown.evaluate(positions)


def descent(x: float, y: float) -> Calculation[Minimum]:
    """Quench from x, y."""
    return quench(at(x, y), muller_brown.Uniform(5), QuenchSettings(force=1e-4))


def total(number: int) -> Calculation[float]:
    """Sum energies along a line, two configurations at a time."""
    energy = 0.0
    for step in range(3):
        first, second = yield [at(0.1 * number, 0.1 * step), at(0.2, 0.1 * step)]
        energy += first.energy - second.energy
    return energy


def nothing() -> Calculation[str]:
    """Ask for nothing."""
    return "nothing"
    yield []


def fails() -> Calculation[str]:
    """Meet an error, and go on."""
    yield [at(0)]
    try:
        yield [at(0), at(BAD)]
    except Unphysical as error:
        (answer,) = yield [at(0, 1)]
        assert np.array_equal(answer.forces, serial(at(0, 1)).forces)
        return str(error)
    raise AssertionError("no error")


def gives_up() -> Calculation[None]:
    """Do not catch an error."""
    yield [at(BAD)]


def slowly(count: int) -> Calculation[int]:
    """Make slow force calls."""
    for _ in range(count):
        yield [at(SLOW)]
    return count


def defect() -> Calculation[None]:
    """Fail as no calculation should."""
    yield [at(0)]
    raise ZeroDivisionError("a defect")


def mixed() -> Calculation[list[Any]]:
    """Ask for configurations and for whole calculations at a time."""
    configurations = [at(0.01 * number, 0.5) for number in range(20)]
    whole = [Subcalculation(total, (number,)) for number in range(7)]
    wanted: list[Any] = [*configurations, *whole, Subcalculation(nothing)]
    wanted[3], wanted[22] = wanted[22], wanted[3]
    answers = yield wanted
    for one, answer in zip(wanted, answers, strict=True):
        if isinstance(one, Subcalculation):
            assert answer == solve(one.function(*one.arguments), muller_brown.evaluate)
        else:
            assert answer.energy == serial(one).energy
            assert np.array_equal(answer.forces, serial(one).forces)
    return answers


def finished(*tasks: Task[Any]) -> Calculation[list[Any]]:
    """Wait for tasks that were begun; return their results."""
    while not all(task.done for task in tasks):
        yield []
    return [task.result for task in tasks]


def answers(pool: Pool) -> Calculation[None]:
    """All answers are right, in order, and counted; also those of large messages."""
    several = yield [mixed() for _ in range(3)]
    assert [len(one) for one in several] == [28, 28, 28]
    large = [np.full((LARGE, 3), float(number)) for number in range(12)]
    for number, answer in enumerate((yield large)):
        assert answer.energy == 3.0 * LARGE * number
        assert np.array_equal(answer.forces, -large[number])
    assert pool.force_calls == 3 * (20 + 7 * 6) + 12
    assert (yield [CALLS]) == [pool.force_calls]
    assert pool.busy_s > 0


def quenches(pool: Pool) -> Calculation[None]:
    """A quench is the same as a Subcalculation, driven from rank 0, and without a pool."""
    starts = [(x + 0.08, y - 0.08) for x, y, _ in muller_brown.MINIMA.values()]
    whole = yield [Subcalculation(descent, start) for start in starts]
    driven = yield [descent(*start) for start in starts]
    for start, one, other in zip(starts, whole, driven, strict=True):
        by_itself = solve(descent(*start), muller_brown.evaluate)
        for found in (one, other):
            assert (found.energy, found.calls) == (by_itself.energy, by_itself.calls)
            assert np.array_equal(found.positions, by_itself.positions)
    assert pool.force_calls == 2 * sum(found.calls for found in whole)
    assert (yield [CALLS]) == [pool.force_calls]


def errors(pool: Pool) -> Calculation[None]:
    """An error comes where it belongs, with class and message, and the engine is made anew."""
    for _ in range(4):
        told = yield [fails(), Subcalculation(fails), mixed()]
        assert told[:2] == ["the energy is too high"] * 2
        for one in (at(BAD), Subcalculation(gives_up), gives_up()):
            with pytest.raises(Unphysical, match="the energy is too high"):
                yield [one]


def lost(pool: Pool) -> Calculation[None]:
    """What a dead group had is computed elsewhere."""
    done = yield [*(Subcalculation(slowly, (3,)) for _ in range(12)), mixed()]
    assert done[:12] == [3] * 12
    assert pool.lost == [len(pool.groups.leaders) - 1]


def deadly(pool: Pool) -> Calculation[None]:
    """A configuration that kills groups is tried twice, whatever else they had is computed."""
    harmless = [Task(alone(at(SLOW))) for _ in range(20)]
    killer = Task(alone(at(DEADLY)), lambda: -1)
    yield [*harmless, killer]
    with pytest.raises(EngineError, match="2 groups of ranks died"):
        yield from finished(killer)
    yield from finished(*harmless)
    assert len(pool.lost) == 2


def nobody(pool: Pool) -> Calculation[None]:
    """All groups die."""
    with contextlib.suppress(EngineError):
        yield [at(DEADLY) for _ in range(world.size)]
    while True:
        yield []


def interrupted(pool: Pool) -> Calculation[None]:
    """A signal comes while much is to be done."""
    works = [Task(alone(Subcalculation(slowly, (1000,)))) for _ in range(world.size)]
    large = [Task(alone(np.ones((LARGE, 3))), lambda: -1) for _ in range(50)]
    try:
        yield [*works, *large]
        yield from finished(*large[:10])
        pool.interrupted = True
        yield from finished(*works)
    except GeneratorExit:
        print("cancelled", flush=True)
        raise


def shares(pool: Pool) -> Calculation[None]:
    """Equal tasks, one after another or together."""
    yield [at(SLOW) for _ in range(100)]
    yield [Subcalculation(slowly, (5,)) for _ in range(20)]
    assert pool.force_calls == 200
    assert pool.busy_s > 200 * 0.005


def order(pool: Pool) -> Calculation[None]:
    """The lowest priority value goes first, then what came first; what is closed is not computed."""
    begun: list[int] = []

    def one(number: int) -> Calculation[None]:
        yield [at(number)]
        begun.append(number)

    tasks = [
        Task(one(number), lambda priority=priority: priority) for number, priority in enumerate([2, 1, 1, 0, 2])
    ]
    dropped = Task(alone(at(0)), lambda: 3)
    yield [*tasks, dropped]
    yield from finished(tasks[1])
    dropped.close()
    yield from finished(*tasks)
    assert begun == [3, 1, 2, 0, 4], begun

    clocks, turns = {"one": 3, "other": 0}, []

    def steps(name: str) -> Calculation[None]:
        for _ in range(3):
            yield [at(0)]
            turns.append(name)
            clocks[name] += 2

    both = [Task(steps(name), lambda name=name: clocks[name]) for name in clocks]
    yield both
    yield from finished(*both)
    assert turns == ["other", "other", "one", "other", "one", "one"], turns
    assert pool.force_calls == 5 + 6


def overtaking(pool: Pool) -> Calculation[None]:
    """A configuration goes before the whole calculations that the groups are at, and these go on after it."""
    works = [Task(alone(Subcalculation(slowly, (400,)))) for _ in pool.groups.leaders]
    yield works
    yield [at(0.3)]  # behind them in the queue: by its answer they are under way
    for step in range(3):
        first, second = yield [at(0.1 * step), at(0.2)]
        assert (first.energy, second.energy) == (serial(at(0.1 * step)).energy, serial(at(0.2)).energy)
    with pytest.raises(Unphysical):
        yield [at(BAD)]
    assert not any(work.done for work in works)
    assert (yield from finished(*works)) == [400] * len(works)
    assert pool.force_calls == 400 * len(works) + 8


def defects(pool: Pool) -> Calculation[None]:
    """A defect on any rank ends the job."""
    yield [Subcalculation(defect), at(0)]


def lead(groups: Layout) -> None:
    """Run a scenario on rank 0."""
    pool = Pool(world, groups, evaluate, renew)
    ends = {"interrupted": (Interrupted, ""), "nobody": (EngineError, "no group of ranks is left")}
    error, message = ends.get(scenario, (None, ""))
    with pytest.raises(error, match=message) if error else contextlib.nullcontext():
        pool.run(globals()[scenario](pool))


def main(_: MPI.Comm) -> int:
    """Run the scenario on all ranks."""
    global comm
    groups = make_groups(world, int(sys.argv[2]))
    comm = groups.comm
    if world.rank == 0:
        lead(groups)
    else:
        follow(world, groups, evaluate, renew)
    mapmpi.parallel.agreement.leave_together(world)
    counts = world.gather((made, renewed))
    if world.rank == 0:
        assert counts is not None
        print("made", *(count for count, _ in counts))
        print("renewed", *(count for _, count in counts))
        print("good", flush=True)
    return 0


if "serve" in sys.argv:
    mapmpi.parallel.groups.SERVE_ONLY = 1
mapmpi.parallel.agreement.PATIENCE_S = 2.0
sys.exit(mapmpi.parallel.agreement.run(main))
