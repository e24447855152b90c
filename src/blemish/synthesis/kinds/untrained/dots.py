"""Held out: small hard dots."""

import math

import torch
from torch import Tensor

from blemish.synthesis.kind import contrasting
from blemish.synthesis.random import uniforms
from blemish.synthesis.shapes import Shape, column, log_uniform, normalised, turned_grid

DOTS = 8


def dots(seeds: Tensor, height: int, width: int, scale: float) -> Shape:
    """One to eight turned squares or diamond slivers of side 2–20 with hard edges."""
    count = 1 + torch.floor(uniforms(seeds, 102, 1) * DOTS)
    drawn = uniforms(seeds, 103, 5 * DOTS).view(-1, 5, DOTS).unbind(1)
    profile = torch.zeros(len(seeds), height, width, device=seeds.device)
    for dot in range(DOTS):
        x, y, size, angle, kind = (values[:, dot] for values in drawn)
        half = column((log_uniform(size, 1, 10) * scale).clamp(min=0.6))
        u, v = turned_grid(x * width, y * height, angle * math.pi, height, width)
        square = torch.maximum(u.abs(), v.abs())
        sliver = 0.5 * u.abs() + 1.5 * v.abs()
        distance = torch.where(column(kind) < 0.5, square, sliver)
        present = column((dot < count[:, 0]).double())
        profile = torch.maximum(profile, (half + 0.5 - distance).clamp(0, 1) * present)
    return normalised(profile, 0.5)


KIND = contrasting(dots, amplitude=(4.0, 20.0))
