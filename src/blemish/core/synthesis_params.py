"""The section `synthesis` of params.yaml: which synthetic defects there are, and how visible."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, RootModel, model_validator

from blemish.core.errors import suggestion
from blemish.core.kinds import TRAINED
from blemish.core.section import Count, Fraction, Section, Seed


class TextureParams(Section):
    """Which textures defects are made of."""

    source: Literal["builtin", "dtd"] = "builtin"
    validation_fraction: Fraction = 0.25
    seed: Seed = 0


class BlendParams(Section):
    """β, the weight of the normal image under a defect: a clipped normal distribution."""

    mean: Annotated[float, Field(ge=0, le=1)] = 0.5
    std: Annotated[float, Field(ge=0, le=1)] = 0.1
    low: Annotated[float, Field(ge=0, le=1)] = 0.2
    high: Annotated[float, Field(ge=0, le=1)] = 0.8

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> "BlendParams":
        if self.low > self.high:
            raise ValueError(f"`low` is {self.low} but must not exceed `high`, {self.high}")
        return self


Share = Annotated[float, Field(ge=0)]


class KindParams(RootModel[dict[str, Share]]):
    """How often training draws each kind of synthetic defect; shares need not add up to 1.

    Section `synthesis.kinds`, the mix of a unit's recipes, and the optional `kinds` of a method.
    A kind that is not named has the share 0.
    """

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_kinds(cls, shares: Any) -> Any:
        if not isinstance(shares, dict):
            return shares
        for name in shares:
            if name not in TRAINED:
                hint = suggestion(str(name), list(TRAINED))
                raise ValueError(f"unknown kind `{name}`{hint}; valid: {', '.join(TRAINED)}")
        return dict.fromkeys(TRAINED, 0.0) | shares

    @model_validator(mode="after")
    def _some_kind(self) -> Self:
        if not any(self.root.values()):
            raise ValueError("every share is 0: give at least one kind a share above 0")
        return self

    def share(self, name: str) -> float:
        """The share of one kind."""
        return self.root[name]


class VisibilityParams(Section):
    """Contrast of display defects, a part of their kind's largest: Beta(2, 4) on [low, high]."""

    low: Annotated[float, Field(gt=0, le=1)] = 0.2
    high: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> "VisibilityParams":
        if self.low > self.high:
            raise ValueError(f"`low` is {self.low} but must not exceed `high`, {self.high}")
        return self


class SynthesisParams(Section):
    """Synthetic defects: the recipes for training and the rendered validation and weak sets."""

    seed: Seed = 0
    draws: Count = 25
    size: Annotated[int, Field(ge=32, le=2048)] = 288
    cell: Annotated[int, Field(ge=1, le=256)] = 8
    kinds: KindParams = KindParams({"perlin": 1.0})
    blend: BlendParams = BlendParams()
    visibility: VisibilityParams = VisibilityParams()
    validation_images: Count = 40
    weak: list[Annotated[float, Field(ge=0, lt=1)]] = Field(default=[0.1, 0.3, 0.5, 0.7])
    weak_visibility: list[Annotated[float, Field(gt=0, le=1)]] = Field(default=[1.0, 0.5, 0.25])
    weak_images: Annotated[int, Field(ge=0)] = 15
    textures: TextureParams = TextureParams()

    @model_validator(mode="after")
    def _cell_fits(self) -> "SynthesisParams":
        if self.cell > self.size:
            raise ValueError(f"`cell` is {self.cell} but must not exceed `size`, {self.size}")
        return self
