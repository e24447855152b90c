"""The parameters of PatchCore; the defaults are those of PatchCore-10 % (`docs/spec/patchcore.md`).

What the paper does not say, or says otherwise, has a comment.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from blemish.core.params import Count
from blemish.methods.view_params import ViewParams


class Params(ViewParams):
    """Section `patchcore` of params.yaml."""

    backbone: str = "wide_resnet50_2.tv_in1k"
    weights: Literal["imagenet", "random"] = "imagenet"
    strides: list[Count] = Field([8, 16], min_length=1)
    image_size: Annotated[int, Field(ge=32, le=2048, multiple_of=32)] = 224
    # Ours: the paper resizes to 256 and keeps the centre of 224; here nothing is enlarged first.
    resize: Literal["auto", "squash", "crop", "fit", "tiles"] = "crop"
    patch: Literal[1, 3, 5] = 3
    pretrain_dim: Count = 1024
    target_dim: Count = 1024
    whiten: bool = False  # ours
    projection: Count = 128
    coreset: Annotated[float, Field(gt=0, le=1)] = 0.1
    # Ours: the paper names no b; with 1 every image would score 0.
    neighbours: Annotated[int, Field(ge=2)] = 9
    sigma: Annotated[float, Field(ge=0)] = 4.0

    @model_validator(mode="after")
    def _strides_ascend(self) -> "Params":
        if self.strides != sorted(set(self.strides)):
            raise ValueError(f"`strides` must ascend, finest first: {self.strides}")
        return self
