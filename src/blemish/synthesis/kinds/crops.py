"""Real defects: the user's pictures in data/crops, pasted in."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blemish.synthesis.kind import Batch, Drawn, Kind

Picture = NDArray[np.uint8]


def draw(batch: Batch) -> Drawn:
    """Opaque but for their feathered edges; what is half opaque is defect."""
    names = batch.recipes["texture"].tolist()

    def paste(seeds: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        crops = [batch.textures.crop(names[row]) for row in rows.tolist()]
        pasted = [
            paste_crop(crop, extent * batch.side, seed, *batch.size)
            for (crop, extent), seed in zip(crops, seeds.tolist(), strict=True)
        ]
        layers = torch.from_numpy(np.stack(pasted)).to(seeds.device)
        return layers[..., 3] > 127, layers

    masks, layers = batch.until_seen(paste)
    normal, colours = torch.div(batch.images, 255), torch.div(layers, 255).permute(0, 3, 1, 2)
    opacity = colours[:, 3:]
    if batch.foreground is not None:
        opacity = opacity * batch.foreground[:, None]
    return normal + opacity * (colours[:, :3] - normal), masks


def paste_crop(crop: Picture, longer: float, seed: int, height: int, width: int) -> Picture:
    """One crop on an empty picture, uint8 (height, width, 4): colours, and opacity in channel 3.

    Placed, turned and mirrored at random. longer: its longer side in pixels, varied by up to 20 %.
    """
    random = np.random.default_rng([seed, 10])
    longer = longer * 1.2 ** random.uniform(-1, 1)
    scale = max(longer, 2.0) / max(crop.shape[:2])
    if scale < 1:  # warpAffine would skip pixels
        size = [max(1, round(side * scale)) for side in crop.shape[1::-1]]
        crop = np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        scale = 1.0
    if random.random() < 0.5:
        crop = np.ascontiguousarray(crop[:, ::-1])
    middle = ((crop.shape[1] - 1) / 2, (crop.shape[0] - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, random.uniform(0, 360), scale)
    matrix[:, 2] += random.uniform(0.05, 0.95, 2) * (width, height) - middle
    pasted = cv2.warpAffine(crop, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return np.asarray(pasted, dtype=np.uint8)


KIND = Kind(draw, "crops")
