"""Held out: thin strokes."""

import math

import torch
from torch import Tensor

from blemish.synthesis.kind import contrasting
from blemish.synthesis.random import uniforms
from blemish.synthesis.shapes import Shape, column, cut, log_uniform, turned_grid

PIECES = 4  # of a stroke


def strokes(seeds: Tensor, height: int, width: int, scale: float) -> Shape:
    """A thin stroke of width 1–6 and length 50–1,400 with hard edges: straight, half of these
    along an axis, or of four pieces at angles of up to 60°."""
    x, y, turn, straight, aligned, long, thick = uniforms(seeds, 100, 7).unbind(1)
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


KIND = contrasting(strokes, amplitude=(4.0, 20.0))
