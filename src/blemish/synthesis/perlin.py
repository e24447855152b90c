"""Perlin fields, turned, and where they exceed the threshold (`methods/glass.md` §3.1)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from blemish.synthesis.random import uniforms

MOST_CELLS = 32  # cells a side, 2^5
THRESHOLD = 0.5
# Far above the error of the float32 field (a few 1e-6), and few pixels lie so close (a few an
# image): they are decided in float64.
MARGIN = 1e-4


def perlin_field(seeds: Tensor, stream: int, height: int, width: int) -> Tensor:
    """Gradient noise × √2, turned about the image's centre (`methods/glass.md` §3.1).

    Cells a side are 2^a, a uniform in {0…5}, each axis its own. This is the definition;
    `perlin_exceeds` says faster where it exceeds the threshold. Returns (B, height, width) float64.
    """
    cells, turns, angles = _draws(seeds, stream)
    field = _straight_field(cells, angles, height, width, torch.float64)
    return _turned(field, turns)


def perlin_exceeds(seeds: Tensor, stream: int, height: int, width: int) -> Tensor:
    """`perlin_field(…) > 0.5`, bit for bit, in half the memory traffic: (B, height, width) bool.

    A rounding that differs between batch sizes or devices must not move a pixel across the
    threshold, so the pixels that float32 cannot decide are computed again in float64.
    """
    cells, turns, angles = _draws(seeds, stream)
    field = _turned(_straight_field(cells, angles, height, width, torch.float32), turns)
    close = ((field - THRESHOLD).abs_() < MARGIN).nonzero().unbind(dim=1)
    exceeds = field > THRESHOLD
    exceeds[close] = _exact(cells, turns, angles, close, height, width) > THRESHOLD
    return exceeds


def _draws(seeds: Tensor, stream: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cells (B, 2), rotation (B,) and gradient angles (B, 33, 33) of each seed, float64."""
    numbers = uniforms(seeds, 16 * stream, 3)
    lattice = MOST_CELLS + 1
    angles = uniforms(seeds, 16 * stream + 1, lattice * lattice) * 2 * math.pi
    cells = 2.0 ** torch.floor(numbers[:, :2] * 6)
    return cells, (numbers[:, 2] - 0.5) * math.pi, angles.view(-1, lattice, lattice)


def _straight_field(
    cells: Tensor, angles: Tensor, height: int, width: int, precision: torch.dtype
) -> Tensor:
    """The field before it is turned.

    The sum over the four corners of fade(y)·fade(x)·(g_y·Δy + g_x·Δx) is two matrix products
    each: a row of `weight` has two non-zero entries, the corners of the cell the pixel lies in.
    """
    weight_y, slope_y = _corners(cells[:, 0], height, precision)
    weight_x, slope_x = _corners(cells[:, 1], width, precision)
    field = slope_y @ torch.sin(angles).to(precision) @ weight_x.mT
    field += weight_y @ torch.cos(angles).to(precision) @ slope_x.mT
    return field.mul_(math.sqrt(2))


def _corners(cells: Tensor, pixels: int, precision: torch.dtype) -> tuple[Tensor, Tensor]:
    """For each pixel and lattice line: fade weight, and that times the distance in cells.

    Both (B, pixels, 33), computed in float64.
    """
    places = torch.arange(pixels, device=cells.device, dtype=torch.float64) / pixels
    lines = torch.arange(MOST_CELLS + 1, device=cells.device, dtype=torch.float64)
    offset = (cells[:, None] * places[None])[:, :, None] - lines
    weight = _fade(1 - offset.abs().clamp(max=1))
    return weight.to(precision), (weight * offset).to(precision)


def _fade(t: Tensor) -> Tensor:
    return t**3 * (t * (t * 6 - 15) + 10)


def _turned(field: Tensor, turns: Tensor) -> Tensor:
    """Rotate (B, H, W) about ((W−1)/2, (H−1)/2), bilinear, zeros outside."""
    height, width = field.shape[1:]
    ys = torch.arange(height, device=field.device, dtype=torch.float64) - (height - 1) / 2
    xs = torch.arange(width, device=field.device, dtype=torch.float64) - (width - 1) / 2
    cosine, sine = torch.cos(turns)[:, None], torch.sin(turns)[:, None]
    # grid_sample with align_corners=False: pixel centre p ↔ (2p + 1)/n − 1.
    x_of_x, x_of_y = cosine * xs * 2 / width, sine * ys * 2 / width
    y_of_x, y_of_y = sine * xs * 2 / height, cosine * ys * 2 / height
    grid = field.new_empty(*field.shape, 2)
    grid[..., 0] = x_of_x.to(field.dtype)[:, None] - x_of_y.to(field.dtype)[:, :, None]
    grid[..., 1] = y_of_x.to(field.dtype)[:, None] + y_of_y.to(field.dtype)[:, :, None]
    return F.grid_sample(field[:, None], grid, align_corners=False)[:, 0]


def _exact(
    cells: Tensor,
    turns: Tensor,
    angles: Tensor,
    places: tuple[Tensor, ...],
    height: int,
    width: int,
) -> Tensor:
    """The turned field in float64 at the pixels `places` = (row of the batch, y, x), (K,) each."""
    row, y, x = places
    cosine, sine = torch.cos(turns)[row], torch.sin(turns)[row]
    down, right = y - (height - 1) / 2, x - (width - 1) / 2
    source_y = sine * right + cosine * down + (height - 1) / 2
    source_x = cosine * right - sine * down + (width - 1) / 2
    top, left = source_y.floor(), source_x.floor()
    total = torch.zeros_like(source_y)
    for corner_y in (top, top + 1):
        for corner_x in (left, left + 1):
            inside = (corner_y >= 0) & (corner_y < height) & (corner_x >= 0) & (corner_x < width)
            share = (1 - (source_y - corner_y).abs()) * (1 - (source_x - corner_x).abs())
            position_y = cells[row, 0] * (corner_y / height)
            position_x = cells[row, 1] * (corner_x / width)
            total += share * inside * _noise_at(angles, row, position_y, position_x)
    return total


def _noise_at(angles: Tensor, row: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Gradient noise × √2 at positions in cells, (K,) each."""
    total = torch.zeros_like(y)
    for line_y in (y.floor(), y.floor() + 1):
        for line_x in (x.floor(), x.floor() + 1):
            # Beyond the lattice lie only positions outside the image, whose share is zero.
            at = [line.long().clamp(0, MOST_CELLS) for line in (line_y, line_x)]
            angle = angles[row, at[0], at[1]]
            down, right = y - line_y, x - line_x
            slope = torch.sin(angle) * down + torch.cos(angle) * right
            total += _fade(1 - down.abs()) * _fade(1 - right.abs()) * slope
    return math.sqrt(2) * total
