"""Display defects: a bright or dark line (`docs/spec/dlas-net.md` §8.2)."""

import math

import torch
from torch import Tensor

from blemish.synthesis.kind import contrasting
from blemish.synthesis.random import uniforms
from blemish.synthesis.shapes import Shape, column, cut, log_uniform, turned_grid


def line(seeds: Tensor, height: int, width: int, scale: float) -> Shape:
    """A line of width 1–4, whole or partial, flat or Gaussian; one in twenty is oblique."""
    x, y, turn, tilted, size, flat, part, first, second = uniforms(seeds, 72, 9).unbind(1)
    vertical, slope = torch.floor(2 * turn), (2 * turn) % 1 - 0.5
    angle = (vertical + torch.where(tilted < 0.05, 0.2 * slope, 0.0)) * (math.pi / 2)
    along, across = turned_grid(x * width, y * height, angle, height, width)
    thick = column((log_uniform(size, 1, 4) * scale).clamp(min=1))
    gaussian = torch.exp(-0.5 * (across / (thick / 2.355)) ** 2)
    profile = torch.where(
        column(flat) < 0.5, (thick / 2 + 0.5 - across.abs()).clamp(0, 1), gaussian
    )
    # A partial line covers the piece between two places, at least a tenth of the picture.
    reach = max(height, width)
    start, stop = torch.minimum(first, second) - 0.55, torch.maximum(first, second) - 0.45
    piece = (along > column(start * reach)) & (along < column(stop * reach))
    return cut(profile * (piece | (column(part) < 0.5)))


KIND = contrasting(line, amplitude=(1.5, 8.0))
