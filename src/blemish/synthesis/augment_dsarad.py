"""The ten texture augmenters of DSARAD (`docs/spec/dsarad.md` §2.5), on 8-bit pictures."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

Picture = NDArray[np.uint8]

# Colour spaces with the position of their brightness channel.
BRIGHTNESS = [
    (cv2.COLOR_RGB2YCrCb, cv2.COLOR_YCrCb2RGB, 0),
    (cv2.COLOR_RGB2HSV, cv2.COLOR_HSV2RGB, 2),
    (cv2.COLOR_RGB2HLS, cv2.COLOR_HLS2RGB, 1),
    (cv2.COLOR_RGB2Lab, cv2.COLOR_Lab2RGB, 0),
    (cv2.COLOR_RGB2Luv, cv2.COLOR_Luv2RGB, 0),
    (cv2.COLOR_RGB2YUV, cv2.COLOR_YUV2RGB, 0),
]
LEVELS = np.arange(256)


def augment(texture: Picture, seed: int) -> Picture:
    """Three of ten operations, without repetition, in drawn order; uint8 (H, W, 3) RGB.

    The published pictures are BGR and the operations take them for RGB, so they do here.
    """
    random = np.random.default_rng([seed, 8])
    texture = np.ascontiguousarray(texture[:, :, ::-1])
    for operation in random.choice(10, size=3, replace=False):
        texture = apply(int(operation), texture, random)
    return texture[:, :, ::-1]


def apply(operation: int, texture: Picture, random: np.random.Generator) -> Picture:
    """Operation number `operation` + 1 of the specification's table."""
    match operation:
        case 0:
            return _gamma(texture, random)
        case 1:
            return _brightness(texture, random)
        case 2:
            picture = ImageEnhance.Sharpness(Image.fromarray(texture))
            return np.asarray(picture.enhance(random.uniform(0, 2)))
        case 3:
            return _hue_and_saturation(texture, random)
        case 4:
            return _solarized(texture, random)
        case 5:
            step = 256 // 2 ** int(random.integers(1, 9))
            return _mapped(texture, LEVELS // step * step + step // 2)
        case 6:
            return np.asarray(255 - texture)
        case 7:
            cutoff = int(random.integers(21))
            return np.asarray(ImageOps.autocontrast(Image.fromarray(texture), cutoff))
        case 8:
            return np.asarray(ImageOps.equalize(Image.fromarray(texture)))
        case _:
            return _rotated(texture, random.uniform(-45, 45))


def _gamma(texture: Picture, random: np.random.Generator) -> Picture:
    curves = 255 * (LEVELS[:, None] / 255) ** random.uniform(0.5, 2.0, 3)[None]
    return _mapped(texture, curves[:, None])


def _brightness(texture: Picture, random: np.random.Generator) -> Picture:
    there, back, channel = BRIGHTNESS[int(random.integers(len(BRIGHTNESS)))]
    factor, summand = random.uniform(0.8, 1.2), int(random.integers(-30, 31))
    multiply_first = random.random() < 0.5
    curve = LEVELS * factor + summand if multiply_first else (LEVELS + summand) * factor
    converted = cv2.cvtColor(texture, there)
    curve = np.clip(np.round(curve), 0, 255).astype(np.uint8)
    converted[:, :, channel] = curve[converted[:, :, channel]]
    return np.asarray(cv2.cvtColor(converted, back), dtype=np.uint8)


def _hue_and_saturation(texture: Picture, random: np.random.Generator) -> Picture:
    hue, saturation = (int(value) for value in random.integers(-50, 51, 2))
    converted = cv2.cvtColor(texture, cv2.COLOR_RGB2HSV)
    hues = ((LEVELS + int(hue / 255 * 180)) % 180).astype(np.uint8)
    saturations = np.clip(LEVELS + saturation, 0, 255).astype(np.uint8)
    converted[:, :, 0] = hues[converted[:, :, 0]]
    converted[:, :, 1] = saturations[converted[:, :, 1]]
    return np.asarray(cv2.cvtColor(converted, cv2.COLOR_HSV2RGB), dtype=np.uint8)


def _solarized(texture: Picture, random: np.random.Generator) -> Picture:
    threshold = random.uniform(32, 128)
    if random.random() >= 0.5:
        return texture
    return _mapped(texture, np.where(threshold <= LEVELS, 255 - LEVELS, LEVELS))


def _mapped(texture: Picture, curve: NDArray[Any]) -> Picture:
    """Each level replaced by what the curve (256,), or a curve for each channel, has for it."""
    return np.asarray(cv2.LUT(texture, curve.astype(np.uint8)), dtype=np.uint8)


def _rotated(texture: Picture, degrees: float) -> Picture:
    height, width = texture.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    turned = cv2.warpAffine(texture, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return np.asarray(turned, dtype=np.uint8)
