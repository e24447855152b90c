"""Display defects: blobs (`docs/spec/dlas-net.md` §8.2)."""

import torch
from torch import Tensor

from blemish.synthesis.kind import contrasting
from blemish.synthesis.random import uniforms
from blemish.synthesis.shapes import Shape, grid, log_uniform, normalised


def spot(seeds: Tensor, height: int, width: int, scale: float) -> Shape:
    """One to eight blobs of radius 1–8, each Gaussian or a disc with soft edges."""
    most = 8
    count = 1 + torch.floor(uniforms(seeds, 70, 1) * most)
    x, y, size, flat = uniforms(seeds, 71, 4 * most).view(-1, 4, most).unbind(1)
    radius = (log_uniform(size, 1, 8) * scale).clamp(min=0.7)
    # A Gaussian, raised and cut at one, is a disc; either is at one half at the radius.
    gain = torch.where(flat < 0.5, 1.0, 8.0)
    sigma = radius / torch.sqrt(2 * torch.log(2 * gain))
    gain = (gain * (torch.arange(most, device=seeds.device) < count)).float()
    ys, xs = grid(height, width, seeds.device)
    bell_y = torch.exp(-0.5 * ((ys - _row(y * height)) / _row(sigma)) ** 2)  # (B, H, 8)
    bell_x = torch.exp(-0.5 * ((xs.mT - _row(x * width)) / _row(sigma)) ** 2)
    profile = torch.zeros(len(seeds), height, width, device=seeds.device)
    for blob in range(most):
        rows = (bell_y[:, :, blob] * gain[:, blob, None])[:, :, None]
        profile += (rows * bell_x[:, None, :, blob]).clamp_(max=1)
    return normalised(profile.clamp_(max=1), 0.5)


def _row(values: Tensor) -> Tensor:
    return values.float()[:, None, :]


KIND = contrasting(spot, amplitude=(2.0, 10.0))
