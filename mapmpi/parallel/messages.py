"""What agents and learner say to each other: buffers of fixed layout, sent without anyone waiting.

An agent posts its sends and goes on; the learner looks what has come between two gradient steps. MPICH spins
in blocking calls, so nobody blocks: waiting is looking, with short sleeps in between.

The learner's heart beats in a thread of its own, so that an agent can tell a learner that is busy, with a checkpoint
on a slow file system for example, from one that is dead.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from mpi4py import MPI

from mapmpi.parallel.board import Board
from mapmpi.parallel.naps import naps

LEARNER = 0
"""The learner's rank."""

BEAT_S, BEATS_PER_S = 4.0, 16.0
"""Least time between two beats of the learner's heart, and most beats a second to all agents together: MPICH has 64
places for what lies in a node's shared memory until its receiver looks, who may be at an action of seconds."""
BEATS_MISSED = 5
"""A learner of whom nothing has been heard for the time of so many beats is dead."""
_SECOND_LOOK_S = 10.0
"""Two beats' time and more: beats that a node with too few cores has kept back come while their agent looks."""
_PAUSE_S = 0.005


def beat_s(agents: int) -> float:
    """Return the seconds between two beats of the heart of a learner with so many agents."""
    return max(BEAT_S, agents / BEATS_PER_S)


class LearnerSilent(Exception):
    """Nothing has come from the learner for the time of BEATS_MISSED beats."""


class Tag(IntEnum):
    """What a message is."""

    EXPERIENCE = 1  # agent: a state, the transitions that it completes, what it takes to go on from there
    EPISODE = 2  # agent: an episode has ended
    WANT_WEIGHTS = 3  # agent: version it has, and whether it is to fetch a newer one for its node
    GOODBYE = 4  # agent: all is written
    LOST = 5  # agent: my group cannot go on
    TROUBLE = 6  # agent: a file cannot be written; the reason, as text
    WEIGHTS = 7  # learner
    STOP = 8  # learner: 1 to write the episode that is under way, 0 to leave it out
    BEAT = 9  # learner
    WANT_ADVICE = 10  # agent: where it is
    ADVICE = 11  # learner: where to go on from, and which way
    UNTOLD = 12  # agent: actions of which it told nothing, for the learner had fallen behind


def experience_dtype(state_shape: tuple[int, ...], transition: np.dtype, steps: int) -> np.dtype:
    """Return the record at the head of an EXPERIENCE message: a state (C, G, G, G) and up to ``steps`` transitions.

    ``acted`` is 1 when an action led to the state, 0 at the start of an episode; ``version`` is that of the weights by
    which the agent acts. The state lies as (G, G, G, C), as the replay buffer keeps it.
    """
    return np.dtype(
        [
            ("sequence", "i8"),
            ("version", "i8"),
            ("acted", "i4"),
            ("transitions", "i4"),
            ("transition", transition, (steps,)),
            ("state", "u1", (*state_shape[1:], state_shape[0])),
        ]
    )


class Outbox:
    """Sends under way, whose buffers must stay as they are until they have left."""

    def __init__(self, world: MPI.Intracomm) -> None:
        self._world = world
        self._pending: list[tuple[MPI.Request, np.ndarray]] = []

    def post(self, buffer: np.ndarray, destination: int, tag: int) -> None:
        """Send a buffer that nobody changes any more; return at once."""
        self.sweep()
        data = buffer.view(np.uint8) if buffer.dtype.names else buffer
        self._pending.append((self._world.Isend(data, dest=destination, tag=tag), data))

    def sweep(self) -> bool:
        """Let go of what has left; return whether all has."""
        self._pending = [(request, data) for request, data in self._pending if not request.Test()]
        return not self._pending


@dataclass(frozen=True)
class Message:
    """A message that has come: its tag, the world rank it came from, its bytes."""

    tag: Tag
    source: int
    data: np.ndarray


def _receive(world: MPI.Intracomm, source: int) -> tuple[MPI.Request, Message] | None:
    """Begin to receive the next message that waits, or return None; it is there when the request is done."""
    status = MPI.Status()
    waiting = world.Improbe(source=source, status=status)
    if waiting is None:
        return None
    data = np.empty(status.Get_count(MPI.BYTE), dtype=np.uint8)
    return waiting.Irecv(data), Message(Tag(status.Get_tag()), status.Get_source(), data)


class AgentLink:
    """The line to the learner of one of so many ``agents``.

    It takes the learner for dead after the time of BEATS_MISSED beats, and ``later_s``, without a sign of life.

    Weights come through the ``board`` of the node where there is one.
    """

    def __init__(
        self, world: MPI.Intracomm, agents: int = 1, later_s: float = 0.0, board: Board | None = None
    ) -> None:
        self._board = board
        self._world, self._outbox = world, Outbox(world)
        self._patience_s = BEATS_MISSED * beat_s(agents) + later_s
        self._heard = float("inf")  # until the learner's first beat nobody waits for the next
        self.asked = False
        self.version = -1
        self.stopped = False
        self.writes_last = True
        """Whether the episode that was under way when the learner said stop is to be written."""
        self._weights: np.ndarray | None = None
        self._advice: np.ndarray | None = None
        self._advised = True

    def send(self, tag: Tag, record: np.ndarray) -> None:
        """Send a record (an array of one) and go on."""
        self._outbox.post(np.atleast_1d(record), LEARNER, tag)

    def ask_for_weights(self) -> None:
        """Ask for the learner's weights if they are newer than ours; at most one question is open.

        The answer also says that the learner keeps up. The weights come with it only where no other agent of the node
        has asked for them lately.
        """
        if not self.asked:
            self.asked = True
            fetches = self._board is None or self._board.fetches() or self.version < 0
            self.send(Tag.WANT_WEIGHTS, np.array([self.version, fetches], dtype="i8"))

    def ask_for_advice(self, question: np.ndarray) -> np.ndarray | None:
        """Return the learner's advice (bytes), for which an agent waits; None when it says stop instead.

        Raises LearnerSilent.
        """
        if self.stopped:
            return None
        self._advised = False
        self.send(Tag.WANT_ADVICE, question)
        for _ in naps():
            self._listen()
            if self._advised or self.stopped:
                break
        return self._advice if self._advised else None

    def look(self) -> np.ndarray | None:
        """Take in what the learner has sent; return new weights (float32) if any came. Raises LearnerSilent."""
        self._listen()
        if self._board is not None and (packed := self._board.look(self.version)) is not None:
            self.version, self._weights = unpack_weights(packed)
        weights, self._weights = self._weights, None
        return weights

    def _listen(self) -> None:
        self._take()
        deadline = time.monotonic() + _SECOND_LOOK_S
        while self._silent:  # what came during a long action may not be seen at the first look
            time.sleep(_PAUSE_S)
            self._take()
            if self._silent and time.monotonic() > deadline:
                raise LearnerSilent(
                    f"nothing has come from the learner (rank {LEARNER}) for {self._patience_s:.0f} s"
                )

    @property
    def _silent(self) -> bool:
        return not self.stopped and time.monotonic() - self._heard > self._patience_s

    def _take(self) -> None:
        self._outbox.sweep()
        while (coming := _receive(self._world, LEARNER)) is not None:
            coming[0].Wait()  # the learner is always about
            message = coming[1]
            if message.tag is Tag.BEAT or self._heard != float("inf"):  # where no heart beats, nobody waits for it
                self._heard = time.monotonic()
            if message.tag is Tag.STOP:
                self.stopped, self.writes_last = True, bool(message.data[0])
            elif message.tag is Tag.ADVICE:
                self._advice, self._advised = message.data, True
            elif message.tag is Tag.WEIGHTS:
                self.asked = False
                if len(message.data):
                    self.version, self._weights = unpack_weights(message.data)
                    if self._board is not None:
                        self._board.post(self.version, message.data)

    def wait_for_stop(self) -> None:
        """Wait until the learner says stop. Raises LearnerSilent."""
        for _ in naps():
            if self.stopped:
                return
            self.look()

    def wait(self) -> None:
        """Wait until all that was sent has left and all that was asked for has come.

        A message that nobody has received when MPI is closed may bring MPICH down.
        """
        for _ in naps():
            if self._outbox.sweep() and not self.asked and self._advised:
                return
            self._take()


class _Heart(threading.Thread):
    """Sends an empty message to every agent from time to time, whatever the learner is at.

    All beats are one call of MPI: between two calls this thread may wait long for its turn in a learner that computes.
    """

    def __init__(self, world: MPI.Intracomm, leaders: list[int]) -> None:
        super().__init__(name="heart", daemon=True)
        self._world, self._leaders = world, leaders
        self._beats: list[MPI.Prequest] = []
        self._ended = threading.Event()

    def run(self) -> None:
        nothing = np.zeros(0, dtype=np.uint8)
        self._beats = [self._world.Send_init(nothing, dest=leader, tag=Tag.BEAT) for leader in self._leaders]
        due = self._beats
        while not self._ended.is_set():
            MPI.Prequest.Startall(due)
            self._ended.wait(beat_s(len(self._leaders)))
            left = MPI.Request.Testsome(self._beats) or []  # who does not take them in is not sent more
            due = [self._beats[place] for place in left]

    def end(self) -> None:
        """Stop beating."""
        self._ended.set()
        self.join()

    def flushed(self) -> bool:
        """Return whether every beat has been taken in, after :meth:`end`; nothing of them is left then."""
        if not MPI.Request.Testall(self._beats):
            return False
        for beat in self._beats:
            beat.Free()
        self._beats = []
        return True


class LearnerLink:
    """The learner's lines to all agents, ``groups`` of world ranks the first of which speaks for the group."""

    def __init__(self, world: MPI.Intracomm, groups: list[tuple[int, ...]]) -> None:
        self._world, self._outbox = world, Outbox(world)
        self._coming: list[tuple[MPI.Request, Message]] = []
        self.groups, self.leaders = groups, [group[0] for group in groups]
        self._heart = _Heart(world, self.leaders)

    def start(self) -> None:
        """Let the heart beat until :meth:`stop`, if this MPI lets a second thread send."""
        if MPI.Query_thread() == MPI.THREAD_MULTIPLE:
            self._heart.start()

    def look(self) -> Message | None:
        """Take the next message of any agent, or return None when none is there as a whole.

        A large one may need its sender for its way, who may be at an action: nobody waits for it, and only what the
        same agent has sent after it comes later.
        """
        coming = _receive(self._world, MPI.ANY_SOURCE)
        if coming is not None:
            self._coming.append(coming)
        waiting: set[int] = set()
        for place, (request, message) in enumerate(self._coming):
            if message.source not in waiting and request.Test():
                del self._coming[place]
                return message
            waiting.add(message.source)
        return None

    def answer_weights(self, destination: int, packed: np.ndarray) -> None:
        """Send packed weights (see :func:`pack_weights`), or an empty buffer for "you have the newest"."""
        self._outbox.post(packed, destination, Tag.WEIGHTS)

    def answer_advice(self, destination: int, advice: np.ndarray) -> None:
        """Send advice (bytes)."""
        self._outbox.post(advice, destination, Tag.ADVICE)

    def stop(self, write_last: bool = True) -> None:
        """Tell every agent to come to its end, and whether to write the episode that is under way."""
        if self._heart.is_alive():
            self._heart.end()
        for leader in self.leaders:
            self._outbox.post(np.array([write_last], dtype=np.uint8), leader, Tag.STOP)

    def flushed(self) -> bool:
        """Return whether all that was sent has left."""
        return self._outbox.sweep() and self._heart.flushed()


def weights_dtype(count: int) -> np.dtype:
    """Return the record of so many weights, as it goes from the learner to every agent."""
    return np.dtype([("version", "i8"), ("weights", "f4", (count,))])


def pack_weights(version: int, weights: np.ndarray) -> np.ndarray:
    """Return weights (n,) as one record (1,), whose bytes serve every agent."""
    return np.array([(version, weights)], dtype=weights_dtype(len(weights)))


def unpack_weights(packed: np.ndarray) -> tuple[int, np.ndarray]:
    """Return version and weights (float32) of the bytes of what :func:`pack_weights` made."""
    data = packed.view(np.uint8)
    record = data.view(weights_dtype((len(data) - weights_dtype(0).itemsize) // 4))[0]
    return int(record["version"]), record["weights"]
