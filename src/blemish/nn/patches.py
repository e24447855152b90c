"""Patch embedding: the neighbourhoods of several feature levels become one vector a cell.

The published procedure cuts k×k patches, up-samples them and pools them twice. Pooling is linear
and acts on each position alone, so it commutes with the interpolation: both poolings together are
one fixed linear map per level, applied as a convolution before anything is up-sampled.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_array
from torch import Tensor, nn


class PatchEmbedding(nn.Module):
    """Neighbourhood embedding of any backbone's feature maps (`docs/spec/glass.md` §4).

    Equal to: `patch`×`patch` patches (stride 1, zero padding) flattened as (channel, row, column),
    bilinearly up-sampled to the first level's grid (align_corners=False), adaptively average-pooled
    to `pretrain_dim`, stacked over the levels and adaptively average-pooled to `target_dim`.

    channels: C of each level, finest level first. patch: odd. dtype: of the fixed weights, which
    must be that of the feature maps. Nothing is trainable and nothing is saved.
    """

    def __init__(
        self,
        channels: Sequence[int],
        pretrain_dim: int,
        target_dim: int,
        patch: int = 3,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.target_dim = target_dim
        stacked = average_pooling(len(channels) * pretrain_dim, target_dim)
        self.levels = nn.ModuleList()
        self.starts: list[int] = []
        for level, width in enumerate(channels):
            columns = slice(level * pretrain_dim, (level + 1) * pretrain_dim)
            pooling = stacked[:, columns] @ average_pooling(width * patch**2, pretrain_dim)
            # A level reaches only some consecutive output entries; the rest need no work.
            used = np.flatnonzero(np.diff(pooling.indptr))
            self.starts.append(int(used[0]))
            share = pooling[used[0] : used[-1] + 1]
            self.levels.append(LevelPooling(share, width, patch, dtype))

    def pool(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Pool each level at its own grid: (B, C_l, h_l, w_l) -> (B, share_l, h_l, w_l).

        This is the compact form to keep when features are cached; `assemble` or `linear` finish it.
        """
        return [pooling(level) for pooling, level in zip(self.levels, levels, strict=True)]

    def assemble(self, pooled: Sequence[Tensor]) -> Tensor:
        """Up-sample pooled levels to the first level's grid: (B, h, w, target_dim)."""
        batch, _, height, width = pooled[0].shape
        cells = pooled[0].new_zeros(batch, height, width, self.target_dim)
        for start, level in zip(self.starts, pooled, strict=True):
            resized = F.interpolate(level, (height, width), mode="bilinear", align_corners=False)
            # Two levels meet inside one output entry where target_dim does not divide: hence +=.
            cells[..., start : start + level.shape[1]] += resized.movedim(1, -1)
        return cells

    def linear(self, pooled: Sequence[Tensor], weight: Tensor, bias: Tensor) -> Tensor:
        """cells · weightᵀ + bias for the cells that `assemble` would give, which are not formed.

        Channels and positions are mapped apart, so the map commutes with up-sampling: each level
        meets its columns of `weight` at its own grid. weight: (K, target_dim), bias: (K,).
        Returns (B, h, w, K), differentiable, in the dtype of `weight` also under autocast.
        """
        height, width = pooled[0].shape[2:]
        mapped = bias
        for start, level in zip(self.starts, pooled, strict=True):
            columns = weight[:, start : start + level.shape[1]]
            image = F.linear(level.movedim(1, -1), columns).to(weight.dtype).movedim(-1, 1)
            if image.shape[2:] != (height, width):
                image = F.interpolate(image, (height, width), mode="bilinear", align_corners=False)
            mapped = mapped + image.movedim(1, -1)
        return mapped

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Embed feature maps (B, C_l, h_l, w_l), finest first, as (B, h, w, target_dim)."""
        return self.assemble(self.pool(levels))


class LevelPooling(nn.Module):
    """One level's part of the embedding: a fixed convolution, grouped where the map is blocky.

    pooling: (share, channels · patch²), both poolings composed, for the output entries it reaches.
    """

    weight: Tensor

    def __init__(self, pooling: csr_array, channels: int, patch: int, dtype: torch.dtype) -> None:
        super().__init__()
        entries, area = pooling.tocoo(), patch**2
        rows = pooling.shape[0]
        self.groups = _groups(entries.row, entries.col // area, rows, channels)
        block = channels // self.groups * area
        weight = np.zeros((rows, block))
        weight[entries.row, entries.col % block] = entries.data
        shaped = torch.from_numpy(weight).to(dtype).view(rows, -1, patch, patch)
        self.register_buffer("weight", shaped, persistent=False)

    def forward(self, level: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, share, h, w)."""
        return F.conv2d(level, self.weight, padding=self.weight.shape[-1] // 2, groups=self.groups)


def average_pooling(length: int, outputs: int) -> csr_array:
    """Adaptive average pooling of `length` entries as a sparse matrix (outputs, length), float64.

    Output i is the mean of entries ⌊i·length/outputs⌋ … ⌈(i+1)·length/outputs⌉ − 1, the windows
    of `torch.nn.functional.adaptive_avg_pool1d`.
    """
    output = np.arange(outputs)
    start = output * length // outputs
    size = -(-(output + 1) * length // outputs) - start
    ends = np.cumsum(size)
    columns = np.arange(ends[-1]) + np.repeat(start - (ends - size), size)
    values = np.repeat(1 / size, size)
    return csr_array((values, columns, np.concatenate([[0], ends])), shape=(outputs, length))


def _groups(row: np.ndarray, channel: np.ndarray, rows: int, channels: int) -> int:
    """The most equal diagonal blocks that hold every non-zero entry (row, channel) of a map."""
    most = math.gcd(rows, channels)
    divisors = (groups for groups in range(most, 0, -1) if most % groups == 0)
    return next(
        groups
        for groups in divisors
        if np.array_equal(row // (rows // groups), channel // (channels // groups))
    )
