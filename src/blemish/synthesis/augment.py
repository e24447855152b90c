"""The nine texture augmenters of GLASS (`docs/spec/glass.md` §3.3), bit for bit Pillow's.

Contrast, brightness, automatic contrast and equalisation are tables of 256 levels: one pass over
the picture where Pillow's own functions make several. Pillow's loops over bytes leave Python's
lock, so that textures of a batch are made in parallel.
"""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

LEVELS = np.arange(256)
RANGES = {
    0: ((0.8, 1.2),),
    1: ((0.8, 1.2),),
    2: ((0.8, 1.2), (-0.2, 0.2)),
    8: ((-45, 45),),
}
MOVING = frozenset({3, 4, 8})  # operations that move pixels and leave their colours
TABLES = frozenset({0, 1, 6, 7})  # operations that replace each level by another
MEASURING = TABLES - {1}  # whose tables depend on the whole picture
Table = NDArray[np.uint8]
Picture = NDArray[np.uint8]
Step = tuple[int, list[float]]  # an operation and the numbers drawn for it


def augment(texture: Image.Image, seed: int) -> Image.Image:
    """Three of nine operations, without repetition, in drawn order (`docs/spec/glass.md` §3.3)."""
    for operation, numbers in draw_steps(seed):
        texture = apply_operation(operation, texture, numbers)
    return texture


def augment_at(
    texture: Picture, seed: int, size: tuple[int, int], places: NDArray[np.int64]
) -> Picture:
    """The colours of `augment` at some pixels of its centre: uint8 (K, 3), the same bytes.

    size: height and width of the centre; places: y·width + x in it, (K,). Only what has to be
    measured needs a whole picture, so operations up to the last that measures are done as such.
    From there on colours are those of the pixels asked for, as a picture of one row, and moves are
    done on a picture of the pixels' numbers.
    """
    if not len(places):
        return np.empty((0, 3), dtype=np.uint8)
    steps = draw_steps(seed)
    last = max((n for n, (operation, _) in enumerate(steps) if operation in MEASURING), default=0)
    whole, left = Image.fromarray(texture), steps[last:]
    for operation, numbers in steps[:last]:
        whole = apply_operation(operation, whole, numbers)
    numbered = _numbered(*texture.shape[:2])
    for operation, numbers in left:
        if operation in MOVING:
            numbered = apply_operation(operation, numbered, numbers)
    came_from = np.asarray(_centre(numbered, size)).reshape(-1)[places]
    pixels = np.asarray(whole) if last else texture
    colours = pixels.reshape(-1, 3).take(came_from - 1, axis=0)  # 0, no pixel, is blackened below
    for operation, numbers in left:
        if operation == 8:
            colours[came_from == 0] = 0
        elif operation in TABLES:
            table = np.stack(_tables(operation, whole, numbers), axis=-1)
            colours = np.asarray(cv2.LUT(colours[None], table[None]), dtype=np.uint8)[0]
        elif operation not in MOVING:
            picture = apply_operation(operation, Image.fromarray(colours[None]), numbers)
            colours = np.array(picture)[0]
    return colours


def centre_of(texture: Picture, seed: int, size: tuple[int, int]) -> Picture:
    """The whole centre of `augment`, uint8 (height, width, 3)."""
    return np.asarray(_centre(augment(Image.fromarray(texture), seed), size))


def _centre(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    height, width = size
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


@lru_cache(maxsize=16)
def _numbered(height: int, width: int) -> Image.Image:
    """A picture of the numbers of its own pixels, from 1."""
    numbers = np.arange(1, height * width + 1, dtype=np.int32)
    return Image.fromarray(numbers.reshape(height, width))


def draw_steps(seed: int) -> list[Step]:
    random = np.random.default_rng([seed, 7])
    chosen = random.choice(9, size=3, replace=False)
    return [(int(operation), draw_strengths(int(operation), random)) for operation in chosen]


def draw_strengths(operation: int, random: np.random.Generator) -> list[float]:
    return [random.uniform(low, high) for low, high in RANGES.get(operation, ())]


def apply_operation(operation: int, texture: Image.Image, numbers: Sequence[float]) -> Image.Image:
    match operation:
        case 2:
            return _shift_hue(ImageEnhance.Color(texture).enhance(numbers[0]), numbers[1])
        case 3:
            return ImageOps.mirror(texture)
        case 4:
            return ImageOps.flip(texture)
        case 5:
            return texture.convert("L").convert("RGB")
        case 8:
            return texture.rotate(numbers[0], Image.Resampling.NEAREST)
        case _:
            return texture.point(np.concatenate(_tables(operation, texture, numbers)).tolist())


def _tables(operation: int, texture: Image.Image, numbers: Sequence[float]) -> list[Table]:
    """What replaces each level of each of three channels, (256,) each."""
    match operation:
        case 0:
            grey = texture.convert("L").histogram()
            mean = int(np.dot(grey, LEVELS) / sum(grey) + 0.5)
            return [_blended(mean, numbers[0])] * 3
        case 1:
            return [_blended(0, numbers[0])] * 3
        case 6:
            return [_stretched(histogram) for histogram in _histograms(texture)]
        case _:
            return [_equalised(histogram) for histogram in _histograms(texture)]


def _blended(level: int, factor: float) -> Table:
    """Levels moved away from or towards one of them, in float32 and cut off as Pillow does."""
    moved = np.float32(level) + np.float32(factor) * (LEVELS - level).astype(np.float32)
    table: Table = np.clip(moved, 0, 255).astype(np.uint8)
    return table


def _histograms(texture: Image.Image) -> NDArray[np.int64]:
    return np.asarray(texture.histogram()).reshape(3, 256)


def _stretched(histogram: NDArray[np.int64]) -> Table:
    """The darkest level becomes 0, the brightest 255."""
    present = histogram.nonzero()[0]
    low, high = int(present[0]), int(present[-1])
    if high <= low:
        return LEVELS.astype(np.uint8)
    scale = 255.0 / (high - low)
    table: Table = np.clip(LEVELS * scale + -low * scale, 0, 255).astype(np.uint8)
    return table


def _equalised(histogram: NDArray[np.int64]) -> Table:
    """About as many pixels at each level."""
    present = histogram[histogram > 0]
    step = int(present.sum() - present[-1]) // 255
    if len(present) <= 1 or not step:
        return LEVELS.astype(np.uint8)
    below = np.cumsum(histogram) - histogram
    table: Table = np.minimum((step // 2 + below) // step, 255).astype(np.uint8)
    return table


def _shift_hue(texture: Image.Image, turns: float) -> Image.Image:
    """Move every hue by a share of the colour circle, −0.5…0.5."""
    hue, saturation, value = texture.convert("HSV").split()
    shift = int(turns * 255)
    moved = hue.point([(level + shift) % 256 for level in range(256)])
    return Image.merge("HSV", (moved, saturation, value)).convert("RGB")
