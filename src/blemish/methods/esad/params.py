"""The parameters of ESAD; the defaults are the published ones (`docs/spec/esad.md`).

A comment says where a default is not read in the authors' code.
"""

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from blemish.core.params import Count
from blemish.methods.view_params import ViewParams

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Params(ViewParams):
    """Section `esad` of params.yaml."""

    # Not tried through windows on enough units.
    AUTO_TILES: ClassVar[bool] = False

    image_size: Annotated[int, Field(ge=32, le=2048, multiple_of=32)] = 128
    resize: Literal["auto", "squash", "crop", "fit", "tiles"] = "squash"  # inferred
    width: Annotated[int, Field(ge=1, le=512)] = 64
    cells: list[Count] = Field([4], min_length=1)

    backbone: str = "wide_resnet50_2.tv_in1k"
    weights: Literal["imagenet", "random"] = "imagenet"
    stride: Count = 4  # stage 1 of a ResNet
    # The authors' networks take [-1, 1], which is inferred, and so does their feature network.
    feature_input: Literal["symmetric", "imagenet"] = "symmetric"
    pixel_weight: NotNegative = 20.0
    feature_weight: NotNegative = 10.0

    epochs: Count = 150  # inferred: the authors dump pictures in the last of 150 epochs
    images_per_epoch: Count | None = None  # all; a limit is ours
    batch_size: Count = 8  # ours: theirs is unknown; their base has 64
    learning_rate: Positive = 2e-4  # the default of the code they built on
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5  # likewise
    select: Literal["last", "validation"] = "last"  # ours: the authors take the best epoch on test
    cache_gib: NotNegative = 4.0  # ours, of memory alone

    leak: Share = 0.5
    window: Annotated[int, Field(ge=1, le=255)] = 21
    usual_from: Annotated[int, Field(ge=0)] = 0  # ours
    draws: Count = 3  # ours: the authors draw once, unseeded

    @property
    def step(self) -> int:
        """Every cell size divides it, so that the cells cover what the networks see."""
        return math.lcm(self.STEP, *self.cells)

    @model_validator(mode="after")
    def _cells_fit(self) -> "Params":
        for cell in self.cells:
            if self.image_size % cell:
                raise ValueError(
                    f"`cells`: {cell} does not divide `image_size`, {self.image_size}: the cells "
                    "must cover the image"
                )
        if len(set(self.cells)) < len(self.cells):
            raise ValueError(f"`cells` names a size twice: {self.cells}")
        return self

    @model_validator(mode="after")
    def _window_is_odd(self) -> "Params":
        if self.window % 2 == 0:
            raise ValueError(f"`window` is {self.window}: it must be odd, to have a middle")
        return self
