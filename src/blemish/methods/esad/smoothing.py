"""From feature differences to anomaly maps (`docs/spec/esad.md` §8)."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


def smoothed_map(cells: Tensor, size: tuple[int, int], window: int) -> Tensor:
    """Up-sample bilinearly (align_corners=False), then a mean filter padded with zeros.

    The mean's divisor is window² at the borders too. Both steps are linear and separable, so
    together they are one matrix per axis: map = rows · cells · columnsᵀ.

    cells: (B, h, w), floating point. size: (H, W) in pixels. window: pixels, odd.
    Returns (B, H, W) on the device and in the dtype of `cells`.
    """
    rows, columns = (
        _resampling(length, pixels, window, cells.dtype, cells.device)
        for length, pixels in zip(cells.shape[1:], size, strict=True)
    )
    # One product an image, so that an image's map does not depend on the batch it came in.
    tall = torch.bmm(rows.expand(cells.shape[0], -1, -1), cells)
    return torch.bmm(tall, columns.T.expand(cells.shape[0], -1, -1))


@lru_cache(maxsize=64)
def _resampling(
    cells: int, pixels: int, window: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Bilinear up-sampling followed by the mean filter along one axis: (pixels, cells)."""
    with torch.inference_mode(False):  # a cached tensor must be usable in every mode
        unit = torch.eye(cells, dtype=torch.float64)[None]
        weights = F.interpolate(unit, pixels, mode="linear", align_corners=False)
        weights = F.avg_pool1d(weights, window, stride=1, padding=window // 2)
        return weights[0].T.contiguous().to(device=device, dtype=dtype)
