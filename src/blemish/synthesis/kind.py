"""What a kind of synthetic defect is: how its recipes are filled in and how it is drawn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from blemish.core.params import VisibilityParams
from blemish.synthesis import contrast
from blemish.synthesis.blend import blend
from blemish.synthesis.masks import draw_masks, draw_until_seen
from blemish.synthesis.shapes import SIDE, ShapeMaker
from blemish.synthesis.textures import Pixels, TextureBank, draw_under

MaskMaker = Callable[[Tensor, int, int], Tensor]
Drawn = tuple[Tensor, Tensor]  # pictures float32 (B, 3, H, W) in [0, 1], masks bool (B, H, W)


@dataclass(frozen=True)
class Draft:
    """What a recipe says beside its image, draw and seed; `None` is nothing.

    texture: a file of the bank; beta: weight of the normal image under the mask; visibility: of a
    defect that is measured in the image's own noise.
    """

    kind: str
    texture: str | None = None
    beta: float | None = None
    visibility: float | None = None


@dataclass(frozen=True)
class Choices:
    """What recipes are drawn from. `pictures`: by the name of a source, files that take the place
    of textures; `fixed`: the visibility of all, or None to draw it within `bounds`."""

    pictures: Mapping[str, Sequence[str]]
    bounds: VisibilityParams
    fixed: float | None = None


@dataclass(frozen=True)
class Kind:
    """One kind of defect.

    draw: draws it on a batch. picture: what its texture is: a file of the bank, of the unit's own
    normals ("self") or of `crops`, or nothing. blended: whether it has a weight β of the normal
    image. amplitude: the range of its largest contrast, in standard deviations of local noise, if
    it is measured so. shape: its profile, if it is drawn by one.
    """

    draw: Callable[["Batch"], Drawn]
    picture: Literal["bank", "self", "crops"] | None = None
    blended: bool = False
    amplitude: tuple[float, float] | None = None
    shape: ShapeMaker | None = None

    def fill(self, draft: Draft, random: np.random.Generator, choices: Choices) -> Draft:
        """The draft of a recipe, completed; each kind has random numbers of its own."""
        visibility = None
        if self.amplitude:
            bounds = choices.bounds
            drawn = bounds.low + (bounds.high - bounds.low) * random.beta(2, 4)
            visibility = drawn if choices.fixed is None else choices.fixed
        texture = draft.texture if self.picture else None
        if self.picture in ("self", "crops"):
            names = choices.pictures[self.picture]
            texture = names[int(random.integers(len(names)))]
        beta = draft.beta if self.blended else None
        return replace(draft, texture=texture, beta=beta, visibility=visibility)


@dataclass(frozen=True)
class Batch:
    """Recipes of one kind with what they are drawn on.

    images: (B, 3, H, W) uint8; foreground: (B, H, W) bool or None; seeds: (B,) int64; whole: the
    shorter side of the image that these are cut from, in their pixels, None if they are whole.
    """

    recipes: pd.DataFrame
    images: Tensor
    foreground: Tensor | None
    seeds: Tensor
    textures: TextureBank
    cell: int
    whole: float | None = None

    @property
    def side(self) -> float:
        """What sizes are relative to: the shorter side of the whole image, in these pixels."""
        return min(self.size) if self.whole is None else self.whole

    @property
    def size(self) -> tuple[int, int]:
        return self.images.shape[-2], self.images.shape[-1]

    def numbers(self, column: str) -> Tensor:
        """A column of the recipes, (B,) float32."""
        values = self.recipes[column].to_numpy(dtype=np.float64)
        return torch.tensor(values, dtype=torch.float32, device=self.images.device)

    def until_seen(
        self, draw: Callable[[Tensor, Tensor], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        return draw_until_seen(draw, self.seeds, self.size, self.cell, self.foreground)

    def masks(self, maker: MaskMaker) -> Tensor:
        """Masks none of which is empty, (B, H, W) bool."""
        return draw_masks(maker, self.seeds, self.size, self.cell, self.foreground)

    def textures_by(self, drawer: str, masks: Tensor) -> Pixels:
        """Each row's texture under its mask, by a method of `TextureBank`."""
        draw = getattr(self.textures, drawer)
        names, seeds = self.recipes["texture"].tolist(), self.recipes["seed"].tolist()
        return draw_under(draw, names, seeds, masks)

    def strength(self, amplitude: tuple[float, float]) -> Tensor:
        """v·A of each row, see `contrast.strength`."""
        return contrast.strength(amplitude, self.seeds, self.numbers("visibility").double())


def textured(
    maker: MaskMaker, picture: Literal["bank", "self"] = "bank", drawer: str = "draw"
) -> Kind:
    """A texture of weight 1 − β under a mask (`docs/spec/glass.md` §3.4)."""

    def draw(batch: Batch) -> Drawn:
        masks = batch.masks(maker)
        textures = batch.textures_by(drawer, masks)
        return blend(batch.images, textures, 1 - batch.numbers("beta")), masks

    return Kind(draw, picture, blended=True)


def contrasting(shape: ShapeMaker, amplitude: tuple[float, float]) -> Kind:
    """A soft shape of a visibility in units of local noise (`docs/spec/dlas-net.md` §8.2)."""

    def draw(batch: Batch) -> Drawn:
        def draw_shapes(seeds: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
            profile, label = shape(seeds, *batch.size, batch.side / SIDE)
            return label, profile

        labels, profiles = batch.until_seen(draw_shapes)
        if batch.foreground is not None:
            profiles = profiles * batch.foreground
        units = batch.strength(amplitude)
        return contrast.shift(batch.images, profiles, labels, units, batch.seeds), labels

    return Kind(draw, amplitude=amplitude, shape=shape)
