"""What feature differences are usual at each place of a unit's normals (ours).

A reconstruction is nowhere exact: edges, prints and seams differ in every normal, and some channels
differ more than others. The published map adds all channels up and takes the largest cell, which is
then one of those. Measured in deviations from what is usual there, a difference counts by how rare
it is.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHRINKAGE = 3.0  # how much a channel's deviation counts beside that of a place, known by few images
LEAST = 1e-3  # of the mean deviation, so that a channel that is always alike does not decide alone


class Usual(nn.Module):
    """Mean and deviation of the difference of each channel at each place, (C, h, w)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, height, width))
        self.register_buffer("deviation", torch.ones(channels, height, width))

    def learn(self, differences: Tensor) -> None:
        """From those of normals (N, C, h, w)."""
        mean = neighbourhood(differences.mean(dim=0))
        deviation = neighbourhood((differences - mean).square().mean(dim=0).sqrt())
        shrunk = deviation + SHRINKAGE * deviation.mean(dim=(1, 2), keepdim=True)
        least = torch.maximum(shrunk, LEAST * shrunk.mean())
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(least > 0, least, torch.ones_like(least)))

    def forward(self, differences: Tensor) -> Tensor:
        """The mean square of what exceeds the usual, in deviations: (B, C, h, w) -> (B, h, w)."""
        excess = ((differences - self.mean) / self.deviation).clamp(min=0)
        return excess.square().mean(dim=1)


def neighbourhood(values: Tensor) -> Tensor:
    """The mean over each place and the eight around it: (C, h, w) -> (C, h, w)."""
    return F.avg_pool2d(values[None], 3, stride=1, padding=1, count_include_pad=False)[0]
