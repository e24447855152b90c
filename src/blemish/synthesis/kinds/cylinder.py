"""Display defects: a bubble or fibre under the film.

Its amplitude is ours; what the published name means is unknown (`docs/spec/dlas-net.md` §7).
"""

import math

import torch
from torch import Tensor

from blemish.synthesis.kind import contrasting
from blemish.synthesis.random import uniforms
from blemish.synthesis.shapes import Shape, column, log_uniform, normalised, turned_grid


def cylinder(seeds: Tensor, height: int, width: int, scale: float) -> Shape:
    """A bubble or fibre under the film, 6–18 wide and up to seven times as long.

    Lit from one side and shaded on the other.
    """
    x, y, angle, size, long, light, tint = uniforms(seeds, 83, 7).unbind(1)
    radius = (log_uniform(size, 3, 9) * scale).clamp(min=1)
    straight = column(radius * (log_uniform(long, 1, 7) - 1))
    along, across = turned_grid(x * width, y * height, angle * math.pi, height, width)
    beyond = torch.maximum(along - straight, torch.zeros_like(along)) + torch.minimum(
        along + straight, torch.zeros_like(along)
    )
    u, v = beyond / column(radius), across / column(radius)
    squared = u * u + v * v
    # The slope of a round body towards the light, fading where it meets the ground.
    towards = light * 2 * math.pi
    slope = u * column(torch.cos(towards)) + v * column(torch.sin(towards))
    body = (1.15 - squared).clamp(0, 1)
    profile = body * (slope + column(0.8 * (tint - 0.5)))
    return normalised(profile, 0)[0], squared < 1


KIND = contrasting(cylinder, amplitude=(2.0, 10.0))
