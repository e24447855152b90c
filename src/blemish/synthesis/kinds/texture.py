"""A texture that differs from the image by a chosen visibility, under DLAS-Net's masks."""

import torch

from blemish.synthesis.blend import blend
from blemish.synthesis.contrast import local_noise
from blemish.synthesis.kind import Batch, Drawn, Kind
from blemish.synthesis.masks import dlas_masks

AMPLITUDE = (1.5, 8.0)  # standard deviations of local noise (`docs/spec/dlas-net.md` §8.2)


def draw(batch: Batch) -> Drawn:
    """DLAS-Net's masks with a texture that differs by v·A deviations of local noise (RMS)."""
    masks = batch.masks(dlas_masks)
    textures = batch.textures_by("draw", masks)
    wanted = batch.strength(AMPLITUDE) * local_noise(batch.images, masks)
    difference = textures.colours.int() - batch.images.take(textures.of(batch.images)).int()
    squares = torch.zeros(len(masks), dtype=torch.int64, device=masks.device)
    squares.index_add_(0, textures.rows, (difference * difference).sum(dim=1))
    pixels = torch.bincount(textures.rows, minlength=len(masks))
    rms = torch.sqrt(squares.double() / (3 * pixels)) / 255
    share = (wanted.clamp(min=1 / 255) / rms.clamp(min=1e-6)).clamp(max=1).float()
    return blend(batch.images, textures, share), masks


KIND = Kind(draw, "bank", amplitude=AMPLITUDE)
