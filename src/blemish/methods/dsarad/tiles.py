"""Images cut into tiles, each of which the networks see as an image of its own (ours)."""

import math

import pandas as pd
import torch
from torch import Tensor

from blemish.synthesis.random import uniforms

STREAM = 302  # of the choice of tiles
FINEST = 4  # pixels of a picture, along a side, that one of the networks' stands for at most
MOST = 4  # tiles a side, of pictures of any size


def by_size(pictures: pd.DataFrame, size: int) -> int:
    """Tiles a side for pictures of these `width`s and `height`s, `size` pixels a side each.

    As few as leave no pixel standing for more than 4 × 4 of the median picture's: thin lines and
    small spots vanish where a picture is made much smaller.
    """
    side = max(pictures["width"].median(), pictures["height"].median())
    return min(MOST, max(1, math.ceil(side / (FINEST * size))))


def cut(pictures: Tensor, tiles: int) -> Tensor:
    """(B, …, H, W) → (B·tiles², …, H / tiles, W / tiles), an image's tiles row by row."""
    if tiles == 1:
        return pictures
    rows = [row.chunk(tiles, dim=-1) for row in pictures.chunk(tiles, dim=-2)]
    return torch.stack([tile for row in rows for tile in row], dim=1).flatten(0, 1)


def join(maps: Tensor, tiles: int) -> Tensor:
    """(B·tiles², H, W) → (B, tiles·H, tiles·W): the inverse of `cut` for maps."""
    placed = maps.unflatten(0, (-1, tiles, tiles))  # image, row, column, y, x
    return placed.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def one_each(pictures: Tensor, seeds: Tensor, tiles: int) -> Tensor:
    """A tile of each of (B, …, H, W), any with the same probability; `seeds` (B,) decide."""
    if tiles == 1:
        return pictures
    chosen = torch.floor(uniforms(seeds, STREAM, 1)[:, 0] * tiles**2).long()
    own = torch.arange(len(pictures)) * tiles**2 + chosen
    return cut(pictures, tiles)[own.to(pictures.device)]
