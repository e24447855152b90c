"""Outlines drawn as masks: polygons, and boxes given by two corners."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

# A polygon in pixels of an image, x before y; two points are the corners of a box.
Points = Sequence[tuple[float, float]]
# Corners are rounded to whole pixels: a half one to the pixel whose centre it is, as in the files
# that `blemish predict --labelme` writes, rather than to an even one.
HALF_DOWN = 1e-3


def draw_outlines(outlines: Iterable[Points], size: tuple[int, int]) -> NDArray[np.bool_]:
    """True inside any of the outlines, bool (H, W) of `size` (H, W); what lies outside is cut."""
    mask = np.zeros(size, np.uint8)
    for outline in outlines:
        if len(outline) == 2:
            (left, top), (right, bottom) = outline
            rows = slice(max(0, round(top)), max(0, round(bottom)))
            mask[rows, max(0, round(left)) : max(0, round(right))] = 1
        else:
            cv2.fillPoly(mask, [_corners(outline)], (1,))
    return mask.astype(bool)


def half_down(points: Points) -> tuple[tuple[float, float], ...]:
    """A polygon whose corners may be centres of pixels, so that rounding finds those pixels."""
    return tuple((x - HALF_DOWN, y - HALF_DOWN) for x, y in points)


def _corners(outline: Points) -> NDArray[np.int32]:
    return np.rint(np.array(outline, np.float64)).astype(np.int32)[:, None]
