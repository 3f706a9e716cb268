"""Prioritized experience replay, proportional variant (Schaul et al. 2016), for states from many agents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mapmpi import config
from mapmpi.errors import UserError
from mapmpi.rl.returns import NO_STATE
from mapmpi.rl.sumtree import SumTree
from mapmpi.store.records import NO_ACTION
from mapmpi.store.ring import Ring, StoredRing

PRIORITY_OFFSET = 1e-3
"""Added to |TD error|, in units of the reward, so that no transition's priority is zero."""

_COLUMNS = {
    "actions": np.int64,
    "advised": np.int16,
    "returns": np.float32,
    "discounts": np.float32,
    "next_slots": np.int64,
    "next_forbidden": np.int16,
}
"""What is kept of a transition in the slot of its state, by its name in a checkpoint."""

RECENT = 64
"""States of each stream that a transition can still refer to; more than the longest n-step return."""


@dataclass
class Batch:
    """Sampled transitions; B of them, states of shape (C, G, G, G)."""

    slots: np.ndarray  # (B,) where they lie in the buffer
    states: np.ndarray  # (B, C, G, G, G) uint8
    actions: np.ndarray  # (B,)
    returns: np.ndarray  # (B,) float32, n-step returns
    discounts: np.ndarray  # (B,) float32, γ^k; 0 where nothing follows
    next_states: np.ndarray  # (B, C, G, G, G) uint8; without meaning where the discount is 0
    next_forbidden: np.ndarray  # (B,) action not allowed in the next state, or NO_ACTION
    advised: np.ndarray  # (B,) the plan's action in the state, which is to be learned, or NO_ACTION
    weights: np.ndarray  # (B,) float32, importance-sampling weights, the largest is 1

    @classmethod
    def empty(cls, size: int, shape: tuple[int, ...]) -> Batch:
        """Return a batch with memory for ``size`` transitions."""
        integers = [np.empty(size, dtype) for dtype in (np.int64, np.int64, np.int16, np.int16)]
        floats = [np.empty(size, np.float32) for _ in range(3)]
        states = [channels_last(size, shape) for _ in range(2)]
        slots, actions, forbidden, advised = integers
        return cls(slots, states[0], actions, floats[0], floats[1], states[1], forbidden, advised, floats[2])


def channels_last(count: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return zeros (count, C, G, G, G) uint8 that lie in memory as (count, G, G, G, C), as the network reads them."""
    return np.moveaxis(np.zeros((count, *shape[1:], shape[0]), np.uint8), -1, 1)


class Replay:
    """A ring of states, each stored once, and at most one transition from each to a later state.

    Agents are streams of states, numbered from 0. Theirs arrive interleaved, each stream's in the order of its
    sequence numbers. A transition lies in the slot of its state; a slot without one has priority 0 and is
    never sampled.

    No transition outlives its next state: a next state is written after its state, so the ring comes to the
    slot of the state first, and overwriting a slot takes its transition away.
    """

    def __init__(self, shape: tuple[int, ...], replay: config.ReplaySettings, streams: int) -> None:
        self.capacity = replay.capacity
        self.shape = shape
        self.alpha = replay.priority_exponent
        self.beta = replay.importance_exponent
        self._states = channels_last(self.capacity, shape)
        self._columns = {name: np.zeros(self.capacity, kind) for name, kind in _COLUMNS.items()}
        self._priorities = SumTree(self.capacity)
        self._transitions = 0
        self._written = 0  # states ever written; the number i of a state gives its slot i % capacity
        self._recent = np.full((streams, RECENT, 2), -1)  # (sequence, number) by sequence % RECENT
        self._batch = Batch.empty(0, shape)

    def __len__(self) -> int:
        """Number of transitions that can be sampled."""
        return self._transitions

    def add_state(self, stream: int, sequence: int, state: np.ndarray) -> int:
        """Store a state (C, G, G, G) uint8 over the oldest one, and return its slot."""
        slot = self._written % self.capacity
        if self._priorities[slot] > 0.0:
            self._priorities.set(np.array([slot]), np.zeros(1))
            self._transitions -= 1
        self._states[slot] = state
        self._recent[stream, sequence % RECENT] = sequence, self._written
        self._written += 1
        return slot

    def add_transitions(self, stream: int, records: np.ndarray) -> int:
        """Store transitions (``returns.TRANSITION``) between states added before; return how many were stored.

        Dropped are those whose state or next state is no longer here, and those that are not finite numbers.
        """
        return sum(self._add_transition(stream, record) for record in records)

    def _add_transition(self, stream: int, record: np.void) -> bool:
        state = self._number(stream, int(record["sequence"]))
        ends = record["next_sequence"] == NO_STATE
        following = state if ends else self._number(stream, int(record["next_sequence"]))
        if state is None or following is None or following < state:
            return False
        if not (np.isfinite(record["ret"]) and np.isfinite(record["td_error"])):
            return False
        slot = state % self.capacity
        columns = self._columns
        columns["actions"][slot], columns["returns"][slot] = record["action"], record["ret"]
        columns["discounts"][slot], columns["next_slots"][slot] = record["discount"], following % self.capacity
        columns["next_forbidden"][slot], columns["advised"][slot] = record["next_forbidden"], record["advised"]
        self._transitions += int(self._priorities[slot] == 0.0)
        self.update(np.array([slot]), record["td_error"])
        return True

    def _number(self, stream: int, sequence: int) -> int | None:
        """Return the number of a stream's state, or None if it was overwritten or is out of the stream's reach."""
        found, number = self._recent[stream, sequence % RECENT]
        return int(number) if found == sequence and number >= self._written - self.capacity else None

    def update(self, slots: np.ndarray, td_errors: np.ndarray) -> None:
        """Set the priorities (|td| + offset)^α of the transitions in ``slots`` (B,) from TD errors (B,)."""
        self._priorities.set(slots, (np.abs(td_errors, dtype=np.float64) + PRIORITY_OFFSET) ** self.alpha)

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Return ``size`` transitions, each drawn with probability P(i) = p_i / Σp (Schaul et al. 2016, Eq. 1).

        One is drawn from each of ``size`` equal parts of Σp, which lowers the variance. The weights are
        (N·P(i))^-β over the largest of the batch. The batch is valid until the next call.
        Raises ValueError while there is no transition.
        """
        if not len(self):
            raise ValueError("no transition to sample yet")
        if len(self._batch.slots) != size:
            self._batch = Batch.empty(size, self.shape)
        batch, total = self._batch, self._priorities.total
        batch.slots[:] = self._priorities.find((np.arange(size) + rng.random(size)) / size * total)
        for name in ("actions", "advised", "returns", "discounts", "next_forbidden"):
            # the default mode copies twice
            np.take(self._columns[name], batch.slots, axis=0, out=getattr(batch, name), mode="clip")
        next_slots = self._columns["next_slots"][batch.slots]
        for slots, out in ((batch.slots, batch.states), (next_slots, batch.next_states)):
            in_memory, out = np.moveaxis(self._states, 1, -1), np.moveaxis(out, 1, -1)
            np.take(in_memory, slots, axis=0, out=out, mode="clip")
        weights = (len(self) * self._priorities[batch.slots] / total) ** -self.beta
        batch.weights[:] = weights / weights.max()
        return batch

    def state_dict(self) -> dict[str, np.ndarray | Ring]:
        """Return the contents for a checkpoint: arrays and the ring of states, views of the buffer itself.

        What the agents have under way is left out: after a restart they begin new episodes.
        """
        filled = slice(min(self._written, self.capacity))
        return {
            "states": Ring(self._states, self._written),
            **{name: column[filled] for name, column in self._columns.items()},
            "priorities": self._priorities.leaves[filled],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the contents of a checkpoint.

        Raises UserError if it was made with another capacity or grid, and ValueError for what no buffer contains.
        """
        ring: Ring | StoredRing = state["states"]
        if ring.shape != self._states.shape:
            raise UserError(
                f"replay.capacity or state: the checkpoint has states of shape {ring.shape}, expected "
                f"{self._states.shape}; resume with the replay capacity and the state grid that it was made with."
            )
        ring.read_into(self._states)
        count = min(ring.written, self.capacity)
        filled = slice(count)
        sound = [np.isfinite(state[name]).all() for name in ("returns", "discounts", "priorities")]
        slots = state["next_slots"]
        lowest = min(state["actions"].min(initial=0), state["priorities"].min(initial=0))
        if not all(sound) or lowest < 0 or not ((slots >= 0) & (slots < max(count, 1))).all():
            raise ValueError("transitions that cannot be")
        for name, column in self._columns.items():
            column[filled] = state.get(name, NO_ACTION) if name == "advised" else state[name]  # old ones have none
        priorities = np.zeros(self.capacity)
        priorities[filled] = state["priorities"]
        self._priorities.set(np.arange(self.capacity), priorities)
        self._transitions = int(np.count_nonzero(priorities))
        self._written = ring.written
        self._recent[...] = -1
