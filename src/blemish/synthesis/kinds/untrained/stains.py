"""Held out: fading blots."""

import math

import torch
from torch import Tensor

from blemish.synthesis.kind import contrasting
from blemish.synthesis.random import uniforms
from blemish.synthesis.shapes import Shape, column, grid, log_uniform, normalised


def stains(seeds: Tensor, height: int, width: int, scale: float) -> Shape:
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
    reach = column(log_uniform(size, 40, 200) * scale) * radius
    share = ((1 - distance / reach) / column(0.1 + 0.9 * soft)).clamp(0, 1)
    return normalised(share * share * (3 - 2 * share), 0.5)


KIND = contrasting(stains, amplitude=(1.5, 8.0))
