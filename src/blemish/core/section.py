"""What every section of params.yaml is made of: a strict model and a few types of numbers."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Section(BaseModel):
    """A section of params.yaml: unknown keys are errors, values are never coerced or changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def for_unit(self, unit: str) -> Self:  # noqa: ARG002
        """With whatever depends on the unit's name decided; a method's section may have such."""
        return self
