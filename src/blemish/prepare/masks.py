"""Masks: published annotations of every kind as bool (H, W), True where defective."""

from pathlib import Path

import numpy as np
from PIL import Image

from blemish.core.errors import UserError
from blemish.datasets.dataset import Item, images_in
from blemish.images.masks import Mask, ReadMask, interpret_mask, read_mask
from blemish.images.outlines import draw_outlines


def item_mask(item: Item, size: tuple[int, int]) -> ReadMask:
    """The mask of an item's whole image of `size` (H, W): its file, its outlines, its channels;
    and what had to be done to a file.

    Raises UserError naming a mask that is damaged or has another size.
    """
    if item.mask is not None:
        read = interpret_mask(item.mask, item.mask_threshold)
        return ReadMask(_sized(item.mask, read.mask, item, size), read.how)
    if item.channels is not None:
        return ReadMask(_united(item, item.channels, size))
    return ReadMask(draw_outlines(item.outlines, size))


def _united(item: Item, channels: Path, size: tuple[int, int]) -> Mask:
    files = list(images_in(channels))
    if not files:
        raise UserError(f"{channels}: no channel of {item.image.name}: its PNGs belong there")
    mask = np.zeros(size, bool)
    for file in files:
        mask |= _sized(file, read_mask(file, 0), item, size)
    return mask


def _sized(path: Path, mask: Mask, item: Item, size: tuple[int, int]) -> Mask:
    if mask.shape != size:
        raise UserError(
            f"{path}: the mask is {mask.shape[1]}×{mask.shape[0]} but its image "
            f"{item.image.name} is {size[1]}×{size[0]}: give both the same size"
        )
    return mask


def write_mask(mask: Mask, target: Path) -> None:
    """Write an 8-bit PNG, 255 where defective."""
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(target)
