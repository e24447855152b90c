"""How DSARAD's networks see pictures: as they are, or with the field made flat (ours)."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from blemish.methods.normals import Normals

CONTRAST = 0.1  # deviation of what is left of the normals, around 0.5: five fit to either side
ALIKE = 0.5  # of the deviation that the mean normal may leave where parts lie alike
FLAT = 0.1 / 255  # the deviation of a unit without any contrast, which nothing divides by
FAR = 2.0  # deviations beyond which a pixel pulls the light no harder
ROUNDS = 8


class InputNormalisation(nn.Module):
    """Pixels as they are; or without their picture's light and the unit's mean normal.

    A display's normals differ from their mean by three grey levels of 255, nearly all of it in how
    they are lit; networks that start at random learn nothing of the third of a level beneath within
    a short training. What is left has mean 0.5 and deviation 0.1 over the normals, and is cut off
    at 0 and 1. One deviation for all channels keeps colours in proportion.

    All that supposes that a unit's parts lie alike. With "auto" it is looked at: the mean of one
    half of the normals must leave the other half `ALIKE` of their deviation at most, else pixels
    stay as they are. What was found is kept in `flat`.
    """

    normal: Tensor
    deviation: Tensor
    ramps: Tensor
    flat: Tensor

    def __init__(self, flat_field: bool | Literal["auto"], size: tuple[int, int]) -> None:
        super().__init__()
        self.flat_field = flat_field
        if flat_field:
            self.register_buffer("flat", torch.tensor(True))
            self.register_buffer("normal", torch.zeros(3, *size))
            self.register_buffer("deviation", torch.ones(()))
            self.register_buffer("ramps", planes(*size), persistent=False)

    def measure(self, images: Normals | Tensor) -> None:
        """Take mean and deviation of N normals, uint8 (3, H, W) each, as shares of 255."""
        if not self.flat_field:
            return

        def even(row: int) -> Tensor:  # one by one: all in floats would be eight times as much
            shares = images[row : row + 1][0].double() / 255
            return shares - plane(shares)

        def mean_of(rows: range) -> Tensor:
            total = torch.zeros(self.normal.shape, dtype=torch.float64)
            for row in rows:
                total += even(row) / len(rows)
            return total

        def deviation_from(normal: Tensor | float, rows: range) -> float:
            errors = [float((even(row) - normal).square().mean()) for row in rows]
            return math.sqrt(sum(errors) / len(errors))

        normal, everyone = mean_of(range(len(images))), range(len(images))
        self.normal.copy_(normal)
        self.deviation.fill_(max(deviation_from(normal, everyone), FLAT))
        if self.flat_field == "auto" and len(images) > 1:
            odd, others = everyone[1::2], everyone[::2]
            left = deviation_from(mean_of(odd), others) / max(deviation_from(0.0, others), FLAT)
            self.flat.fill_(left <= ALIKE)

    @property
    def is_flat(self) -> bool:
        """Whether light and mean normal are taken away."""
        return bool(self.flat) if self.flat_field == "auto" else self.flat_field

    def settle(self) -> None:
        """Make what was found of the unit a setting: a graph can have no value decide its form."""
        self.flat_field = self.is_flat

    def light(self, pictures: Tensor) -> Tensor:
        """The plane (B, 3, H, W) of light on pictures (B, 3, H, W) in [0, 1].

        Huber's estimate by reweighted least squares: a defect of any contrast pulls it little,
        where it would tilt the plane of plain least squares all over the picture (Huber &
        Ronchetti, *Robust Statistics*, 2009, section 7.8).
        """
        rest = (pictures - self.normal).flatten(2)
        ramps = self.ramps.to(rest)
        light = torch.zeros_like(rest)
        for number in range(ROUNDS):
            near = FAR * self.deviation / (rest - light).abs()
            weights = near.clamp(max=1) if number else torch.ones_like(rest)
            weighted = weights[:, :, None] * ramps
            heights = torch.linalg.solve(weighted @ ramps.T, weighted @ rest[..., None])
            light = heights[..., 0] @ ramps
        return light.view_as(pictures)

    def forward(self, pictures: Tensor) -> Tensor:
        """What the networks see of (B, 3, H, W) in [0, 1]."""
        if not self.is_flat:
            return pictures
        rest = pictures - self.normal - self.light(pictures)
        return (CONTRAST * rest / self.deviation + 0.5).to(pictures.dtype).clamp_(0, 1)

    def inverse(self, inputs: Tensor, pictures: Tensor) -> Tensor:
        """The picture in [0, 1] that the networks see so, in the light of `pictures`."""
        if not self.is_flat:
            return inputs
        return (inputs - 0.5) / CONTRAST * self.deviation + self.normal + self.light(pictures)


def plane(pictures: Tensor) -> Tensor:
    """The plane of least squares of each channel, (…, H, W) → (…, H, W)."""
    ramps = planes(*pictures.shape[-2:]).to(pictures)
    # They are orthogonal.
    heights = pictures.flatten(-2) @ ramps.T / ramps.square().sum(dim=1)
    return (heights @ ramps).view_as(pictures)


def planes(height: int, width: int) -> Tensor:
    """What all planes are sums of: a constant and two ramps, float64 (3, height · width)."""
    down, across = (torch.linspace(-1, 1, side, dtype=torch.float64) for side in (height, width))
    ramps = torch.meshgrid(down, across, indexing="ij")
    return torch.stack([torch.ones(height, width, dtype=torch.float64), *ramps]).flatten(1)
