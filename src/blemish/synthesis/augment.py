"""The nine texture augmenters of GLASS (`methods/glass.md` §3.3), on Pillow as published.

Pillow's loops over bytes leave Python's lock and are within a few times of copying the picture;
see benchmarks/synthesis.py.
"""

import numpy as np
from PIL import Image, ImageEnhance, ImageOps


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
