"""The learner: deep Q-learning from prioritized replay (Mnih et al. 2015; Schaul et al. 2016).

Vanilla with ``learning.double: false`` and ``learning.steps: 1``; double Q-learning (van Hasselt et al. 2016),
n-step returns and dueling networks otherwise. Where a plan said what to do, that is learned beside the values
(Hester et al. 2018, Deep Q-learning from demonstrations), in the states that the network itself comes to (Ross, Gordon
& Bagnell 2011, A reduction of imitation learning and structured prediction to no-regret online learning).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mapmpi import config
from mapmpi.errors import UserError
from mapmpi.rl.arithmetic import Arithmetic, choose_device, choose_precision
from mapmpi.rl.network import QNetwork, flatten, pack, unpack
from mapmpi.rl.replay import Batch, Replay
from mapmpi.store.records import NO_ACTION

MARGIN = 0.5
"""By how much, in units of the reward, the value of an advised action is to exceed those of all others."""


def td_targets(
    returns: torch.Tensor,
    discounts: torch.Tensor,
    next_forbidden: torch.Tensor,
    next_q: torch.Tensor,
    choosing_q: torch.Tensor,
) -> torch.Tensor:
    """Return the targets y = R + γ^k Q⁻(s', a*), a* = argmax Q(s', a) over the actions that are allowed in s'.

    returns R, discounts γ^k, next_forbidden: (B,); next_q, Q⁻ of the target network: (B, A); choosing_q, Q of the
    network that chooses a*: (B, A), the target network's own in vanilla DQN, the behaviour network's in double.
    """
    actions = torch.arange(choosing_q.shape[1], device=choosing_q.device)
    allowed_q = choosing_q.masked_fill(actions == next_forbidden[:, None], -torch.inf)
    best = allowed_q.argmax(dim=1, keepdim=True)
    return returns + discounts * next_q.gather(1, best).squeeze(1)


def shortfall(q: torch.Tensor, advised: torch.Tensor) -> torch.Tensor:
    """Return max_a (Q(s, a) + MARGIN·[a ≠ a_E]) - Q(s, a_E), (B,), for advised actions a_E (B,); 0 for NO_ACTION.

    q: (B, A). Hester et al. 2018, the large margin loss J_E.
    """
    wanted = advised.long().clamp(min=0)[:, None]
    own = q.gather(1, wanted)
    best = (q + MARGIN).scatter(1, wanted, own).amax(dim=1)
    return (best - own.squeeze(1)) * (advised != NO_ACTION)


@dataclass(frozen=True)
class UpdateStats:
    """What one update saw, averaged over its batch."""

    loss: float  # weighted squared TD error, and what advised actions fall short
    td_error: float  # |TD error|, unweighted
    q: float  # value of the actions taken


class Learner:
    """Behaviour and target network, and the gradient steps that make the one predict the other's targets."""

    def __init__(
        self,
        shape: tuple[int, ...],
        actions: int,
        network: config.NetworkSettings,
        learning: config.Learning,
        replay: Replay,
        seed: int,
    ) -> None:
        self.learning = learning
        self.replay = replay
        self.seed = seed
        self.device = choose_device(learning)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.behaviour = QNetwork(shape, actions, network).to(self.device)
            self.target = QNetwork(shape, actions, network).to(self.device)
        self.target.load_state_dict(self.behaviour.state_dict())
        self.arithmetic = Arithmetic(
            self.behaviour.architecture, learning.batch, self.device, choose_precision(learning, self.device)
        )
        self.optimizer = torch.optim.Adam(self.behaviour.parameters(), lr=learning.learning_rate, fused=True)
        self.updates = 0  # gradient steps so far: the version of the weights

    def update(self) -> UpdateStats:
        """Make a gradient step on a sampled batch, and give the batch its new priorities.

        Raises ValueError while the buffer is empty, and RuntimeError if the gradient was not finite: the network is
        lost then.
        """
        # Seeded by the update's number, so that a restart needs no generator's state.
        batch = self.replay.sample(self.learning.batch, np.random.default_rng((self.seed, self.updates)))
        unlearned, stats = self.step(batch)
        self.replay.update(batch.slots, unlearned)
        return stats

    def step(self, batch: Batch) -> tuple[np.ndarray, UpdateStats]:
        """Make a gradient step on a batch; return what it saw, and what of each transition is still to be learned.

        That is its |TD error|, and what its advised action falls short by, as they count in the loss, (B,). Raises as
        ``update``.
        """
        tensor, values = self.arithmetic.tensor, self.arithmetic.values
        with torch.no_grad():
            grid = self.arithmetic.grid(batch.next_states)
            next_q = values(self.target, grid)
            choosing_q = values(self.behaviour, grid) if self.learning.double else next_q
            returns, discounts = tensor(batch.returns), tensor(batch.discounts)
            targets = td_targets(returns, discounts, tensor(batch.next_forbidden), next_q, choosing_q)
        every_q = values(self.behaviour, self.arithmetic.grid(batch.states))
        q = every_q.gather(1, tensor(batch.actions)[:, None]).squeeze(1)
        td_errors = targets - q
        losses, unlearned = td_errors.square(), td_errors.abs()  # the former is the paper's Eq. 2
        if self.learning.imitation:
            short = self.learning.imitation * shortfall(every_q, tensor(batch.advised))
            losses, unlearned = losses + short, unlearned + short
        loss = (tensor(batch.weights) * losses).mean()  # corrected for the sampling

        self.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.behaviour.parameters(), self.learning.gradient_clip)
        self.optimizer.step()
        self.updates += 1
        if self.updates % self.learning.target_interval == 0:
            self.target.load_state_dict(self.behaviour.state_dict())

        # All at once: a GPU is waited for once a step.
        means = torch.stack([loss, td_errors.abs().mean(), q.mean(), norm])
        seen = torch.cat([unlearned, means]).detach()
        still, (mean_loss, mean_error, mean_q, size) = np.split(seen.cpu().numpy(), [len(q)])
        if not np.isfinite(size):
            raise RuntimeError(f"update {self.updates}: the gradient is non-finite")
        return still, UpdateStats(float(mean_loss), float(mean_error), float(mean_q))

    def weights(self) -> np.ndarray:
        """Return the behaviour network's weights for ``inference.QFunction.load``, flat float32."""
        return pack(self.behaviour)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return all but the replay buffer for a checkpoint: networks and Adam's moments, flat; updates."""
        state = {"behaviour": pack(self.behaviour), "target": pack(self.target), "updates": np.array(self.updates)}
        if self.updates:
            moments = [self.optimizer.state[parameter] for parameter in self.behaviour.parameters()]
            state["first_moment"] = flatten([moment["exp_avg"] for moment in moments])
            state["second_moment"] = flatten([moment["exp_avg_sq"] for moment in moments])
        return state

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Continue from a checkpoint.

        Raises UserError if its network has another number of parameters, ValueError for weights that are not numbers.
        """
        if not all(np.isfinite(values).all() for values in state.values()) or int(state["updates"]) < 0:
            raise ValueError("weights that are not numbers")
        split = self.behaviour.architecture.split
        try:
            unpack(self.behaviour, state["behaviour"])
        except ValueError as error:
            raise UserError(
                f"network: {error}; resume with the network, actions and state grid of the checkpoint."
            ) from None
        unpack(self.target, state["target"])
        self.updates = int(state["updates"])
        self.optimizer.state.clear()
        if self.updates:
            moments = zip(split(state["first_moment"]), split(state["second_moment"]), strict=True)
            for parameter, (first, second) in zip(self.behaviour.parameters(), moments, strict=True):
                self.optimizer.state[parameter] = {
                    "step": torch.tensor(float(self.updates), device=self.device),
                    "exp_avg": torch.empty_like(parameter.data).copy_(torch.tensor(first)),
                    "exp_avg_sq": torch.empty_like(parameter.data).copy_(torch.tensor(second)),
                }
