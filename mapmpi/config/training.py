"""The sections of a training: the network, how it learns, how agents explore, and how all is spread over ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from mapmpi.config.section import Count, NotNegative, Positive, Seconds, Section, Size


class NetworkSettings(Section):
    """The Q function: a 3-D convolutional network."""

    channels: list[Size] = Field(
        [16, 32, 32], min_length=1, max_length=16, description="features of each convolution"
    )
    kernel: Literal[3, 5] = Field(3, description="edge of a convolution's kernel in grid points")
    hidden: Size = Field(128, description="features of the fully connected layer")
    dueling: bool = Field(True, description="separate value and advantage streams")


class Learning(Section):
    """Deep Q-learning."""

    discount: float = Field(0.98, gt=0, lt=1, description="γ of one action")
    steps: int = Field(3, ge=1, le=20, description="n of the n-step return")
    imitation: NotNegative = Field(
        3.0,
        description="weight of the loss by which the network learns to do as the plan would in its place; 0: none, "
        "it learns from rewards alone",
    )
    double: bool = Field(True, description="the behaviour network chooses, the target network values")
    batch: Size = Field(64, description="transitions of a gradient step")
    learning_rate: Positive = Field(5e-4, description="of Adam")
    gradient_clip: Positive = Field(10.0, description="largest gradient norm")
    target_interval: Count = Field(50, description="updates between copies into the target network")
    start: Count = Field(100, description="transitions in the buffer before learning starts")
    replay_ratio: Positive = Field(16.0, description="how often a transition is replayed on average")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where gradient steps are made; auto: on a GPU if torch sees one on rank 0's node"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="of the network's inner layers in gradient steps; weights, values and optimizer are float32. "
        "auto: bfloat16 on processors with a matrix unit (AMX), where it pays; float32 elsewhere and in a "
        "deterministic training",
    )


class ReplaySettings(Section):
    """Prioritized experience replay (proportional)."""

    capacity: int = Field(200_000, ge=100, le=10**12, description="states kept; each takes channels·points³ bytes")
    priority_exponent: float = Field(0.6, ge=0, le=1, description="α; 0 samples uniformly")
    importance_exponent: float = Field(0.4, ge=0, le=1, description="β of the importance-sampling weights")


class Exploration(Section):
    """What an agent does where it does not do as the network says, and how often: with a probability ε of its own."""

    kind: Literal["planned", "archive", "random"] = Field(
        "planned",
        description="planned: by a plan over a map of the energy that is learned on the way, from states that were "
        "visited; archive: any action from such a state, that on the lowest path first, each less with every try; "
        "random (the paper's): any action",
    )
    epsilon_max: float = Field(1.0, ge=0, le=1, description="ε of the agent that explores most")
    schedule: Literal["apex", "linear"] = Field("apex", description="ε_i = ε_max^(1 + α·i/(N-1)), or linear")
    alpha: Positive = Field(7.0, description="α of the apex schedule")
    greedy_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of its actions that an agent spends on episodes with ε = 0, from the start",
    )
    prior: Path | None = Field(
        None,
        description="planned: file of what trainings in other structures of the same elements saw "
        "(python -m mapmpi.train.prior makes it); relative to the input file",
    )
    advice_interval: Count = Field(
        10,
        description="planned: actions after which an agent asks for a newer way; archive: after which it goes on from "
        "another state",
    )


class Stop(Section):
    """The training ends at the first of these limits."""

    actions: Count | None = Field(None, description="actions of all agents together")
    episodes: Count | None = Field(None, description="episodes of all agents together")
    wall_time: Seconds | Literal["job"] | None = Field(
        None,
        description="of all its jobs together: 60s, 10min, 2h, 1d or hours:minutes:seconds; job: each ends in order "
        "before Slurm or PBS ends it",
    )
    job_margin: Seconds = Field(120.0, description="job: how long before the batch job's end to stop")

    @model_validator(mode="after")
    def _one_limit(self) -> Stop:
        if self.actions is None and self.episodes is None and self.wall_time is None:
            raise ValueError("set at least one of actions, episodes and wall_time")
        return self


class Train(Section):
    """How phase 1 is spread over the ranks, and when it ends."""

    ranks_per_agent: Count = Field(1, description="ranks that run the simulation of an agent together")
    across_nodes: bool = Field(False, description="whether the ranks of one agent may lie on several nodes")
    stop: Stop = Stop(wall_time="1h")
    learner_threads: Count | Literal["auto"] = Field(
        1,
        description="cores of the learner's gradient steps, if no GPU takes them; auto: all that no other rank needs",
    )
    weights_interval: Count = Field(5, description="actions of an agent between its requests for new weights")
    report_interval: Seconds = Field(10.0, description="time between progress reports and learner.csv rows")
    tensorboard: bool = Field(
        False, description="also write learner.csv and metrics.csv as event files for TensorBoard, RUN_DIR/events"
    )
    checkpoint_interval: Seconds = Field(
        300.0, description="time between checkpoints, from which --resume goes on"
    )
    silence_limit: Seconds = Field(
        600.0,
        description="an agent from which nothing comes for so long is given up; longer than any action takes",
    )
