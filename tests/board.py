"""A board under load: two of its ranks write, the others read, and every copy that is read must be whole.

mpiexec -n 4 python tests/board.py
"""

import sys

import numpy as np
from mpi4py import MPI

from mapmpi.parallel.board import make_board

SIZE, ROUNDS = 50_000, 3000

world = MPI.COMM_WORLD
board = make_board(world, 4 * SIZE)
assert board is not None
assert board.look(-1) is None
world.Barrier()
has, taken = -1, 0
for number in range(ROUNDS):
    if world.rank < 2:
        version = 2 * number + world.rank
        board.post(version, np.full(SIZE, version, dtype=np.float32))
    elif (packed := board.look(has)) is not None:
        assert len(packed) == SIZE
        assert (packed == packed[0]).all(), "torn"
        has, taken = max(has, int(packed[0])), taken + 1
world.Barrier()
board.post(2 * ROUNDS, np.full(SIZE, 2 * ROUNDS, dtype=np.float32)) if world.rank == 0 else None
world.Barrier()
last = board.look(has)
assert last is not None
assert last[0] == 2 * ROUNDS
asked = [0, 0]
for _ in range(10):  # in turns: one of all asks each time
    for rank in range(world.size):
        asked[0] += rank == world.rank and board.fetches()
        world.Barrier()
total = world.reduce(asked[0])
if world.rank == 0:
    assert 10 <= total <= 11, total
    print("board: ok")
sys.exit(0)
