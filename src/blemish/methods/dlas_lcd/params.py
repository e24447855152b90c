"""The parameters of `dlas_lcd` (`docs/spec/dlas-net.md` §8.2).

Nothing of it is published: all defaults are ours, for GPUs, or those of GLASS.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from blemish.core.params import Count, KindParams
from blemish.methods.glass.params import NotNegative, Positive
from blemish.methods.glass.params import Params as GlassParams


class Params(GlassParams):
    """Section `dlas_lcd` of params.yaml."""

    kinds: KindParams | None = KindParams(
        {"spot": 0.3, "line": 0.2, "mura": 0.2, "scratch": 0.15, "dlas": 0.15}
    )
    image_size: Annotated[int, Field(ge=32, le=2048, multiple_of=32)] = 512
    resize: Literal["auto", "squash", "crop", "fit", "tiles"] = "squash"

    variant: Literal["manifold", "hypersphere", "judge", "table"] = "manifold"
    shell: Literal["adaptive", "band"] = "band"
    ascent_length: NotNegative = 0.03
    band_unit: Literal["absolute", "noise"] = "noise"
    band: list[NotNegative] = Field([0.9, 1.3], min_length=2, max_length=2)

    coherent: bool = True
    coherent_reach: list[Positive] = Field([0.2, 1.0], min_length=2, max_length=2)
    coherent_directions: Count = 32

    epochs: Count = 100

    @model_validator(mode="after")
    def _regions_need_images(self) -> "Params":
        if self.pool is not None and self.coherent:
            raise ValueError(
                "`coherent` shifts regions, which a `pool` of cells has not: set `coherent` to "
                "false, or `pool` to null"
            )
        return self

    @model_validator(mode="after")
    def _reach_is_ordered(self) -> "Params":
        if self.coherent_reach[0] > self.coherent_reach[1]:
            raise ValueError(
                f"the lower bound of `coherent_reach` exceeds the upper one: {self.coherent_reach}"
            )
        return self
