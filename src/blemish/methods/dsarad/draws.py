"""What DSARAD's networks are shown: normals, turned at times, and synthetic defects on them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from blemish.methods.dsarad.params import Params
from blemish.methods.dsarad.pixels import InputNormalisation
from blemish.methods.loop import Loop
from blemish.methods.normals import Normals
from blemish.methods.training_data import TrainingUnit
from blemish.synthesis.random import uniforms
from blemish.synthesis.render import render

STREAM = 300  # of the rotation's random numbers
ANY_PIXEL = 1  # a mask with a single pixel is not empty


@dataclass(frozen=True)
class Draws:
    """Batches of a unit's normals (`docs/spec/dsarad.md` §2.3).

    images: uint8 (N, 3, h, w); foreground: bool (N, h, w) or None. All batches are
    whole, as published, unless there are fewer images than one batch takes. Pictures come as the
    networks see them.
    """

    unit: TrainingUnit
    images: Normals
    foreground: Tensor | None
    params: Params
    pixels: InputNormalisation
    loop: Loop

    def clean(self, number: int, dtype: torch.dtype) -> Iterator[Tensor]:
        """The normals (B, 3, h, w) of one pass; nothing is synthesised for it."""

        def turn(rows: Tensor) -> Tensor:
            recipes = self.unit.draw(rows, number, self.loop.seed, self.images, self.foreground)
            turned, _ = self._rotated(rows, recipes)
            inputs: Tensor = self.pixels(turned.to(self.loop.device, dtype).div_(255))
            return inputs

        yield from self.loop.prefetch(partial(turn, rows) for rows in self._batches(number))

    def synthetic(self, number: int, dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Normals, the same with defects, and bool masks (B, h, w) of one pass."""

        def draw(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            recipes = self.unit.draw(rows, number, self.loop.seed, self.images, self.foreground)
            turned, inside = self._rotated(rows, recipes)
            on_device = turned.to(self.loop.device)
            inside = None if inside is None else inside.to(self.loop.device)
            corrupted, masks = render(
                recipes, on_device, self.unit.textures, ANY_PIXEL, inside, self.images.side
            )
            clean = self.pixels(on_device.to(dtype).div_(255))
            return clean, self.pixels(corrupted.to(dtype)), masks

        yield from self.loop.prefetch(partial(draw, rows) for rows in self._batches(number))

    def _batches(self, number: int) -> Iterator[Tensor]:
        count = len(self.images)
        size = min(self.params.batch_size, count)
        most = self.params.images_per_epoch or count
        batches = self.loop.batches(count, size, most, number)
        return (rows for rows in batches if len(rows) == size)

    def _rotated(self, rows: Tensor, recipes: pd.DataFrame) -> tuple[Tensor, Tensor | None]:
        foreground = None if self.foreground is None else self.foreground[rows]
        seeds = torch.tensor(recipes["seed"].tolist())
        return rotated(self.images[rows], foreground, seeds, self.params.rotation)


def rotated(
    images: Tensor, foreground: Tensor | None, seeds: Tensor, share: float
) -> tuple[Tensor, Tensor | None]:
    """Some of the images turned by up to 90° to either side, bilinear, black beyond the border.

    images: uint8 (B, 3, H, W) on the CPU; foreground: bool (B, H, W) or None, turned along. share:
    the probability for each; seeds (B,) decide. Returns new tensors where anything is turned.
    """
    chance, angle = uniforms(seeds, STREAM, 2).unbind(dim=1)
    chosen = (chance < share).nonzero()[:, 0].tolist()
    if not chosen:
        return images, foreground
    images = images.clone()
    foreground = None if foreground is None else foreground.clone()
    height, width = images.shape[-2:]
    for row in chosen:
        degrees = (float(angle[row]) - 0.5) * 180
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
        picture = np.ascontiguousarray(images[row].permute(1, 2, 0).numpy())
        turned = cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_LINEAR)
        images[row] = torch.from_numpy(turned).permute(2, 0, 1)
        if foreground is not None:
            part = foreground[row].numpy().astype(np.uint8)
            inside = cv2.warpAffine(part, matrix, (width, height), flags=cv2.INTER_NEAREST)
            foreground[row] = torch.from_numpy(inside > 0)
    return images, foreground
