"""What the soft shapes of defects are made of: batched functions of seeds and of a picture's size.

A shape is the defect's profile, (B, H, W) float32 in [−1, 1] with its peak at 1 or −1, and its
label, (B, H, W) bool. Sizes are in pixels of a whole image of 1000 (`docs/spec/dlas-net.md` §8.2)
and scale with its shorter side, but no defect is thinner than a pixel. A picture may be a window
of the image: then a shape's middle lies in it, and what reaches beyond is cut off. Parameters are
drawn in float64; everything per pixel is elementwise, so that a batch's size changes no bit.
"""

from collections.abc import Callable

import torch
from torch import Tensor

SIDE = 1000  # pixels of the shorter side of the image that sizes refer to
FAINTEST = 0.1  # of the peak; thinner parts of lines and scratches are no defect
Shape = tuple[Tensor, Tensor]
# Seeds (B,), height and width of a picture, its pixels for one of a whole image of SIDE → B shapes.
ShapeMaker = Callable[[Tensor, int, int, float], Shape]


def log_uniform(share: Tensor, low: float, high: float) -> Tensor:
    """Shares in [0, 1) spread evenly over the logarithms from low to high."""
    return low * (high / low) ** share


def column(values: Tensor) -> Tensor:
    """(B,) → (B, 1, 1) float32, to meet pixels."""
    return values.float()[:, None, None]


def grid(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows (1, H, 1) and columns (1, 1, W) of pixels, float32."""
    ys = torch.arange(height, device=device, dtype=torch.float32)[None, :, None]
    return ys, torch.arange(width, device=device, dtype=torch.float32)[None, None, :]


def turned_grid(
    x: Tensor, y: Tensor, angle: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Coordinates along and across `angle` about (x, y) in pixels: two of (B, H, W)."""
    ys, xs = grid(height, width, x.device)
    cosine, sine = column(torch.cos(angle)), column(torch.sin(angle))
    right, down = xs - column(x), ys - column(y)
    return right * cosine + down * sine, down * cosine - right * sine


def normalised(profile: Tensor, level: float) -> Shape:
    """The profile with its peak at one, and where its strength exceeds `level`."""
    peak = profile.abs().flatten(1).amax(dim=1).clamp(min=1e-6)[:, None, None]
    profile = profile / peak
    return profile, profile.abs() > level


def cut(profile: Tensor) -> Shape:
    """As `normalised`; what is fainter than FAINTEST is no defect, so label ⇔ profile ≠ 0."""
    profile, label = normalised(profile, FAINTEST)
    return profile * label, label
