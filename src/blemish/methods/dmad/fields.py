"""Displacement fields and warps (`docs/spec/dmad.md` §3.2, §5).

Always in float32 or better: bfloat16 cannot tell 1/256 of a side from none.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Fields(NamedTuple):
    """Displacements (B, 2, H, W), x then y; 2 is the whole side, as for `grid_sample`.

    coarse, fine warp an image, in this order; fine_back, coarse_back undo that, in this order.
    """

    coarse: Tensor
    fine: Tensor
    fine_back: Tensor
    coarse_back: Tensor


def sample(images: Tensor, field: Tensor) -> Tensor:
    """Images or maps (B, C, H, W) read bilinearly where the field (B, 2, H, W) points.

    Corners are the centres of the corner pixels; nothing is read outside.
    """
    height, width = field.shape[-2:]
    places = _identity(height, width, field.dtype, field.device) + field.permute(0, 2, 3, 1)
    return F.grid_sample(images, places.clamp(-1, 1), align_corners=True)


def warp(images: Tensor, fields: Fields) -> Tensor:
    """(x∘G1)∘G2: the coarse field first."""
    return sample(sample(images, fields.coarse), fields.fine)


def warp_back(warped: Tensor, fields: Fields) -> Tensor:
    """((x̂∘G2ᵀ)∘G1ᵀ): what was warped last is undone first."""
    return sample(sample(warped, fields.fine_back), fields.coarse_back)


def length(field: Tensor) -> Tensor:
    """The displacement's length at each pixel: (B, 2, H, W) -> (B, 1, H, W).

    PyTorch's gradient of a norm is 0 at 0, where the published root gives NaN: no epsilon needed.
    """
    lengths: Tensor = torch.linalg.vector_norm(field, dim=1, keepdim=True)
    return lengths


def roughness(field: Tensor) -> Tensor:
    """S (§4): mean |high-pass| of x + y, the 3×3 filter of 1 amid −1/8 with zeros around."""
    both = field.sum(dim=1, keepdim=True)
    # v − (box − v) / 8 = 9/8 · (v − box / 9), and a mean pool is a ninth of the box.
    mean = F.avg_pool2d(both, 3, stride=1, padding=1)
    return (both - mean).abs().mean() * 9 / 8


def unwarp_scores(maps: Tensor, fields: Fields) -> tuple[Tensor, Tensor]:
    """Anomaly maps (B, 1, H, W) of the warped image -> those of the image, and deformation maps.

    The deformation map (§5, step 5) is sample(|O2ᵀ|, G1ᵀ) + |O1ᵀ|; both share the last sampling.
    """
    half_way = sample(maps, fields.fine_back)
    both = sample(torch.cat([half_way, length(fields.fine_back)], dim=1), fields.coarse_back)
    return both[:, :1], both[:, 1:] + length(fields.coarse_back)


@lru_cache(maxsize=16)
def _identity(height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The grid (1, H, W, 2) that reads every pixel where it is."""
    with torch.inference_mode(False):  # a cached tensor must be usable in every mode
        x = torch.linspace(-1, 1, width, dtype=dtype, device=device)
        y = torch.linspace(-1, 1, height, dtype=dtype, device=device)
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
        return grid[None]
