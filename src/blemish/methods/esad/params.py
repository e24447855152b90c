"""The parameters of ESAD; the defaults are the published ones (`docs/spec/esad.md`).

[F] is a fact of the authors' code, [U] the default of the code they built on, [I] inferred, and
[O] our own: the authors have no such setting, or what they chose could not be read.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from blemish.core.params import Count, Section

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Params(Section):
    """Section `esad` of params.yaml."""

    image_size: Annotated[int, Field(ge=32, le=2048, multiple_of=32)] = 128  # [F]
    resize: Literal["squash", "crop"] = "squash"  # [I]
    width: Annotated[int, Field(ge=1, le=512)] = 64  # [F]
    cells: list[Count] = Field([4], min_length=1)  # [F]

    backbone: str = "wide_resnet50_2.tv_in1k"  # [F]
    weights: Literal["imagenet", "random"] = "imagenet"  # [F]
    stride: Count = 4  # [F] stage 1 of a ResNet
    feature_input: Literal["symmetric", "imagenet"] = "symmetric"  # [F], if inputs are as inferred
    pixel_weight: NotNegative = 20.0  # [F]
    feature_weight: NotNegative = 10.0  # [F]

    epochs: Count = 150  # [I]
    images_per_epoch: Count | None = None  # [O] None: all
    batch_size: Count = 8  # [O]
    learning_rate: Positive = 2e-4  # [U]
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5  # [U]
    select: Literal["last", "validation"] = "last"  # [O]
    cache_gib: NotNegative = 4.0  # [O]

    leak: Share = 0.5  # [F]
    window: Annotated[int, Field(ge=1, le=255)] = 21  # [F]
    draws: Count = 3  # [O] the authors draw once, unseeded

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
