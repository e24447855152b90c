"""Display defects: a faint cloud, band or smooth field (`docs/spec/dlas-net.md` §8.2)."""

import math

import torch
from torch import Tensor

from blemish.synthesis.kind import contrasting
from blemish.synthesis.random import uniforms
from blemish.synthesis.shapes import (
    Shape,
    column,
    grid,
    log_uniform,
    normalised,
    turned_grid,
)


def mura(seeds: Tensor, height: int, width: int, scale: float) -> Shape:
    """An uneven cloud or band of deviation 30–150, or the peaks of a smooth random field."""
    choice = uniforms(seeds, 73, 1)[:, 0]
    profile = torch.empty(len(seeds), height, width, device=seeds.device)
    for chosen, draw in ((choice < 0.7, _cloud), (choice >= 0.7, _peaks)):
        rows = chosen.nonzero()[:, 0]
        if len(rows):
            profile[rows] = draw(seeds[rows], height, width, scale)
    return normalised(profile, 0.5)


def _cloud(seeds: Tensor, height: int, width: int, scale: float) -> Tensor:
    """Four overlapping Gaussians; one in three is so long that it is a band."""
    x, y, size, angle, band = uniforms(seeds, 74, 5).unbind(1)
    sigma = log_uniform(size, 30, 150) * scale
    along, across = turned_grid(x * width, y * height, angle * math.pi, height, width)
    stretch = torch.where(band < 1 / 3, 1e3, 1 + band)
    total = torch.zeros_like(along)
    for number in range(4):
        shift_u, shift_v, wide, weight = uniforms(seeds, 75 + number, 4).unbind(1)
        spread = sigma * (0.5 + 0.6 * wide)
        u = (along - column(2 * (shift_u - 0.5) * sigma)) / column(spread * stretch)
        v = (across - column(2 * (shift_v - 0.5) * sigma)) / column(spread)
        total += torch.exp(-0.5 * (u * u + v * v)) * column(0.5 + 0.5 * weight)
    return total


def _peaks(seeds: Tensor, height: int, width: int, scale: float) -> Tensor:
    """Softly cut peaks of a sum of waves in random directions."""
    sigma = log_uniform(uniforms(seeds, 80, 1)[:, 0], 30, 150) * scale
    ys, xs = grid(height, width, seeds.device)
    waves = 6
    angle, phase, length = (uniforms(seeds, 81, 3 * waves).view(-1, 3, waves) * 2).unbind(1)
    total = torch.zeros(len(seeds), height, width, device=seeds.device)
    for wave in range(waves):
        rate = 2 * math.pi / (sigma * (4 + 3 * length[:, wave]))
        x_rate = column(rate * torch.cos(angle[:, wave] * math.pi))
        y_rate = column(rate * torch.sin(angle[:, wave] * math.pi))
        total += torch.cos(xs * x_rate + (ys * y_rate + column(phase[:, wave] * math.pi)))
    peak = total.flatten(1).amax(dim=1)[:, None, None]
    # Not torch.sigmoid, whose bits depend on a pixel's place in memory.
    return 1 / (1 + torch.exp((0.65 * peak - total) * 2.5))


KIND = contrasting(mura, amplitude=(0.5, 3.0))
