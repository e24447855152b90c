"""Shapes of defects that training never sees: what validation shows beside textured shapes.

Defects on real parts are seldom filled: they are thin, tiny or faint. A validation set without
such would call a model good that sees none of them. As in `shapes`, each returns a profile,
(B, H, W) float32 in [0, 1], and a label, (B, H, W) bool, by elementwise arithmetic alone; sizes
are in pixels of a picture of 1000 and scale with its shorter side.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from blemish.synthesis.random import uniforms
from blemish.synthesis.shapes import (
    Shape,
    column,
    cut,
    grid,
    log_uniform,
    normalised,
    scale_of,
    turned_grid,
)

PIECES = 4  # of a stroke
DOTS = 8


def strokes(seeds: Tensor, height: int, width: int) -> Shape:
    """A thin stroke of width 1–6 and length 50–1,400 with hard edges: straight, half of these
    along an axis, or of four pieces at angles of up to 60°."""
    x, y, turn, straight, aligned, long, thick = uniforms(seeds, 100, 7).unbind(1)
    scale = scale_of(height, width)
    quarter = torch.floor(4 * turn) * (math.pi / 2)
    direction = torch.where((straight < 0.5) & (aligned < 0.5), quarter, turn * 2 * math.pi)
    bends = (uniforms(seeds, 101, PIECES) - 0.5) * (2 * math.pi / 3)
    bends = torch.where(straight[:, None] < 0.5, 0.0, bends)
    length = log_uniform(long, 50, 1400) * scale / PIECES
    half = column((log_uniform(thick, 1, 6) * scale).clamp(min=1) / 2)
    left, top = x * width, y * height
    profile = torch.zeros(len(seeds), height, width, device=seeds.device)
    for piece in range(PIECES):
        direction = direction + bends[:, piece]
        along, across = turned_grid(left, top, direction, height, width)
        beyond = (-along).clamp(min=0) + (along - column(length)).clamp(min=0)
        distance = torch.sqrt(beyond * beyond + across * across)
        profile = torch.maximum(profile, (half + 0.5 - distance).clamp(0, 1))
        left = left + torch.cos(direction) * length
        top = top + torch.sin(direction) * length
    return cut(profile)


def dots(seeds: Tensor, height: int, width: int) -> Shape:
    """One to eight turned squares or diamond slivers of side 2–20 with hard edges."""
    count = 1 + torch.floor(uniforms(seeds, 102, 1) * DOTS)
    drawn = uniforms(seeds, 103, 5 * DOTS).view(-1, 5, DOTS).unbind(1)
    profile = torch.zeros(len(seeds), height, width, device=seeds.device)
    for dot in range(DOTS):
        x, y, size, angle, kind = (values[:, dot] for values in drawn)
        half = column((log_uniform(size, 1, 10) * scale_of(height, width)).clamp(min=0.6))
        u, v = turned_grid(x * width, y * height, angle * math.pi, height, width)
        square = torch.maximum(u.abs(), v.abs())
        sliver = 0.5 * u.abs() + 1.5 * v.abs()
        distance = torch.where(column(kind) < 0.5, square, sliver)
        present = column((dot < count[:, 0]).double())
        profile = torch.maximum(profile, (half + 0.5 - distance).clamp(0, 1) * present)
    return normalised(profile, 0.5)


def stains(seeds: Tensor, height: int, width: int) -> Shape:
    """A blot of radius 40–200 whose outline swings in and out and whose edge fades."""
    x, y, size, soft = uniforms(seeds, 104, 4).unbind(1)
    swing, phase = uniforms(seeds, 105, 6).view(-1, 2, 3).unbind(1)
    ys, xs = grid(height, width, seeds.device)
    right, down = xs - column(x * width), ys - column(y * height)
    distance = torch.sqrt(right * right + down * down).clamp(min=1e-6)
    cosine, sine = right / distance, down / distance
    radius = torch.ones_like(distance)
    turned_cosine, turned_sine = cosine, sine  # of 1, 2, 3 times the angle
    for lobe in range(3):
        start = phase[:, lobe] * 2 * math.pi
        wave = turned_cosine * column(torch.cos(start)) + turned_sine * column(torch.sin(start))
        radius = radius + wave * column(0.3 * swing[:, lobe])
        turned_cosine, turned_sine = (
            turned_cosine * cosine - turned_sine * sine,
            turned_sine * cosine + turned_cosine * sine,
        )
    reach = column(log_uniform(size, 40, 200) * scale_of(height, width)) * radius
    share = ((1 - distance / reach) / column(0.1 + 0.9 * soft)).clamp(0, 1)
    return normalised(share * share * (3 - 2 * share), 0.5)


HELD_OUT: dict[str, Callable[[Tensor, int, int], Shape]] = {
    "strokes": strokes,
    "dots": dots,
    "stains": stains,
}
