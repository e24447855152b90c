"""How visible a defect is: contrast in units of the image's own noise.

After `docs/spec/dlas-net.md` §8.2.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from blemish.synthesis.random import uniforms

GAUSSIAN = 1.2533  # standard deviation of a normal distribution over its mean absolute deviation
LARGEST_WINDOW = 147  # sums of three channels over its square are exact in float32


def local_noise(images: Tensor, labels: Tensor) -> Tensor:
    """The standard deviation of the grey image about its local mean, near each label.

    images: (B, 3, H, W) uint8; labels: (B, H, W) bool. "Local" is a window of 1/16 of the shorter
    side, "near" as far as that window reaches. A mean absolute deviation × 1.2533, so that few
    bright pixels count little. Sums of integers only: the same bits in any batch, on any device.
    Returns (B,) float64, in units of white = 1.
    """
    side = min(images.shape[-2:])
    window = min(2 * (side // 32) + 1, LARGEST_WINDOW)
    reach, pixels = window // 2, window * window
    grey = images.sum(dim=1, dtype=torch.int32)
    # Reflection is for floats alone; these whole numbers are exact in it.
    padded = F.pad(grey[:, None].float(), (reach,) * 4, mode="reflect")[:, 0] if reach else grey
    deviation = (grey * pixels - window_sums(padded, window)).abs_()
    near = window_sums(F.pad(labels, (reach,) * 4), window) > 0
    mean = masked_sum(deviation, near) / near.flatten(1).sum(dim=1).double().clamp(min=1)
    return GAUSSIAN * mean / (pixels * 3 * 255)


def window_sums(values: Tensor, window: int) -> Tensor:
    """The sum of each window of whole numbers, exact: (B, H, W) -> int64 (B, H − w + 1, W − w + 1).

    By differences of running sums, whose cost does not grow with the window.
    """
    for dim in (1, 2):
        running = values.to(torch.int64).cumsum(dim)
        first = running.narrow(dim, window - 1, 1)
        length = running.shape[dim] - window
        rest = running.narrow(dim, window, length) - running.narrow(dim, 0, length)
        values = torch.cat([first, rest], dim)
    return values


def masked_sum(values: Tensor, masks: Tensor) -> Tensor:
    """Sums of whole numbers (B, H, W) under masks, exact: (B,) float64."""
    return (values.to(torch.int64) * masks).flatten(1).sum(dim=1).double()


def strength(amplitude: tuple[float, float], seeds: Tensor, visibility: Tensor) -> Tensor:
    """v·A: how many standard deviations of local noise a defect differs by, (B,) float64.

    A is log-uniform in `amplitude`, the range of the defect's kind.
    """
    low, high = amplitude
    return visibility * low * (high / low) ** uniforms(seeds, 90, 1)[:, 0]


def shift(images: Tensor, profile: Tensor, labels: Tensor, units: Tensor, seeds: Tensor) -> Tensor:
    """Make images brighter or darker by a profile: float32 (B, 3, H, W) in [0, 1].

    images: uint8; profile: (B, H, W) in [−1, 1]; units: (B,) from `strength`. The sign is drawn,
    but where it would push a defect out of the range of the sensor the other one is taken. At
    least one grey level, so that a picture without noise gets a defect too. Colour images get a
    little colour (10 % a channel).
    """
    normal = torch.div(images, 255)
    amount = (units * local_noise(images, labels)).clamp(min=1 / 255)
    level = masked_sum(images.sum(dim=1, dtype=torch.int32), labels) / (
        labels.flatten(1).sum(dim=1).clamp(min=1) * (3 * 255)
    )
    drawn = uniforms(seeds, 91, 4)
    bright = drawn[:, 0] < 0.5
    clips = torch.where(bright, level + amount > 1, level - amount < 0)
    bright = torch.where(clips, level < 0.5, bright)
    grey = (images[:, :1] == images[:, 1:]).flatten(1).all(dim=1)
    colour = torch.where(grey[:, None], 1.0, 0.9 + 0.2 * drawn[:, 1:])
    signed = (torch.where(bright, amount, -amount)[:, None] * colour).float()
    return (normal + signed[:, :, None, None] * profile[:, None]).clamp_(0, 1)
