"""The parameters of PatchCore; the defaults are the published ones (PatchCore-10 %)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from blemish.core.params import Count, Section


class Params(Section):
    """Section `patchcore` of params.yaml."""

    backbone: str = "wide_resnet50_2.tv_in1k"
    weights: Literal["imagenet", "random"] = "imagenet"
    strides: list[Count] = Field([8, 16], min_length=1)
    image_size: Annotated[int, Field(ge=32, le=2048, multiple_of=32)] = 224
    resize: Literal["squash", "crop"] = "crop"
    patch: Literal[1, 3, 5] = 3
    pretrain_dim: Count = 1024
    target_dim: Count = 1024
    projection: Count = 128
    coreset: Annotated[float, Field(gt=0, le=1)] = 0.1
    # The paper re-weights over "the b nearest" and names no b; one neighbour would score 0 always.
    neighbours: Annotated[int, Field(ge=2)] = 9
    sigma: Annotated[float, Field(ge=0)] = 4.0

    @model_validator(mode="after")
    def _strides_ascend(self) -> "Params":
        if self.strides != sorted(set(self.strides)):
            raise ValueError(f"`strides` must ascend, finest first: {self.strides}")
        return self
