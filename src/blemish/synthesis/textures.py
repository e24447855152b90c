"""The bank of textures on disk, and the augmentation of one texture for one recipe."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from blemish.data.images import read_image
from blemish.errors import UserError

INDEX = "textures.csv"


class TextureBank:
    """Textures of one purpose ("train" or "validation"); the two share no texture class.

    root: the folder that the stage `textures` wrote. Raises UserError if it is not one.
    """

    def __init__(self, root: Path, purpose: str) -> None:
        index = root / INDEX
        if not index.is_file():
            raise UserError(f"{index} is missing: run `dvc repro textures`")
        rows = pd.read_csv(index)
        self.root = root
        self.names: list[str] = rows.loc[rows["purpose"] == purpose, "file"].tolist()
        if not self.names:
            raise UserError(
                f"{index}: no texture for {purpose}: lower or raise "
                "`synthesis.textures.validation_fraction`"
            )
        self._covering = lru_cache(maxsize=512)(self._load_covering)

    def draw(self, name: str, seed: int, height: int, width: int) -> NDArray[np.uint8]:
        """One augmented texture, uint8 (height, width, 3) (`methods/glass.md` §3.3).

        Resized so that it covers the image, three random operations, then the centre.
        """
        texture = augment(Image.fromarray(self._covering(name, height, width)), seed)
        left, top = (texture.width - width) // 2, (texture.height - height) // 2
        return np.asarray(texture.crop((left, top, left + width, top + height)))

    def _load_covering(self, name: str, height: int, width: int) -> NDArray[np.uint8]:
        image = Image.fromarray(read_image(self.root / name))
        scale = max(height / image.height, width / image.width)
        size = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
        return np.asarray(image.resize(size, Image.Resampling.BILINEAR))


def augment(texture: Image.Image, seed: int) -> Image.Image:
    """Three of nine operations, without repetition, in drawn order (`methods/glass.md` §3.3)."""
    random = np.random.default_rng([seed, 7])
    for operation in random.choice(9, size=3, replace=False):
        texture = _apply(int(operation), texture, random)
    return texture


def _apply(operation: int, texture: Image.Image, random: np.random.Generator) -> Image.Image:
    match operation:
        case 0:
            return ImageEnhance.Contrast(texture).enhance(random.uniform(0.8, 1.2))
        case 1:
            return ImageEnhance.Brightness(texture).enhance(random.uniform(0.8, 1.2))
        case 2:
            saturated = ImageEnhance.Color(texture).enhance(random.uniform(0.8, 1.2))
            return _shift_hue(saturated, random.uniform(-0.2, 0.2))
        case 3:
            return ImageOps.mirror(texture)
        case 4:
            return ImageOps.flip(texture)
        case 5:
            return texture.convert("L").convert("RGB")
        case 6:
            return ImageOps.autocontrast(texture)
        case 7:
            return ImageOps.equalize(texture)
        case _:
            return texture.rotate(random.uniform(-45, 45), Image.Resampling.NEAREST)


def _shift_hue(texture: Image.Image, turns: float) -> Image.Image:
    """Move every hue by a share of the colour circle, −0.5…0.5."""
    hue, saturation, value = texture.convert("HSV").split()
    shift = int(turns * 255)
    moved = hue.point([(level + shift) % 256 for level in range(256)])
    return Image.merge("HSV", (moved, saturation, value)).convert("RGB")
