"""The offset network, from an image to its displacement fields (`docs/spec/dmad.md` §3.2)."""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blemish.methods.dmad.fields import Fields

BLOCK = 4  # pixels, of the coarse coordinate
HEADS = 4


class CoordinateConvolution(nn.Module):
    """A 3×3 convolution without bias of an image and four channels that say where a pixel is.

    The coordinates are the same for every image, and each along one axis only: their share of the
    result is computed on a strip three pixels wide (first, inner, last) and spread.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.weight = nn.Parameter(torch.empty(outputs, inputs + 4, 3, 3))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # as nn.Conv2d does

    def forward(self, images: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        image_weight, rows, columns = self.weight.split([self.inputs, 2, 2], dim=1)
        height, width = images.shape[-2:]
        of_row = coordinates(height, images.dtype, images.device)[None, :, :, None]
        of_column = coordinates(width, images.dtype, images.device)[None, :, None, :]
        down = F.conv2d(of_row.expand(-1, -1, -1, 3), rows, padding=1)
        along = F.conv2d(of_column.expand(-1, -1, 3, -1), columns, padding=1)
        where = _spread(down, 3, width) + _spread(along, 2, height)
        return F.conv2d(images, image_weight, padding=1) + where


def _spread(strip: Tensor, axis: int, size: int) -> Tensor:
    """Three pixels along an axis -> `size`: the middle one is repeated."""
    first, inner, last = strip.split(1, dim=axis)
    shape = list(strip.shape)
    shape[axis] = size - 2
    return torch.cat([first, inner.expand(shape), last], dim=axis)


@lru_cache(maxsize=16)
def coordinates(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Fine and coarse coordinate along an axis, (2, size).

    Coarse: from −1 to 1 in steps, one a block of 4 pixels. Fine: 2·(i / (n − 1) − c) − 1 with c
    the coarse one in [0, 1], as published; so it stays near −1.
    """
    with torch.inference_mode(False):  # a cached tensor must be usable in every mode
        index = torch.arange(size, dtype=torch.float64)
        coarse = (index // BLOCK) / (size / BLOCK - 1)
        fine = index / (size - 1) - coarse
        return (2 * torch.stack([fine, coarse]) - 1).to(dtype=dtype, device=device)


class OffsetNetwork(nn.Module):
    """A trunk at full resolution and four heads, a coarse and a fine one for each way.

    As published but for the second weights of the coordinate layers, which nothing used:
    533,320 parameters at width 64. The first layers of the four heads see the same input, so they
    are one convolution; its channels are those of O1, O2, O2ᵀ, O1ᵀ.

    width: channels. coarse_reach, fine_reach: the longest displacement along an axis, as a share
    of the side: the same picture at another size is bent alike.
    """

    def __init__(self, width: int, coarse_reach: float, fine_reach: float) -> None:
        super().__init__()
        self.reach = (2 * coarse_reach, 2 * fine_reach)  # the whole side is 2 in sampling units
        self.trunk = nn.Sequential(
            CoordinateConvolution(3, width), nn.BatchNorm2d(width), nn.ReLU(),
            CoordinateConvolution(width, width), nn.BatchNorm2d(width), nn.ReLU(),
        )  # fmt: skip
        self.residual = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width),
            nn.ReLU(), nn.Conv2d(width, width, 1),
        )  # fmt: skip
        self.norm = nn.BatchNorm2d(width)
        self.heads = nn.Sequential(
            nn.Conv2d(2 * width, HEADS * width, 3, stride=2, padding=1),
            nn.BatchNorm2d(HEADS * width), nn.ReLU(),
        )  # fmt: skip
        self.coarse, self.coarse_back = (self._coarse_tail(width) for _ in range(2))
        self.fine, self.fine_back = (nn.Conv2d(width, 2, 3, padding=1) for _ in range(2))
        self.to(memory_format=torch.channels_last)

    @staticmethod
    def _coarse_tail(width: int) -> nn.Sequential:
        down = [
            layer
            for _ in range(2)
            for layer in (
                nn.Conv2d(width, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
            )
        ]  # fmt: skip
        return nn.Sequential(*down, nn.Conv2d(width, 2, 3, padding=1))

    def forward(self, images: Tensor) -> Fields:
        """Normalised images (B, 3, H, W) -> fields at their size, float32 or better."""
        size = images.shape[-2:]
        x1 = self.trunk(images.contiguous(memory_format=torch.channels_last))
        x2 = torch.cat([self.norm(x1 + self.residual(x1)), x1], dim=1)
        o1, o2, o2_back, o1_back = self.heads(x2).chunk(HEADS, dim=1)
        coarse = torch.cat([self.coarse(o1), self.coarse_back(o1_back)], dim=1)
        fine = torch.cat([self.fine(o2), self.fine_back(o2_back)], dim=1)
        with torch.autocast(images.device.type, enabled=False):
            coarse, coarse_back = self._enlarged(coarse, self.reach[0], size).split(2, dim=1)
            fine, fine_back = self._enlarged(fine, self.reach[1], size).split(2, dim=1)
        return Fields(coarse, fine, fine_back, coarse_back)

    @staticmethod
    def _enlarged(raw: Tensor, reach: float, size: torch.Size) -> Tensor:
        precise = raw.float() if raw.dtype == torch.bfloat16 else raw
        small = torch.tanh(precise).contiguous() * reach
        return F.interpolate(small, size, mode="bilinear", align_corners=True)
