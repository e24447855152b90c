"""DSARAD's losses (`docs/spec/dsarad.md` §4); the focal loss is `nn.losses.focal`.

They compute in the precision of their inputs: give them float32 or float64.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW, SIGMA = 11, 1.5
FEATURE_ERROR = 0.05  # weight of the squared error beside the cosine


def ssim_loss(reconstruction: Tensor, images: Tensor) -> Tensor:
    """1 − mean SSIM, Gaussian window 11×11 of σ 1.5, zeros beyond the border. (B, C, H, W) each.

    `images` gets no gradient.
    """
    r, x = reconstruction, images.detach()
    length = dynamic_range(r)
    c1, c2 = (0.01 * length) ** 2, (0.03 * length) ** 2
    mean_x, square_x = blur(torch.stack((x, x * x)))
    mean_r, square_r, product = blur(torch.stack((r, r * r, r * x)))
    means, squares = mean_r * mean_x, mean_r * mean_r + mean_x * mean_x
    numerator = (2 * means + c1) * (2 * (product - means) + c2)
    denominator = (squares + c1) * (square_r + square_x - squares + c2)
    loss: Tensor = 1 - (numerator / denominator).mean()
    return loss


@torch.no_grad()
def dynamic_range(reconstruction: Tensor) -> Tensor:
    """L, from bounds guessed by the reconstruction's extremes; stays on the device."""
    low, high = reconstruction.aminmax()
    length = torch.where(high > 128, 255, 1) + torch.where(low < -0.5, 1, 0)
    return length.to(reconstruction.dtype)


def blur(x: Tensor) -> Tensor:
    """Gaussian-weighted means over the last two axes, one axis after the other, zero padding.

    Each axis is a product with a banded matrix, which is faster than 11-tap convolutions of few
    channels, forward and backward.
    """
    rows, columns = (_band(x.shape[axis], x.dtype, x.device) for axis in (-2, -1))
    return rows @ x @ columns  # the bands are symmetric


@lru_cache(maxsize=16)
def _band(pixels: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The window's weights between all pairs of pixels of an axis, (pixels, pixels)."""
    with torch.inference_mode(False):  # a cached tensor must be usable in every mode
        offsets = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
        weights = torch.exp(-(offsets**2) / (2 * SIGMA**2))
        total = weights.sum()
        places = torch.arange(pixels, dtype=torch.float64)
        distance = places[:, None] - places
        inside = distance.abs() <= WINDOW // 2
        band = torch.exp(-(distance**2) / (2 * SIGMA**2)) / total * inside
        return band.to(device=device, dtype=dtype)


def distillation_loss(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Σ over levels of 1 − cosine of a sample's whole map, + 0.05 · mean squared error.

    Maps (B, C, H, W); the teacher's get no gradient.
    """
    total = torch.zeros((), dtype=student[0].dtype, device=student[0].device)
    for ours, theirs in zip(student, teacher, strict=True):
        target = theirs.detach()
        # Sums over axes, since flattening would copy maps whose channels lie together.
        product = (ours * target).sum(dim=(1, 2, 3))
        lengths = [torch.linalg.vector_norm(features, dim=(1, 2, 3)) for features in (ours, target)]
        cosine = product / (lengths[0] * lengths[1]).clamp(min=1e-8)
        total = total + (1 - cosine).mean() + FEATURE_ERROR * F.mse_loss(ours, target)
    return total
