"""From cell scores to anomaly maps and image scores (`docs/spec/glass.md` §12)."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter1d
from torch import Tensor


def anomaly_map(cells: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """Up-sample cell scores bilinearly and smooth them with a Gaussian.

    Interpolation with align_corners=False; kernel cut at 4σ; borders mirrored with the edge
    repeated (SciPy's "reflect"). Both are linear and separable, so together they are one matrix
    per axis: map = rows · cells · columnsᵀ.

    cells: (B, h, w), floating point. size: (H, W) in pixels. sigma: pixels of the map, 0 for none.
    Returns (B, H, W) on the device and in the dtype of `cells`.
    """
    batch, height, width = cells.shape
    rows = _resampling(height, size[0], sigma, cells.dtype, cells.device)
    columns = _resampling(width, size[1], sigma, cells.dtype, cells.device)
    # One product an image, so that an image's map does not depend on the batch it came in.
    tall = torch.bmm(rows.expand(batch, -1, -1), cells)
    return torch.bmm(tall, columns.T.expand(batch, -1, -1))


def largest(values: Tensor, count: int) -> Tensor:
    """The `count` largest of each row, or all where they are fewer: (B, N) -> (B, count)."""
    return values.topk(min(count, values.shape[1]), dim=1).values


def mean_of_finite(values: Tensor) -> Tensor:
    """The mean of each row's finite values, at least one: (B, N) -> (B,)."""
    finite = values.isfinite()
    return values.where(finite, 0).sum(dim=1) / finite.sum(dim=1)


@lru_cache(maxsize=64)
def _resampling(
    cells: int, pixels: int, sigma: float, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Bilinear up-sampling followed by Gaussian smoothing along one axis: (pixels, cells)."""
    with torch.inference_mode(False):  # a cached tensor must be usable in every mode
        unit = torch.eye(cells, dtype=torch.float64)[None]
        weights = F.interpolate(unit, pixels, mode="linear", align_corners=False)[0].numpy()
        if sigma > 0:
            weights = gaussian_filter1d(weights, sigma, axis=1, mode="reflect", truncate=4.0)
        return torch.from_numpy(weights.T.copy()).to(device=device, dtype=dtype)
