"""What all sections of the input are, and the kinds of values that several of them have."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema, field_validator

from mapmpi.units import DURATION, seconds

_DURATIONS = {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": DURATION}]}
Seconds = Annotated[float, BeforeValidator(seconds), Field(gt=0, allow_inf_nan=False), WithJsonSchema(_DURATIONS)]
Coordinate = Annotated[float, Field(ge=-1e6, le=1e6)]
Vector = tuple[Coordinate, Coordinate, Coordinate]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10**12)]
Size = Annotated[int, Field(ge=1, le=16384)]
"""A number of something that is kept in memory."""


class Section(BaseModel):
    """A part of the input; unknown keys are errors, and so is a yes or no where a number belongs."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_values(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what pydantic takes for 0 or 1; YAML reads yes, no, on and off so, too."""
        entries = value if isinstance(value, list) else [value]
        wanted = cls.model_fields[info.field_name or ""].annotation
        if wanted is not bool and any(isinstance(entry, bool) for entry in entries):
            raise ValueError("expected no true or false here (YAML reads yes, no, on and off so)")
        return value


def unit(vector: Vector) -> np.ndarray:
    """Return a vector at length one, shape (3,)."""
    array = np.asarray(vector, dtype=float)
    return array / np.linalg.norm(array)
