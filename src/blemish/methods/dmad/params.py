"""The parameters of DMAD; the defaults are the published ones (`docs/spec/dmad.md` §§2–5).

They are those of the family for image-level results; for pixel-level results the authors train
another one, with `vq: false`. What is ours has a comment.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from blemish.core.params import Count
from blemish.methods.view_params import ViewParams

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Reach = Annotated[float, Field(gt=0, le=0.5)]


class Params(ViewParams):
    """Section `dmad` of params.yaml."""

    backbone: str = "wide_resnet50_2.tv_in1k"
    weights: Literal["imagenet", "random"] = "imagenet"
    strides: list[Count] = Field([4, 8, 16], min_length=3, max_length=3)
    # Through windows it learns little: docs/own-size.md.
    AUTO_TILES: ClassVar[bool] = False

    image_size: Annotated[int, Field(ge=64, le=2048)] = 256
    resize: Literal["auto", "squash", "crop", "fit", "tiles"] = "squash"

    vq: bool = True
    codes: Count = 200
    codebook: Literal["uniform", "features"] = "uniform"  # `features` is ours
    compressed: Count = 64
    width: Positive = 1.0
    decoder_blocks: list[Count] = Field([3, 4, 6], min_length=3, max_length=3)

    offset_width: Count = 64
    coarse_reach: Reach = 8 / 256  # 8 pixels of 256; ours: the same share at every size
    fine_reach: Reach = 3 / 256  # 3 pixels of 256, likewise
    cycle_weight: NotNegative = 1.0
    commitment: NotNegative = 0.25

    still_epochs: Annotated[int, Field(ge=0)] = 0  # ours: before them, without the warp
    epochs: Count = 400
    images_per_epoch: Count | None = None  # all; a limit is ours
    batch_size: Count = 8
    learning_rate: Positive = 0.005
    weight_decay: NotNegative = 0.01
    sigma: NotNegative = 4.0
    memory: Annotated[int, Field(ge=0)] = 0  # ours: normal cells that are remembered
    deformation_weight: NotNegative = 0.05  # ours, fixed; the authors' depends on the category

    @model_validator(mode="after")
    def _strides_double(self) -> "Params":
        first = self.strides[0]
        if self.strides != [first, 2 * first, 4 * first]:
            raise ValueError(
                f"`strides` must double from level to level, e.g. [4, 8, 16]: {self.strides}"
            )
        return self

    @property
    def step(self) -> int:
        """Twice the coarsest stride."""
        return max(8, 2 * self.strides[-1])

    @model_validator(mode="after")
    def _size_fits(self) -> "Params":
        # The bottleneck halves the coarsest level once more, and the decoder doubles it back; two
        # cells a side are left, as batch norm needs more than one of a single image.
        step = self.step
        if self.image_size % step or self.image_size < 2 * step:
            near = step * max(2, round(self.image_size / step))
            raise ValueError(
                f"`image_size` is {self.image_size} but must be a multiple of {step}, twice the "
                f"coarsest stride, and at least twice that: try {near}"
            )
        return self
