"""DSARAD's own defects: ten augmenters, and half of the draws clean.

After `docs/spec/dsarad.md` §2.4.
"""

from dataclasses import replace

import numpy as np

from blemish.synthesis.blend import blend
from blemish.synthesis.kind import Batch, Choices, Draft, Drawn, Kind
from blemish.synthesis.masks import single_perlin_masks

LARGEST_BETA = 0.8  # b ~ U(0, 0.8), the weight of the original (§2.4)


class OftenClean(Kind):
    """A coin decides whether there is a defect at all."""

    def fill(self, draft: Draft, random: np.random.Generator, _: Choices) -> Draft:
        """`clean` in half of the recipes."""
        if random.random() < 0.5:
            return Draft("clean")
        return replace(draft, beta=random.uniform(0, LARGEST_BETA), visibility=None)


def draw(batch: Batch) -> Drawn:
    """A mask may be empty, and is then not drawn again."""
    masks = single_perlin_masks(batch.seeds, *batch.size)
    if batch.foreground is not None:
        masks &= batch.foreground
    textures = batch.textures_by("draw_squashed", masks)
    return blend(batch.images, textures, 1 - batch.numbers("beta")), masks


KIND = OftenClean(draw, "bank", blended=True)
