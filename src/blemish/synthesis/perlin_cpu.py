"""Where turned Perlin noise exceeds a level, on the CPU: float32, NumPy and OpenCV.

Image by image, so that a field stays in the processor's cache, and the images in parallel.
"""

import math
from functools import lru_cache
from itertools import product
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from blemish.synthesis.threads import in_threads

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Wholes = NDArray[np.int64]
LEAST_PIECE = 64  # pixels a side of what is turned at a time
Numbers = TypeVar("Numbers", Tensor, Doubles)


def exceeds_nearly(
    cells: Doubles,
    turns: Doubles,
    angles: Doubles,
    size: tuple[int, int],
    low: float,
    high: float,
    square: int | None = None,
) -> tuple[NDArray[np.bool_], Wholes]:
    """Where the field of `perlin.perlin_field` exceeds `high`, and the pixels from `low` to it.

    cells: (B, 2) a side; turns: (B,); angles: (B, 33, 33); square: as in `perlin_field`. Returns
    (B, H, W) bool and the flat indices of the pixels between, ascending.
    """
    exceeds = np.empty((len(cells), *size), dtype=np.bool_)
    between: list[Wholes] = [np.empty(0, dtype=np.int64)] * len(cells)

    def cut_image(number: int) -> None:
        rows, columns = (int(count) for count in cells[number])
        lattice = angles[number, : rows + 1, : columns + 1].astype(np.float32)
        if square is None:
            field = turn_field(field_of_lattice(lattice, size), turns[number])
        else:
            field = middle_of_square(lattice, size, turns[number], square)
        np.greater(field, high, out=exceeds[number])
        place = np.flatnonzero((field > low) ^ exceeds[number])
        between[number] = place + number * size[0] * size[1]

    in_threads(cut_image, len(cells))
    return exceeds, np.concatenate(between)


def field_of_lattice(lattice: Floats, size: tuple[int, int]) -> Floats:
    """The field (H, W) before it is turned, from gradient angles (rows + 1, columns + 1).

    fade(y)·fade(x)·(g_y·Δy + g_x·Δx), summed over four corners: first along each lattice line,
    then, in each row of cells, between the line above and the line below.
    """
    rows, columns = (side - 1 for side in lattice.shape)
    weight, slope = _along_lines(columns, size[1])
    down = np.sin(lattice) @ weight
    right = np.cos(lattice) @ slope
    lines = np.stack((down[:-1], right[:-1], down[1:], right[1:]), axis=1)  # (rows, 4, W)
    between, places = _between_lines(rows, size[0])
    field = (between @ lines).reshape(-1, size[1])
    return field if len(field) == size[0] else field[places]


@lru_cache(maxsize=64)
def _along_lines(columns: int, pixels: int) -> tuple[Floats, Floats]:
    """For each lattice point of a line and pixel: fade × √2, and that times the distance."""
    offset = np.arange(pixels) * columns / pixels - np.arange(columns + 1)[:, None]
    weight = math.sqrt(2) * fade(1 - np.abs(offset).clip(max=1))
    return weight.astype(np.float32), (weight * offset).astype(np.float32)


@lru_cache(maxsize=64)
def _between_lines(rows: int, pixels: int) -> tuple[Floats, Wholes]:
    """What the lines above and below contribute to the pixels of each row of cells.

    Returns (rows, most pixels of a row of cells, 4) float32: the weight of g_y and of g_x above,
    then below; and where each pixel stands if the first two dimensions are joined, (pixels,).
    """
    position = np.arange(pixels) * rows / pixels
    cell = np.floor(position).astype(np.int64)
    below = position - cell  # cells below the line above
    counts = np.bincount(cell, minlength=rows)
    rank = np.arange(pixels) - (np.cumsum(counts) - counts)[cell]
    upper, lower = fade(1 - below), fade(below)
    weights = np.zeros((rows, counts.max(), 4), dtype=np.float32)
    weights[cell, rank] = np.stack((upper * below, upper, lower * (below - 1), lower), axis=1)
    return weights, cell * weights.shape[1] + rank


def fade(t: Numbers) -> Numbers:
    """6t⁵ − 15t⁴ + 10t³: from 0 to 1, flat at both ends."""
    return t * t * t * (t * (t * 6 - 15) + 10)


def turn_field(field: Floats, turn: float) -> Floats:
    """Rotate about ((W−1)/2, (H−1)/2), bilinear, zeros outside."""
    height, width = field.shape
    return _warped(field, _rotation(turn, (height - 1) / 2, (width - 1) / 2), (height, width))


def middle_of(square: int, size: tuple[int, int]) -> tuple[int, int]:
    """The first row and column of a picture that is the middle of a square."""
    return (square - size[0]) // 2, (square - size[1]) // 2


def middle_of_square(lattice: Floats, size: tuple[int, int], turn: float, square: int) -> Floats:
    """The middle (H, W) of a field that covers a square and is turned about the square's centre.

    A piece at a time, each from the part of the square that it is turned from: a strip costs about
    twice its pixels, not the square's.
    """
    turned = np.zeros(size, dtype=np.float32)
    first_row, first_column = middle_of(square, size)
    rotation = _rotation(turn, (square - 1) / 2, (square - 1) / 2)
    step = max(LEAST_PIECE, min(size))
    for top, left in product(range(0, size[0], step), range(0, size[1], step)):
        piece = turned[top : top + step, left : left + step]
        x, y = first_column + left, first_row + top
        ends = product((x, x + piece.shape[1] - 1), (y, y + piece.shape[0] - 1), (1,))
        sources = np.array(list(ends)) @ rotation.T  # (4, 2), as OpenCV's places x before y
        start = np.clip(np.floor(sources.min(axis=0)).astype(int) - 1, 0, square)
        stop = np.clip(np.floor(sources.max(axis=0)).astype(int) + 3, 0, square)
        if (start < stop).all():
            part = _part_of_square(lattice, square, start, stop)
            moved = rotation.copy()
            moved[:, 2] += rotation[:, :2] @ (x, y) - start
            piece[:] = _warped(part, moved, piece.shape)
    return turned


def _part_of_square(lattice: Floats, square: int, start: Wholes, stop: Wholes) -> Floats:
    """The field over a square, before it is turned, from pixel `start` to before `stop`, (x, y)."""
    rows, columns = (side - 1 for side in lattice.shape)
    # The lines that the part's cells lie between; all others have no weight there.
    right, down = (
        slice(start[n] * cells // square, (stop[n] - 1) * cells // square + 2)
        for n, cells in enumerate((columns, rows))
    )
    weight_x, slope_x = (of[right, start[0] : stop[0]] for of in _along_lines(columns, square))
    weight_y, slope_y = (of[down, start[1] : stop[1]] for of in _along_lines(rows, square))
    near = lattice[down, right]
    across = np.concatenate((slope_y.T @ np.sin(near), weight_y.T @ np.cos(near)), axis=1)
    # Either factor has the √2 that the field has once.
    return (across / np.float32(math.sqrt(2))) @ np.concatenate((weight_x, slope_x))


def _rotation(turn: float, y: float, x: float) -> Doubles:
    """From a pixel (x, y, 1) to the place that it is turned from, about a centre: (2, 3)."""
    cosine, sine = math.cos(turn), math.sin(turn)
    return np.array(
        [[cosine, -sine, x - cosine * x + sine * y], [sine, cosine, y - sine * x - cosine * y]]
    )


def _warped(field: Floats, source: Doubles, size: tuple[int, ...]) -> Floats:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(field, source, size[::-1], flags=flags), np.float32)
