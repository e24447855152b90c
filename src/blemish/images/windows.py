"""Windows that cover a picture: where they lie, and how their maps are joined without seams.

A window sees too little of what lies beyond its border: the network pads with zeros there. So a
border's outer quarter of the overlap counts for nothing, and towards the inside the weight of a
window rises evenly while its neighbour's falls; weights add up to 1 at every pixel. What is
counted once, such as the largest score, is taken from the window whose weight is the largest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from blemish.images.framing import Framing, Size

BLIND = 0.25  # share of the overlap, at a window's border, that counts for nothing
Weights = NDArray[np.float32]


@dataclass(frozen=True)
class Axis:
    """The windows along one axis.

    starts: (K,) first pixels. weights: (K, length), how much each window says of its pixels.
    owned: (K, 2) the pixels, from and to, that are counted in each window: they share the axis out.
    """

    starts: NDArray[np.int64]
    weights: Weights
    owned: NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """A window at (top, left) of a picture.

    weights: of its rows and its columns, (height,) and (width,); a pixel's weight is their product.
    owned: top, bottom, left and right, in the window, of what is counted in this window alone.
    """

    top: int
    left: int
    weights: tuple[Weights, Weights]
    owned: tuple[int, int, int, int]


def axis(pixels: int, length: int, overlap: int, step: int) -> Axis:
    """Windows of `length` that cover `pixels` ≥ length, all starts multiples of `step`.

    Neighbours share `overlap` pixels at least; pixels and length must be multiples of `step`.
    """
    room = (pixels - length) // step
    most = max(1, (length - overlap) // step)  # steps from one window to the next
    count = -(-room // most) + 1
    starts = np.round(np.linspace(0, room, count)).astype(np.int64) * step
    weights = np.zeros((count, length), np.float32)
    for number, start in enumerate(starts):
        before = length if not number else starts[number - 1] + length - start
        after = length if number == count - 1 else start + length - starts[number + 1]
        inside: NDArray[np.float64] = np.arange(length, dtype=np.float64) + 0.5
        rise = np.ones(length) if not number else _ramp(inside, before)
        fall = np.ones(length) if number == count - 1 else _ramp(length - inside, after)
        weights[number] = np.minimum(rise, fall)
    total = np.zeros(pixels)
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + length] += weight
    for start, weight in zip(starts, weights, strict=True):
        weight /= total[start : start + length]
    # Half way through the overlap, on the grid: a cell of a network belongs to one window.
    borders = [(right + left + length) // 2 // step * step for left, right in pairwise(starts)]
    ends = np.array([0, *borders, pixels])
    owned = np.stack([ends[:-1] - starts, ends[1:] - starts], axis=1)
    return Axis(starts, weights, owned)


def _ramp(inside: NDArray[np.float64], overlap: int) -> NDArray[np.float64]:
    """From 0 at `BLIND` of the overlap up to 1 at as much before its end."""
    blind = BLIND * overlap
    return np.clip((inside - blind) / max(overlap - 2 * blind, 1e-9), 0, 1)


def windows(framing: Framing, size: Size) -> Iterator[Window]:
    """The windows of a framed picture of `size`, row by row; one where it is seen at once."""
    rows, columns = (
        axis(pixels, length, framing.overlap, framing.step)
        if pixels > length
        else axis(length, length, 0, length)
        for pixels, length in zip(size, framing.window, strict=True)
    )
    for top, row_weights, row in zip(rows.starts, rows.weights, rows.owned, strict=True):
        for left, weights, column in zip(
            columns.starts, columns.weights, columns.owned, strict=True
        ):
            owned = (int(row[0]), int(row[1]), int(column[0]), int(column[1]))
            yield Window(int(top), int(left), (row_weights, weights), owned)
