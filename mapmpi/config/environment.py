"""The sections of the environment: how agents move, whereto, what they see, and what they are rewarded for."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mapmpi.config.section import Count, NotNegative, Positive, Section, Vector


class Tether(Section):
    """The harmonic spring between the agent's position and the tagged atoms: k/2·|agent - atoms|²."""

    spring_constant: Positive = Field(100.0, description="kcal/mol/Å²")
    limit: Positive = Field(1.5, description="longest distance between agent and tagged atoms in Å")
    at_limit: Literal["clamp", "end"] = Field(
        "clamp", description="an agent that runs ahead is held at the limit, or its episode ends"
    )


SHORTEST = 1e-6
"""Components of a direction that are all smaller make a zero vector."""

MOST_DIRECTIONS = 1000


class Actions(Section):
    """What an agent can do: move by ``displacement`` along one of a set of directions."""

    directions: Literal["forward5", "axes6", "all26"] | list[Vector] = Field(
        "all26",
        description="all26 (axes and diagonals), axes6, forward5 (the paper's: all axes but backward), or vectors",
    )
    displacement: Positive = Field(0.4, description="length δ of a move in Å")
    forbid_reversal: bool = Field(True, description="never undo the last action at once")

    @model_validator(mode="after")
    def _no_empty_moves(self) -> Actions:
        if not isinstance(self.directions, str):
            if not 1 <= len(self.directions) <= MOST_DIRECTIONS:
                raise ValueError(
                    f"directions: expected 1 to {MOST_DIRECTIONS} vectors, found {len(self.directions)}"
                )
            if any(max(map(abs, vector)) < SHORTEST for vector in self.directions):
                raise ValueError("directions must not hold the zero vector")
        return self


class Goal(Section):
    """Where to: a plane at ``distance`` from the start along ``direction``."""

    direction: Vector = Field((1.0, 0.0, 0.0), description="the forward direction; any length but zero")
    distance: Positive = Field(description="Å from the tagged atoms' start")

    @model_validator(mode="after")
    def _not_zero(self) -> Goal:
        if max(map(abs, self.direction)) < SHORTEST:
            raise ValueError("direction must not be the zero vector")
        return self


class StateGrid(Section):
    """What an agent sees: Gaussians of the atoms around it on a cubic grid."""

    points: int = Field(16, ge=4, le=64, description="grid points along each side")
    spacing: Positive = Field(0.7, description="Å between grid points")
    width: Positive = Field(0.7, description="standard deviation of an atom's Gaussian in Å")
    saturation: Positive = Field(2.0, description="density at which the stored grid (8 bits) saturates")
    channels: Literal["elements", "merged"] = Field("elements", description="a channel per element, or one")


class Reward(Section):
    """One term of the reward."""

    weight: NotNegative = Field(1.0, description="factor of the term")
    enabled: bool = Field(True, description="whether it counts")


class PositionReward(Reward):
    """Along the goal direction: the agent's progress in this action, or its coordinate (the paper), per Å.

    The coordinate is counted from where the tagged atoms are at the start: where a cell has its origin is no matter.
    """

    measure: Literal["progress", "coordinate"] = Field(
        "progress", description="of the agent along the goal's direction: since the last action, or from the start"
    )


class EnergyReward(Reward):
    """Reference energy minus present energy, per eV."""

    weight: NotNegative = Field(0.5, description="factor of the term")
    reference_steps: Count = Field(
        100, description="md: steps before the action whose mean is the reference (minimize: the energy before it)"
    )
    average_steps: Count = Field(20, description="md: last steps whose mean is the present energy")
    clip: Positive = Field(2.0, description="eV at which the term saturates")


class BarrierReward(Reward):
    """Minus the rise of the highest energy on the whole path so far, per eV."""


class DensityReward(Reward):
    """Minus the overlap Σ(1 - d/radius) of the agent with atoms outside the molecule nearer than radius."""

    weight: NotNegative = Field(0.5, description="factor of the term")
    radius: Positive = Field(1.3, description="Å")


class DistanceReward(Reward):
    """Minus the length in Å by which the tether exceeds the threshold."""

    weight: NotNegative = Field(0.5, description="factor of the term")
    threshold: Positive = Field(1.0, description="Å")


class TimeReward(Reward):
    """Minus one per action."""

    weight: NotNegative = Field(0.05, description="factor of the term")


class Rewards(Section):
    """The weighted sum; each term is logged on its own and can be switched off."""

    position: PositionReward = PositionReward()
    energy: EnergyReward = EnergyReward()
    barrier: BarrierReward = BarrierReward()
    density: DensityReward = DensityReward()
    distance: DistanceReward = DistanceReward()
    time: TimeReward = TimeReward()


class Episode(Section):
    """When an episode ends, besides at the goal."""

    max_actions: Count = Field(150, description="step limit")
