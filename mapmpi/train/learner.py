"""The learner's rank: takes in experience, makes gradient steps, answers for weights, keeps books and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from mapmpi import logs
from mapmpi.config import Config
from mapmpi.errors import FAILED, FINISHED, UNFINISHED
from mapmpi.logs import log
from mapmpi.parallel.messages import LearnerLink, Message, Tag, experience_dtype, pack_weights
from mapmpi.rl.dqn import Learner
from mapmpi.rl.returns import TRANSITION
from mapmpi.store.checkpoint import Checkpoints, Part
from mapmpi.store.records import EPISODE
from mapmpi.train.books import Books
from mapmpi.train.guidance import Guidance
from mapmpi.train.roll import Roll

_PAUSE_S = 0.001
_NOTHING_NEWER = np.empty(0, dtype=np.float32)
MESSAGES_S = 0.1
"""How long messages are taken in before the learner looks after other things, however fast they come."""


class Training:
    """The loop on rank 0.

    ``began`` is when the training would have begun (monotonic clock) had it been one job; ``job_ends`` is when the
    batch job's time is over. ``interrupted`` may be set at any time, by a signal's handler, to end :meth:`run`.
    """

    def __init__(
        self,
        config: Config,
        learner: Learner,
        link: LearnerLink,
        books: Books,
        checkpoints: Checkpoints,
        began: float,
        job_ends: float = float("inf"),
        guidance: Guidance | None = None,
    ) -> None:
        self.config, self.learner, self.replay, self.link = config, learner, learner.replay, link
        self.books, self.checkpoints, self.began, self.job_ends = books, checkpoints, began, job_ends
        self.parts: dict[str, Part] = {"learner": learner, "replay": self.replay, "books": books}
        """What a checkpoint holds."""
        self.guidance = guidance
        if guidance is not None:
            self.parts["guidance"] = guidance
        self.numbers = {rank: number for number, rank in enumerate(link.leaders, start=1)}
        self.roll = Roll(dict(enumerate(link.groups, start=1)), config.train.silence_limit)
        self.record = experience_dtype(self.replay.shape, TRANSITION, config.learning.steps)
        self.interrupted = False
        self.trouble = ""
        """Why no file can be written, in words."""
        self._episode_ended = False
        self._packed: np.ndarray | None = None
        self._reported = self._saved = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds that the training has taken, with all its jobs."""
        return time.monotonic() - self.began

    def run(self, report: Callable[[dict[str, float]], None]) -> int:
        """Train until a limit is reached, see every agent home, save all; return the exit code.

        ``report`` gets the rows of learner.csv.
        """
        train = self.config.train
        self.link.start()
        self.roll.begin()
        self.books.begin(self.elapsed_s, self.learner.updates)
        self._reported = self._saved = time.monotonic()
        while not self.at_limit():
            self.turn()
            self.roll.call()
            if time.monotonic() - self._reported >= train.report_interval:
                self._report(report)
            self._save_if_due()
        if self.trouble or self.roll.all_lost:
            code = FAILED
        else:
            code = FINISHED if self.finished else UNFINISHED
        whole = not self.config.deterministic or code == FINISHED
        self.link.stop(write_last=whole)
        if not self.config.deterministic:
            self.save()  # before the wait for the agents, one of which may hang beyond the batch job's end
        self._see_home()
        self._report(report)
        if whole:  # else the last checkpoint stands: it knows nothing of the episode that was broken off
            self.save()
        return FAILED if self.trouble else code

    def turn(self) -> None:
        """Take in messages and make gradient steps that are due; pause if there was nothing to do.

        Usually all messages (those of MESSAGES_S, if more come) and one step, so that nobody waits long for an answer.
        A deterministic training takes one message and makes all steps that it makes due: what is learned does not
        depend on when messages come.
        """
        if self.config.deterministic:
            busy = self._take_message()
            while self.learn():
                busy = True
        else:
            busy, until = False, time.monotonic() + MESSAGES_S
            began, planned = time.thread_time(), self.books.plan_s
            while time.monotonic() < until and self._take_message():
                busy = True
            if busy:
                self.books.message_s += time.thread_time() - began - (self.books.plan_s - planned)
            busy |= self.learn()
        if not busy:
            time.sleep(_PAUSE_S)

    @property
    def finished(self) -> bool:
        """Whether the training has done what it was asked for."""
        stop = self.config.train.stop
        return (
            (stop.actions is not None and self.books.actions >= stop.actions)
            or (stop.episodes is not None and len(self.books.episodes) >= stop.episodes)
            or (isinstance(stop.wall_time, float) and self.elapsed_s >= stop.wall_time)
        )

    def at_limit(self) -> bool:
        """Whether the training is to end, at least for now."""
        return (
            self.finished
            or self.interrupted
            or bool(self.trouble)
            or time.monotonic() >= self.job_ends
            or self.roll.all_lost
        )

    def _see_home(self) -> None:
        """Take in what is still on its way until every agent has said goodbye."""
        deadline = time.monotonic() + self.roll.patience_s
        while not self.roll.all_gone or not self.link.flushed():
            if self._take_message():
                deadline = time.monotonic() + self.roll.patience_s
            elif time.monotonic() > deadline:
                self.roll.give_up_the_rest()
                return
            else:
                time.sleep(_PAUSE_S)

    def learn(self) -> bool:
        """Make a gradient step if one is due, and return whether it was.

        One is due once there is enough experience, until each transition has been replayed ``replay_ratio``
        times on average.
        """
        learning = self.config.learning
        samples = (self.learner.updates + 1) * learning.batch
        enough = self.books.transitions >= learning.start and len(self.replay) > 0
        if not enough or samples > learning.replay_ratio * self.books.transitions:
            return False
        logs.at(f"learner, update {self.learner.updates + 1}")
        self.books.add_update(self.learner.update())
        return True

    def _take_message(self) -> bool:
        """Take in a message that waits; return whether there was one."""
        message = self.link.look()
        if message is not None:
            with self._writing():
                self.take(message)
        return message is not None

    def take(self, message: Message) -> None:
        """Take in one message of an agent. Raises OSError where metrics.csv cannot be written."""
        number = self.numbers.get(message.source, 0)
        if number and message.tag is not Tag.LOST:
            self.roll.heard(number)
        if message.tag is Tag.EXPERIENCE:
            head, visit = message.data[: self.record.itemsize], message.data[self.record.itemsize :]
            record = head.view(self.record)[0]
            self.replay.add_state(number - 1, int(record["sequence"]), record["state"].transpose(3, 0, 1, 2))
            finished = record["transition"][: record["transitions"]]
            self.books.transitions += self.replay.add_transitions(number - 1, finished)
            self.books.add_action(int(record["acted"]), int(record["version"]))
            if len(visit) and self.guidance is not None:
                self.guidance.take(number, visit)
        elif message.tag is Tag.WANT_WEIGHTS:
            has, fetches = message.data.view("i8")
            newer = fetches and has < self.learner.updates
            self.link.answer(message.source, Tag.WEIGHTS, self._weights() if newer else _NOTHING_NEWER)
        elif message.tag is Tag.UNTOLD:
            self.books.add_untold(int(message.data.view("i8")[0]))
        elif message.tag is Tag.WANT_ADVICE and self.guidance is not None:
            logs.at("learner, plan")
            began = time.thread_time()
            self.link.answer(message.source, Tag.ADVICE, self.guidance.answer(number, message.data))
            self.books.plan_s += time.thread_time() - began
        elif message.tag is Tag.EPISODE:
            self._episode_ended = True
            self.books.add(message.data.view(EPISODE)[0])
        elif message.tag is Tag.LOST:
            number = int(message.data.view("i8")[0])
            self.roll.retired.add(number)
            if self.guidance is not None:
                self.guidance.drop_after(number, self.books.last_episode(number))
        elif message.tag is Tag.TROUBLE:
            self._stop_for(bytes(message.data).decode())
        elif message.tag is Tag.GOODBYE:
            self.roll.left.add(number)

    def _weights(self) -> np.ndarray:
        """Return the newest weights, packed once for all who fetch them."""
        version = self.learner.updates
        if self._packed is None or self._packed["version"][0] != version:
            self._packed = pack_weights(version, self.learner.weights())
        return self._packed

    def _report(self, report: Callable[[dict[str, float]], None]) -> None:
        self._reported = time.monotonic()
        with self._writing():
            report(self.books.report(self.elapsed_s, self.learner.updates, len(self.replay)))

    def _save_if_due(self) -> None:
        """Save from time to time; a deterministic training behind every episode, where agents have nothing open."""
        ended, self._episode_ended = self._episode_ended, False
        overdue = time.monotonic() - self._saved >= self.config.train.checkpoint_interval
        if ended if self.config.deterministic else overdue:
            self.save()

    def save(self) -> None:
        """Write a checkpoint."""
        began = time.monotonic()
        logs.at("learner, checkpoint")
        with self._writing():
            facts = {
                "elapsed_s": self.elapsed_s,
                "deterministic": self.config.deterministic,
                "episodes": {str(number): self.books.last_episode(number) for number in self.numbers.values()},
            }
            size = self.checkpoints.save(self.parts, facts)
            log.info("checkpoint of %.1f MB in %.2f s", size / 1e6, time.monotonic() - began)
        self._saved = time.monotonic()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Around whatever writes files: where that is not possible, the training ends in order."""
        try:
            yield
        except OSError as error:
            place = error.filename or self.checkpoints.folder.parent
            self._stop_for(f"{place}: cannot write there ({error.strerror or error})")

    def _stop_for(self, trouble: str) -> None:
        if not self.trouble:
            log.error("%s; see to that, make room if the disk is full. What was committed stays good.", trouble)
        self.trouble = self.trouble or trouble
