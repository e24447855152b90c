"""Where a synthetic defect lies: masks as pure, batched functions of seeds."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from blemish.synthesis.random import uniforms

MOST_CELLS = 32  # Perlin cells a side, 2^5 (`methods/glass.md` §3.1)
ATTEMPTS = 100


def perlin_masks(seeds: Tensor, height: int, width: int) -> Tensor:
    """The masks of GLASS before rejection (`methods/glass.md` §3.1–3.2).

    Two thresholded Perlin fields, joined by union, intersection, or the first alone.
    seeds: (B,) int64. Returns (B, height, width) bool; may be empty.
    """
    first = perlin_field(seeds, 1, height, width) > 0.5
    second = perlin_field(seeds, 2, height, width) > 0.5
    choice = uniforms(seeds, 3, 1)[:, :, None]
    return torch.where(
        choice > 2 / 3, first | second, torch.where(choice > 1 / 3, first & second, first)
    )


def perlin_field(seeds: Tensor, stream: int, height: int, width: int) -> Tensor:
    """Gradient noise × √2, turned about the image's centre (`methods/glass.md` §3.1).

    Cells a side are 2^a, a uniform in {0…5}, each axis its own. float64, because a rounding that
    differs between batch sizes or devices must not move a pixel across the threshold.
    Returns (B, height, width).
    """
    numbers = uniforms(seeds, 16 * stream, 3)
    cells = 2.0 ** torch.floor(numbers[:, :2] * 6)
    lattice = MOST_CELLS + 1
    angles = uniforms(seeds, 16 * stream + 1, lattice * lattice) * 2 * math.pi
    angles = angles.view(-1, lattice, lattice)
    weight_y, offset_y = _corners(cells[:, 0], height)
    weight_x, offset_x = _corners(cells[:, 1], width)
    # Sum over the four corners of fade(y)·fade(x)·(g_y·Δy + g_x·Δx), as two matrix products each:
    # a row of `weight` has two non-zero entries, the corners of the cell the pixel lies in.
    vertical = (weight_y * offset_y) @ torch.sin(angles) @ weight_x.mT
    horizontal = weight_y @ torch.cos(angles) @ (weight_x * offset_x).mT
    return _turn(math.sqrt(2) * (vertical + horizontal), (numbers[:, 2] - 0.5) * math.pi)


def _corners(cells: Tensor, pixels: int) -> tuple[Tensor, Tensor]:
    """For each pixel and lattice line: fade weight and distance in cells, (B, pixels, 33) each."""
    places = torch.arange(pixels, device=cells.device, dtype=torch.float64) / pixels
    position = cells[:, None] * places[None]
    lines = torch.arange(MOST_CELLS + 1, device=cells.device, dtype=torch.float64)
    offset = position[:, :, None] - lines
    distance = 1 - offset.abs().clamp(max=1)
    return distance**3 * (distance * (distance * 6 - 15) + 10), offset


def _turn(field: Tensor, angles: Tensor) -> Tensor:
    """Rotate (B, H, W) about ((W−1)/2, (H−1)/2), bilinear, zeros outside."""
    height, width = field.shape[1:]
    ys = torch.arange(height, device=field.device, dtype=torch.float64) - (height - 1) / 2
    xs = torch.arange(width, device=field.device, dtype=torch.float64) - (width - 1) / 2
    cosine, sine = torch.cos(angles)[:, None, None], torch.sin(angles)[:, None, None]
    source_x = cosine * xs[None, None] - sine * ys[None, :, None]
    source_y = sine * xs[None, None] + cosine * ys[None, :, None]
    # grid_sample with align_corners=False: pixel centre p ↔ (2p + 1)/n − 1.
    grid = torch.stack((source_x * 2 / width, source_y * 2 / height), dim=-1)
    return F.grid_sample(field[:, None], grid, align_corners=False)[:, 0]


def shape_masks(seeds: Tensor, height: int, width: int) -> Tensor:
    """One to four turned ellipses and rectangles: masks that training never sees.

    Sides are log-uniform between 2 % and 25 % of the shorter image side.
    seeds: (B,) int64. Returns (B, height, width) bool.
    """
    most = 4
    count = 1 + torch.floor(uniforms(seeds, 40, 1) * most)
    x, y, long, ratio, angle, kind = uniforms(seeds, 41, 6 * most).view(-1, 6, most).unbind(dim=1)
    half = 0.5 * min(height, width) * 0.02 * (0.25 / 0.02) ** long
    half_other = half * (0.15 + 0.85 * ratio)
    cosine, sine = torch.cos(angle * math.pi), torch.sin(angle * math.pi)
    ys = torch.arange(height, device=seeds.device, dtype=torch.float32)[:, None]
    xs = torch.arange(width, device=seeds.device, dtype=torch.float32)[None]
    mask = torch.zeros(len(seeds), height, width, dtype=torch.bool, device=seeds.device)
    for shape in range(most):
        column = torch.stack((cosine, sine, half, half_other, x * width, y * height, kind))
        c, s, a, b, left, top, round_or_not = column[:, :, shape, None, None].float()
        u = (c * (xs - left) + s * (ys - top)).abs() / a
        v = (c * (ys - top) - s * (xs - left)).abs() / b
        inside = torch.where(round_or_not < 0.5, u * u + v * v, torch.maximum(u, v)) < 1
        mask |= inside & (shape < count)[:, :, None]
    return mask


MASKS: dict[str, Callable[[Tensor, int, int], Tensor]] = {
    "perlin": perlin_masks,
    "shapes": shape_masks,
}


def draw_masks(kind: str, seeds: Tensor, height: int, width: int, cell: int) -> Tensor:
    """Masks that are not empty: everything about an empty one is drawn again (§3.2).

    Empty means no positive cell of `cell`×`cell` pixels, so any pixel counts; pixels beyond the
    last whole cell do not. Attempt k of seed s hashes (s, k), so a mask is a function of its own
    seed alone. Returns (B, height, width) bool.
    """
    masks = torch.zeros(len(seeds), height, width, dtype=torch.bool, device=seeds.device)
    missing = torch.arange(len(seeds), device=seeds.device)
    for attempt in range(ATTEMPTS):
        attempt_seeds = (seeds[missing] + attempt * 0x9E3779B1) & 0xFFFFFFFF
        drawn = MASKS[kind](attempt_seeds, height, width)
        masks[missing] = drawn
        whole = drawn[:, : height // cell * cell, : width // cell * cell]
        missing = missing[~whole.flatten(1).any(dim=1)]
        if not len(missing):
            break
    return masks


def cell_masks(masks: Tensor, rows: int, columns: int) -> Tensor:
    """Which cells of a rows×columns grid hold an anomalous pixel. (B, H, W) → (B, rows, columns)"""
    return F.adaptive_max_pool2d(masks[:, None].float(), (rows, columns))[:, 0] > 0
