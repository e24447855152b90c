"""Perlin fields, turned, and where they exceed the threshold (`docs/spec/glass.md` §3.1)."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from blemish.synthesis.perlin_cpu import exceeds_nearly, fade, middle_of
from blemish.synthesis.random import uniforms

MOST_CELLS = 32  # cells a side, 2^5
THRESHOLD = 0.5
# Far above the error of the float32 field (3e-5, from the place that a pixel is turned to), and
# few pixels lie so close (about ten an image): they are decided in float64.
MARGIN = 2e-4
Doubles = NDArray[np.float64]
Whole = NDArray[np.int64]


def perlin_field(
    seeds: Tensor, stream: int, height: int, width: int, square: int | None = None
) -> Tensor:
    """Gradient noise × √2, turned about the image's centre (`docs/spec/glass.md` §3.1).

    Cells a side are 2^a, a uniform in {0…5}, each axis its own: stretched over the picture or, if
    `square` is given, of a square of that side whose middle is the picture. This is the definition;
    `perlin_exceeds` says faster where it exceeds the threshold. Returns (B, height, width) float64.
    """
    cells, turns, angles = draw_numbers(seeds, stream)
    if square is None:
        return _turned(straight_field(cells, angles, height, width), turns)
    top, left = middle_of(square, (height, width))
    field = _turned(straight_field(cells, angles, square, square), turns)
    return field[:, top : top + height, left : left + width]


def perlin_exceeds(
    seeds: Tensor, stream: int, height: int, width: int, square: int | None = None
) -> Tensor:
    """`perlin_field(…) > 0.5`, bit for bit, with far less work: (B, height, width) bool.

    A rounding that differs between libraries or processors must not move a pixel across the
    threshold, so the pixels that float32 cannot decide are computed again in float64. Always made
    on the CPU, which takes a fraction of a millisecond an image, and moved to the seeds' device.
    """
    cells, turns, angles = (numbers.numpy() for numbers in draw_numbers(seeds.cpu(), stream))
    bounds = THRESHOLD - MARGIN, THRESHOLD + MARGIN
    exceeds, close = exceeds_nearly(cells, turns, angles, (height, width), *bounds, square)
    row, y, x = np.unravel_index(close, exceeds.shape)
    if square is not None:
        top, left = middle_of(square, (height, width))
        y, x, height, width = y + top, x + left, square, square
    exact = _exact(cells[row], turns[row], angles, (row, y, x), (height, width))
    exceeds.reshape(-1)[close] = exact > THRESHOLD
    return torch.from_numpy(exceeds).to(seeds.device)


def draw_numbers(seeds: Tensor, stream: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cells (B, 2), rotation (B,) and gradient angles (B, 33, 33) of each seed, float64."""
    numbers = uniforms(seeds, 16 * stream, 3)
    lattice = MOST_CELLS + 1
    angles = uniforms(seeds, 16 * stream + 1, lattice * lattice) * 2 * math.pi
    cells = 2.0 ** torch.floor(numbers[:, :2] * 6)
    return cells, (numbers[:, 2] - 0.5) * math.pi, angles.view(-1, lattice, lattice)


def straight_field(cells: Tensor, angles: Tensor, height: int, width: int) -> Tensor:
    """The field before it is turned.

    The sum over the four corners of fade(y)·fade(x)·(g_y·Δy + g_x·Δx) is a matrix product: a row
    of `weight` has two non-zero entries, the corners of the cell that the pixel lies in. The two
    summands are joined along the inner dimension.
    """
    weight_y, slope_y = _corners(cells[:, 0], height)
    weight_x, slope_x = _corners(cells[:, 1], width)
    down, right = torch.stack((torch.sin(angles), torch.cos(angles))) * math.sqrt(2)
    left = torch.cat((slope_y @ down, weight_y @ right), dim=2)
    return left @ torch.cat((weight_x, slope_x), dim=2).mT


def _corners(cells: Tensor, pixels: int) -> tuple[Tensor, Tensor]:
    """For each pixel and lattice line: fade weight, and that times the distance in cells.

    Both (B, pixels, 33) float64.
    """
    places = torch.arange(pixels, device=cells.device, dtype=torch.float64) / pixels
    lines = torch.arange(MOST_CELLS + 1, device=cells.device, dtype=torch.float64)
    offset = (cells[:, None] * places[None])[:, :, None] - lines
    weight = fade(1 - offset.abs().clamp(max=1))
    return weight, weight * offset


def _turned(field: Tensor, turns: Tensor) -> Tensor:
    """Rotate (B, H, W) about ((W−1)/2, (H−1)/2), bilinear, zeros outside."""
    height, width = field.shape[1:]
    ys = torch.arange(height, device=field.device, dtype=torch.float64) - (height - 1) / 2
    xs = torch.arange(width, device=field.device, dtype=torch.float64) - (width - 1) / 2
    cosine, sine = torch.cos(turns)[:, None], torch.sin(turns)[:, None]
    # grid_sample with align_corners=False: pixel centre p ↔ (2p + 1)/n − 1.
    # Places as complex numbers x + iy, so that the grid is one sum of what x and y contribute.
    of_x = torch.complex(cosine * xs * 2 / width, sine * xs * 2 / height)
    of_y = torch.complex(-sine * ys * 2 / width, cosine * ys * 2 / height)
    grid = torch.view_as_real(of_x[:, None, :] + of_y[:, :, None])
    return F.grid_sample(field[:, None], grid, align_corners=False)[:, 0]


def _exact(
    cells: Doubles,
    turns: Doubles,
    angles: Doubles,
    places: tuple[Whole, Whole, Whole],
    size: tuple[int, int],
) -> Doubles:
    """The turned field of `size` in float64 at pixels (row of the batch, y, x), (K,) each.

    cells: (K, 2) and turns: (K,) of each pixel's row; angles: (B, 33, 33).
    """
    (row, y, x), (height, width) = places, size
    cosine, sine = np.cos(turns), np.sin(turns)
    down, right = y - (height - 1) / 2, x - (width - 1) / 2
    source_y = sine * right + cosine * down + (height - 1) / 2
    source_x = cosine * right - sine * down + (width - 1) / 2
    share_y, pixel_y = _bilinear(source_y, height)  # (K, 2)
    share_x, pixel_x = _bilinear(source_x, width)
    position_y = cells[:, :1] * (pixel_y / height)
    position_x = cells[:, 1:] * (pixel_x / width)
    corners = _noise_at(angles, row, position_y, position_x)  # (K, 2, 2)
    return np.asarray((share_y[:, :, None] * share_x[:, None, :] * corners).sum(axis=(1, 2)))


def _bilinear(source: Doubles, pixels: int) -> tuple[Doubles, Doubles]:
    """The two pixels that a place lies between, and the share of each, 0 outside: (K, 2) each."""
    pixel: Doubles = np.floor(source)[:, None] + np.arange(2)
    inside = (pixel >= 0) & (pixel < pixels)
    return (1 - np.abs(source[:, None] - pixel)) * inside, pixel


def _noise_at(angles: Doubles, row: Whole, y: Doubles, x: Doubles) -> Doubles:
    """Gradient noise × √2 at all pairs of positions y, x in cells, (K, 2) each: (K, 2, 2)."""
    line_y = np.floor(y)[:, :, None] + np.arange(2)  # (K, 2 positions, 2 lines)
    line_x = np.floor(x)[:, :, None] + np.arange(2)
    down, right = y[:, :, None] - line_y, x[:, :, None] - line_x
    # Beyond the lattice lie only positions outside the image, whose share is zero.
    at_y, at_x = (line.astype(np.int64).clip(0, MOST_CELLS) for line in (line_y, line_x))
    angle = angles[
        row[:, None, None, None, None], at_y[:, :, None, :, None], at_x[:, None, :, None]
    ]
    slope = np.sin(angle) * down[:, :, None, :, None] + np.cos(angle) * right[:, None, :, None]
    weight_y, weight_x = (fade(1 - np.abs(distance)) for distance in (down, right))
    weight = weight_y[:, :, None, :, None] * weight_x[:, None, :, None]
    return np.asarray(math.sqrt(2) * (weight * slope).sum(axis=(3, 4)))
