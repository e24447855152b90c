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

    The sum over the four corners of fade(y)·fade(x)·(g_y·Δy + g_x·Δx) is a matrix product: a row
    of `weight` has two non-zero entries, the corners of the cell that the pixel lies in. The two
    summands are joined along the inner dimension.
    """
    weight_y, slope_y = _corners(cells[:, 0], height)
    weight_x, slope_x = _corners(cells[:, 1], width)
    gradients = torch.stack((torch.sin(angles), torch.cos(angles))) * math.sqrt(2)
    down, right = gradients.to(precision)
    left = torch.cat((slope_y.to(precision) @ down, weight_y.to(precision) @ right), dim=2)
    return left @ torch.cat((weight_x, slope_x), dim=2).to(precision).mT


def _corners(cells: Tensor, pixels: int) -> tuple[Tensor, Tensor]:
    """For each pixel and lattice line: fade weight, and that times the distance in cells.

    Both (B, pixels, 33) float64.
    """
    places = torch.arange(pixels, device=cells.device, dtype=torch.float64) / pixels
    lines = torch.arange(MOST_CELLS + 1, device=cells.device, dtype=torch.float64)
    offset = (cells[:, None] * places[None])[:, :, None] - lines
    weight = _fade(1 - offset.abs().clamp(max=1))
    return weight, weight * offset


def _fade(t: Tensor) -> Tensor:
    return t * t * t * (t * (t * 6 - 15) + 10)


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
    kind = torch.complex128 if field.dtype == torch.float64 else torch.complex64
    grid = torch.view_as_real(of_x.to(kind)[:, None, :] + of_y.to(kind)[:, :, None])
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
    share_y, pixel_y = _bilinear(source_y, height)  # (K, 2)
    share_x, pixel_x = _bilinear(source_x, width)
    position_y = cells[row, :1] * (pixel_y / height)
    position_x = cells[row, 1:] * (pixel_x / width)
    corners = _noise_at(angles, row, position_y, position_x)  # (K, 2, 2)
    return (share_y[:, :, None] * share_x[:, None, :] * corners).sum(dim=(1, 2))


def _bilinear(source: Tensor, pixels: int) -> tuple[Tensor, Tensor]:
    """The two pixels that a place lies between, and the share of each, 0 outside: (K, 2) each."""
    pixel = torch.stack((source.floor(), source.floor() + 1), dim=1)
    inside = (pixel >= 0) & (pixel < pixels)
    return (1 - (source[:, None] - pixel).abs()) * inside, pixel


def _noise_at(angles: Tensor, row: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Gradient noise × √2 at all pairs of positions y, x in cells, (K, 2) each: (K, 2, 2)."""
    line_y = torch.stack((y.floor(), y.floor() + 1), dim=2)  # (K, 2 positions, 2 lines)
    line_x = torch.stack((x.floor(), x.floor() + 1), dim=2)
    down, right = y[:, :, None] - line_y, x[:, :, None] - line_x
    # Beyond the lattice lie only positions outside the image, whose share is zero.
    at_y, at_x = (line.long().clamp(0, MOST_CELLS) for line in (line_y, line_x))
    angle = angles[
        row[:, None, None, None, None], at_y[:, :, None, :, None], at_x[:, None, :, None]
    ]
    slope = (
        torch.sin(angle) * down[:, :, None, :, None] + torch.cos(angle) * right[:, None, :, None]
    )
    weight = _fade(1 - down.abs())[:, :, None, :, None] * _fade(1 - right.abs())[:, None, :, None]
    return math.sqrt(2) * (weight * slope).sum(dim=(3, 4))
