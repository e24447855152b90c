"""The normal image itself: one side of DSARAD's coin."""

import torch

from blemish.synthesis.blend import unit_range
from blemish.synthesis.kind import Batch, Drawn, Kind


def draw(batch: Batch) -> Drawn:
    """The images as they are, with empty masks."""
    empty = torch.zeros(len(batch.seeds), *batch.size, dtype=torch.bool, device=batch.images.device)
    return unit_range(batch.images), empty


KIND = Kind(draw)
