"""The parameters of DLAS-Net; the defaults are those of its script (`docs/spec/dlas-net.md` §4).

Which settings the authors gave their AnoLCD results is not published.
"""

from typing import Literal

from pydantic import Field

from blemish.core.params import Count, KindParams
from blemish.methods.glass.params import NotNegative
from blemish.methods.glass.params import Params as GlassParams


class Params(GlassParams):
    """Section `dlas` of params.yaml."""

    kinds: KindParams | None = KindParams({"dlas": 1.0})
    strides: list[Count] = Field([16], min_length=1)
    variant: Literal["manifold", "hypersphere", "judge", "table"] = "judge"
    foreground: bool = False
    shell: Literal["adaptive", "band"] = "adaptive"
    ascent_gain: NotNegative = 1.0
    epochs: Count = 100
    batch_size: Count = 1
    sigma: NotNegative = 1.0
