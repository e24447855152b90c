"""Manifold or hypersphere? The Fourier rule on the mean training image.

After `docs/spec/glass.md` §11.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 289
MIDDLE = SIDE // 2
BLUR = 39
SPECTRUM_THRESHOLD = math.exp(170 / 20)  # 20·ln|F| > 170
COMPACT_DENSITY = 0.21
SMALLEST_RADIUS = 12
SMALLEST_COUNT = 60


@dataclass(frozen=True)
class Judgement:
    """The verdict and what it rests on, all about the strong frequencies of the mean image.

    count: how many there are (n). radius: the distance of the farthest from zero frequency (R).
    box_density, disc_density: count over the area of their bounding box (d₁) and disc (d₂).
    """

    hypersphere: bool
    count: int
    radius: float
    box_density: float
    disc_density: float


def judge(mean_image: np.ndarray) -> Judgement:
    """Judge how the normal features of a category are distributed; only training images are used.

    mean_image: (H, W, 3), RGB in [0, 1], the mean of the training images resized to a square.
    """
    strong = _strong_frequencies(mean_image)
    count = len(strong)
    squared = int((strong**2).sum(axis=1).max(initial=0))
    reach_y, reach_x = np.abs(strong).max(axis=0, initial=1)
    box_density = count / (4 * int(reach_x) * int(reach_y))
    disc_density = count / _disc_area(squared)
    radius = math.sqrt(squared)
    compact = box_density > COMPACT_DENSITY or disc_density > COMPACT_DENSITY
    return Judgement(
        hypersphere=compact and radius > SMALLEST_RADIUS and count > SMALLEST_COUNT,
        count=count,
        radius=radius,
        box_density=box_density,
        disc_density=disc_density,
    )


def _strong_frequencies(mean_image: np.ndarray) -> np.ndarray:
    """Offsets (n, 2) = (y, x) from zero frequency where the smoothed mean image has energy."""
    # Truncated as published; the small term keeps 8-bit levels whole (200/255·255 may be 199.99…).
    levels = np.floor(np.clip(mean_image, 0, 1) * 255 + 1e-3).astype(np.uint8)
    grey = cv2.cvtColor(cv2.resize(levels, (SIDE, SIDE)), cv2.COLOR_RGB2GRAY)
    spectrum = np.fft.fftshift(np.fft.fft2(cv2.blur(grey, (BLUR, BLUR))))
    return np.argwhere(np.abs(spectrum) > SPECTRUM_THRESHOLD) - MIDDLE


def _disc_area(squared_radius: int) -> int:
    """Pixels within the radius of the middle, on a grid twice as wide that starts at 0.

    Discs of a radius above the middle are cut by the grid's edge, as in the published rule.
    """
    offset = np.arange(2 * SIDE) - MIDDLE
    return int((offset[:, None] ** 2 + offset**2 <= squared_radius).sum())
