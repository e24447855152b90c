"""Held out: evenly brighter or darker shapes, the visibility sets."""

from functools import partial

from blemish.synthesis import contrast
from blemish.synthesis.kind import Batch, Drawn, Kind
from blemish.synthesis.masks import shape_masks

AMPLITUDE = (4.0, 4.0)  # standard deviations of local noise at visibility 1


def draw(batch: Batch) -> Drawn:
    """The brightness inside a mask changed by v·4 deviations."""
    masks = batch.masks(partial(shape_masks, side=batch.side))
    units = batch.strength(AMPLITUDE)
    return contrast.shift(batch.images, masks.float(), masks, units, batch.seeds), masks


KIND = Kind(draw, amplitude=AMPLITUDE)
