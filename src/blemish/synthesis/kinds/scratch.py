"""Display defects: a bent scratch (`docs/spec/dlas-net.md` §8.2)."""

import math

import torch
from torch import Tensor

from blemish.synthesis.kind import contrasting
from blemish.synthesis.random import uniforms
from blemish.synthesis.shapes import Shape, column, cut, log_uniform, turned_grid


def scratch(seeds: Tensor, height: int, width: int, scale: float) -> Shape:
    """A bent scratch of width 1–3 and length 70–420 whose depth varies and skips."""
    x, y, angle, long, size, bow, wave, rate, phase = uniforms(seeds, 82, 9).unbind(1)
    length = column(log_uniform(long, 70, 420) * scale)
    thick = column(((1 + 2 * size) * scale).clamp(min=1))
    along, across = turned_grid(x * width, y * height, angle * math.pi, height, width)
    at = along / length + 0.5  # 0 … 1 from end to end
    bow, wave = column((bow - 0.5) * 0.5), column((wave - 0.5) * 0.2)
    half, whole = at * math.pi, at * (2 * math.pi)
    bend = length * (bow * torch.sin(half) + wave * torch.sin(whole))
    slope = math.pi * (bow * torch.cos(half) + 2 * wave * torch.cos(whole))
    distance = (across - bend) / torch.sqrt(1 + slope * slope)
    depth = 0.6 + 0.55 * torch.sin(at * column(8 + 20 * rate) + column(phase * 2 * math.pi))
    ends = (torch.minimum(at, 1 - at) * 6).clamp(0, 1)
    return cut(torch.exp(-0.5 * (distance / (0.42 * thick)) ** 2) * depth.clamp(0, 1) * ends)


KIND = contrasting(scratch, amplitude=(1.5, 8.0))
