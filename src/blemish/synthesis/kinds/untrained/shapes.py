"""Held out: a texture in turned ellipses and rectangles."""

from functools import partial

from blemish.synthesis.blend import blend
from blemish.synthesis.kind import Batch, Drawn, Kind
from blemish.synthesis.masks import shape_masks


def draw(batch: Batch) -> Drawn:
    """As `kind.textured`, in shapes of sizes relative to the whole image."""
    masks = batch.masks(partial(shape_masks, side=batch.side))
    textures = batch.textures_by("draw", masks)
    return blend(batch.images, textures, 1 - batch.numbers("beta")), masks


KIND = Kind(draw, "bank", blended=True)
