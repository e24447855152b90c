"""The nine texture augmenters of GLASS (`methods/glass.md` §3.3), bit for bit Pillow's.

Contrast, brightness, automatic contrast and equalisation are tables of 256 levels: one pass over
the picture where Pillow's own functions make several. Pillow's loops over bytes leave Python's
lock, so that textures of a batch are made in parallel.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

LEVELS = np.arange(256)
Table = NDArray[np.uint8]


def augment(texture: Image.Image, seed: int) -> Image.Image:
    """Three of nine operations, without repetition, in drawn order (`methods/glass.md` §3.3)."""
    random = np.random.default_rng([seed, 7])
    for operation in random.choice(9, size=3, replace=False):
        texture = _apply(int(operation), texture, random)
    return texture


def _apply(operation: int, texture: Image.Image, random: np.random.Generator) -> Image.Image:
    match operation:
        case 0:
            grey = texture.convert("L").histogram()
            mean = int(np.dot(grey, LEVELS) / sum(grey) + 0.5)
            return _mapped(texture, _blended(mean, random.uniform(0.8, 1.2)))
        case 1:
            return _mapped(texture, _blended(0, random.uniform(0.8, 1.2)))
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
            return _mapped(texture, *map(_stretched, _histograms(texture)))
        case 7:
            return _mapped(texture, *map(_equalised, _histograms(texture)))
        case _:
            return texture.rotate(random.uniform(-45, 45), Image.Resampling.NEAREST)


def _mapped(texture: Image.Image, *tables: Table) -> Image.Image:
    """Each level replaced by a table's entry: one table, or one for each channel."""
    return texture.point(np.concatenate(tables * (3 // len(tables))).tolist())


def _blended(level: int, factor: float) -> Table:
    """Levels moved away from or towards one of them, in float32 and cut off as Pillow does."""
    moved = np.float32(level) + np.float32(factor) * (LEVELS - level).astype(np.float32)
    return np.clip(moved, 0, 255).astype(np.uint8)


def _histograms(texture: Image.Image) -> NDArray[np.int64]:
    return np.asarray(texture.histogram()).reshape(3, 256)


def _stretched(histogram: NDArray[np.int64]) -> Table:
    """The darkest level becomes 0, the brightest 255."""
    present = histogram.nonzero()[0]
    low, high = int(present[0]), int(present[-1])
    if high <= low:
        return LEVELS.astype(np.uint8)
    scale = 255.0 / (high - low)
    return np.clip(LEVELS * scale + -low * scale, 0, 255).astype(np.uint8)


def _equalised(histogram: NDArray[np.int64]) -> Table:
    """About as many pixels at each level."""
    present = histogram[histogram > 0]
    step = int(present.sum() - present[-1]) // 255
    if len(present) <= 1 or not step:
        return LEVELS.astype(np.uint8)
    below = np.cumsum(histogram) - histogram
    return np.minimum((step // 2 + below) // step, 255).astype(np.uint8)


def _shift_hue(texture: Image.Image, turns: float) -> Image.Image:
    """Move every hue by a share of the colour circle, −0.5…0.5."""
    hue, saturation, value = texture.convert("HSV").split()
    shift = int(turns * 255)
    moved = hue.point([(level + shift) % 256 for level in range(256)])
    return Image.merge("HSV", (moved, saturation, value)).convert("RGB")
