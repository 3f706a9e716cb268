"""What agents and learner say to each other: buffers of fixed layout, sent without anyone waiting.

An agent posts its sends and goes on; the learner looks what has come between two gradient steps.
"""

from __future__ import annotations

import time
from enum import IntEnum

import numpy as np
from mpi4py import MPI

from mapmpi.parallel.board import Board
from mapmpi.parallel.heart import BEATS_MISSED, Heart, beat_s
from mapmpi.parallel.mail import Mailbox, Message
from mapmpi.parallel.naps import naps

LEARNER = 0
"""The learner's rank."""

_SECOND_LOOK_S = 10.0
"""Two beats' time and more: beats that a node with too few cores has kept back come while their agent looks."""
_PAUSE_S = 0.005


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


class AgentLink:
    """The line to the learner of one of so many ``agents``.

    It takes the learner for dead after the time of BEATS_MISSED beats, and ``later_s``, without a sign of life.

    Weights come through the ``board`` of the node where there is one.
    """

    def __init__(
        self, world: MPI.Intracomm, agents: int = 1, later_s: float = 0.0, board: Board | None = None
    ) -> None:
        self._board = board
        self._mail = Mailbox(world, Tag)
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
        self._mail.post(np.atleast_1d(record), LEARNER, tag)

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
        while (message := self._mail.take(wait=True)) is not None:  # the learner is always about
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
        """Wait until all that was sent has left and all that was asked for has come."""
        for _ in naps():
            if self._mail.quiet() and not self.asked and self._advised:
                return
            self._take()


class LearnerLink:
    """The learner's lines to all agents, ``groups`` of world ranks the first of which speaks for the group."""

    def __init__(self, world: MPI.Intracomm, groups: list[tuple[int, ...]]) -> None:
        self._mail = Mailbox(world, Tag)
        self.groups, self.leaders = groups, [group[0] for group in groups]
        self._heart = Heart(world, self.leaders, Tag.BEAT)

    def start(self) -> None:
        """Let the heart beat until :meth:`stop`, if this MPI lets a second thread send."""
        if MPI.Query_thread() == MPI.THREAD_MULTIPLE:
            self._heart.start()

    def look(self) -> Message | None:
        """Take the next message of any agent, or return None when none is there as a whole."""
        return self._mail.take()

    def answer(self, destination: int, tag: Tag, buffer: np.ndarray) -> None:
        """Send ADVICE (bytes) or WEIGHTS (see :func:`pack_weights`), an empty buffer for "you have the newest"."""
        self._mail.post(buffer, destination, tag)

    def stop(self, write_last: bool = True) -> None:
        """Tell every agent to come to its end, and whether to write the episode that is under way."""
        if self._heart.is_alive():
            self._heart.end()
        for leader in self.leaders:
            self._mail.post(np.array([write_last], dtype=np.uint8), leader, Tag.STOP)

    def flushed(self) -> bool:
        """Return whether all that was sent has left."""
        return self._mail.sweep() and self._heart.flushed()


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
