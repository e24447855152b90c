"""How DSARAD's networks see pictures: as they are, or with the unit's own contrast (ours)."""

import torch
from torch import Tensor, nn

from blemish.synthesis.random import uniforms

STREAM = 301  # of the shading's random numbers
CONTRAST = 0.1  # deviation of standardised pixels around 0.5: five fit to either side
FLAT = 0.5 / 255  # the deviation of a unit without any contrast, which nothing divides by


class Pixels(nn.Module):
    """Pixels of mean 0.5 and deviation 0.1 over a unit's normals, cut off at 0 and 1; or as is.

    A display's normals may differ from their mean by three grey levels of 255: networks that start
    at random learn nothing of such contrast within a short training. One deviation for all channels
    keeps colours in proportion.
    """

    def __init__(self, standardise: bool) -> None:
        super().__init__()
        self.standardise = standardise
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(3, 1, 1))
        self.register_buffer("deviation", torch.ones(()))

    def measure(self, images: Tensor) -> None:
        """Take mean and deviation of normals, uint8 (N, 3, H, W), as shares of 255."""
        count = images.numel() // 3
        # Sums of integers are exact; image by image they need no copy of all in floats.
        sums = sum(one.sum(dim=(1, 2), dtype=torch.int64) for one in images)
        squares = sum((one.int() ** 2).sum(dim=(1, 2), dtype=torch.int64) for one in images)
        mean = torch.as_tensor(sums).double() / count
        variance = (torch.as_tensor(squares).double() / count - mean**2).mean()
        self.mean.copy_(mean[:, None, None] / 255)
        self.deviation.fill_(max(float(variance.clamp(min=0).sqrt()) / 255, FLAT))

    def forward(self, pictures: Tensor) -> Tensor:
        """What the networks see of (B, 3, H, W) in [0, 1]."""
        if not self.standardise:
            return pictures
        seen = CONTRAST * (pictures - self.mean) / self.deviation + 0.5
        return seen.to(pictures.dtype).clamp_(0, 1)

    def inverse(self, seen: Tensor) -> Tensor:
        """The picture in [0, 1] that the networks see so."""
        if not self.standardise:
            return seen
        return (seen - 0.5) / CONTRAST * self.deviation + self.mean

    def shading(self, seeds: Tensor, size: int, reach: float) -> Tensor:
        """Light that falls on a picture otherwise: float64 (B, 1, size, size), to be added.

        A constant and a slope along each axis, all uniform in ±`reach` deviations of the unit's
        pixels, the slopes' at the border. seeds: (B,).
        """
        drawn = 2 * uniforms(seeds, STREAM, 3) - 1
        constant, across, down = drawn[..., None, None].unbind(1)
        line = torch.linspace(-1, 1, size, dtype=torch.float64)
        light = constant + across * line + down * line[:, None]
        return reach * float(self.deviation) * light[:, None]
