"""A pool of ranks on the Müller–Brown landscape: ``mpiexec -n 3 python -m mpi4py analytic_tasks.py SCENARIO 1``.

The second word is the number of ranks of a group; ``serve`` behind it keeps rank 0 out of the groups. A failed
assertion on any rank ends the job; at the end rank 0 prints ``good``.
"""

from __future__ import annotations

import asyncio
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
from mapmpi.calculation import Calculation, Forces, Subcalculation, solve
from mapmpi.errors import EngineError, EngineLost
from mapmpi.parallel.groups import Groups, make_groups
from mapmpi.parallel.tasks import Interrupted, Pool, follow
from mapmpi.path.preconditioner import Metric
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
    return quench(at(x, y), Metric.uniform(5), 1e-4)


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


async def answers(pool: Pool) -> None:
    """All answers are right, in order, and counted; also those of large messages."""
    several = await asyncio.gather(*(pool.compute(mixed()) for _ in range(3)))
    assert [len(one) for one in several] == [28, 28, 28]
    large = [np.full((LARGE, 3), float(number)) for number in range(12)]
    for number, answer in enumerate(await asyncio.gather(*map(pool.submit, large))):
        assert answer.energy == 3.0 * LARGE * number
        assert np.array_equal(answer.forces, -large[number])
    assert pool.force_calls == 3 * (20 + 7 * 6) + 12
    assert pool.outstanding == 0
    assert pool.busy_s > 0


async def quenches(pool: Pool) -> None:
    """A quench is the same as a Subcalculation, driven from rank 0, and without a pool."""
    starts = [(x + 0.08, y - 0.08) for x, y, _ in muller_brown.MINIMA.values()]
    works = await asyncio.gather(*(pool.submit(Subcalculation(descent, start)) for start in starts))
    driven = await asyncio.gather(*(pool.compute(descent(*start)) for start in starts))
    for start, one, other in zip(starts, works, driven, strict=True):
        alone = solve(descent(*start), muller_brown.evaluate)
        for found in (one, other):
            assert (found.energy, found.calls) == (alone.energy, alone.calls)
            assert np.array_equal(found.positions, alone.positions)
    assert pool.force_calls == 2 * sum(found.calls for found in works)


async def errors(pool: Pool) -> None:
    """An error comes where it belongs, with class and message, and the engine is made anew."""
    for _ in range(4):
        told = await asyncio.gather(
            pool.compute(fails()), pool.submit(Subcalculation(fails)), pool.compute(mixed())
        )
        assert told[:2] == ["the energy is too high"] * 2
        for one in (pool.submit(at(BAD)), pool.submit(Subcalculation(gives_up)), pool.compute(gives_up())):
            with pytest.raises(Unphysical, match="the energy is too high"):
                await one


async def lost(pool: Pool) -> None:
    """What a dead group had is computed elsewhere."""
    done = await asyncio.gather(
        *(pool.submit(Subcalculation(slowly, (3,))) for _ in range(12)), pool.compute(mixed())
    )
    assert done[:12] == [3] * 12
    assert pool.lost == [len(pool.groups.leaders) - 1]


async def deadly(pool: Pool) -> None:
    """A configuration that kills groups is tried twice, whatever else they had is computed."""
    harmless = [pool.submit(at(SLOW)) for _ in range(20)]
    with pytest.raises(EngineError, match="2 groups of ranks died"):
        await pool.submit(at(DEADLY), priority=-1)
    await asyncio.gather(*harmless)
    assert len(pool.lost) == 2


async def nobody(pool: Pool) -> None:
    """All groups die."""
    await asyncio.gather(*(pool.submit(at(DEADLY)) for _ in range(world.size)), return_exceptions=True)
    await asyncio.sleep(60)


async def interrupted(pool: Pool) -> None:
    """A signal comes while much is to be done."""
    works = [pool.submit(Subcalculation(slowly, (1000,))) for _ in range(world.size)]
    large = [pool.submit(np.ones((LARGE, 3)), priority=-1) for _ in range(50)]
    try:
        await asyncio.gather(*large[:10])
        pool.interrupted = True
        await asyncio.gather(*works)
    except asyncio.CancelledError:
        print("cancelled", flush=True)
        raise


async def shares(pool: Pool) -> None:
    """Equal tasks, one after another or together."""
    await asyncio.gather(*(pool.submit(at(SLOW)) for _ in range(100)))
    await asyncio.gather(*(pool.submit(Subcalculation(slowly, (5,))) for _ in range(20)))
    assert pool.force_calls == 200
    assert pool.busy_s > 200 * 0.005


async def order(pool: Pool) -> None:
    """The lowest priority value goes first, then what came first; what is cancelled is not computed."""
    begun: list[int] = []
    futures = []
    for number, priority in enumerate([2, 1, 1, 0, 2]):
        futures.append(pool.submit(at(number), priority))
        futures[-1].add_done_callback(lambda _, number=number: begun.append(number))
    dropped = pool.submit(at(0))
    dropped.cancel()
    await asyncio.gather(*futures)
    assert begun == [3, 1, 2, 0, 4], begun

    clocks, turns = {"one": 3, "other": 0}, []

    def steps(name: str) -> Calculation[None]:
        for _ in range(3):
            yield [at(0)]
            turns.append(name)
            clocks[name] += 2

    await asyncio.gather(*(pool.compute(steps(name), lambda name=name: clocks[name]) for name in clocks))
    assert turns == ["other", "other", "one", "other", "one", "one"], turns
    assert pool.force_calls == 5 + 6


async def overtaking(pool: Pool) -> None:
    """A configuration goes before the whole calculations that the groups are at, and these go on after it."""
    works = [pool.submit(Subcalculation(slowly, (400,))) for _ in pool.groups.leaders]
    await asyncio.sleep(0.1)
    for step in range(3):
        first, second = await asyncio.gather(pool.submit(at(0.1 * step)), pool.submit(at(0.2)))
        assert (first.energy, second.energy) == (serial(at(0.1 * step)).energy, serial(at(0.2)).energy)
    with pytest.raises(Unphysical):
        await pool.submit(at(BAD))
    assert not any(work.done() for work in works)
    assert await asyncio.gather(*works) == [400] * len(works)
    assert pool.force_calls == 400 * len(works) + 7


async def defects(pool: Pool) -> None:
    """A defect on any rank ends the job."""
    await asyncio.gather(pool.submit(Subcalculation(defect)), pool.submit(at(0)))


def lead(groups: Groups) -> None:
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
