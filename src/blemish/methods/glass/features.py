"""The frozen side of GLASS and its relatives: backbone, patch embedding, scale of the features."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from blemish.methods.glass.feature_cache import FeatureCache, Levels
from blemish.nn.backbones import Backbone, leave_out_backbone
from blemish.nn.patches import PatchEmbedding
from blemish.nn.precision import full_precision


class FrozenFeatures(nn.Module):
    """Images to one vector a cell (`docs/spec/glass.md` §4), optionally standardised (ours).

    Features travel as pooled `Levels`, each at its own grid; `linear` maps them as if they were
    cells, so that the vectors of the cells are formed only where they are asked for.
    The state dict holds the scale alone: frozen weights are named by their digest, not stored.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: str,
        weights: str,
        strides: Sequence[int],
        pretrain_dim: int,
        target_dim: int,
        patch: int = 3,
        standardise: bool = False,
    ) -> None:
        """As `Backbone` and `PatchEmbedding`."""
        super().__init__()
        self.backbone = Backbone(backbone, strides, weights)
        channels = self.backbone.channels
        self.embedding = PatchEmbedding(channels, pretrain_dim, target_dim, patch)
        self.standardise = standardise
        self.register_buffer("mean", torch.zeros(target_dim))
        self.register_buffer("std", torch.ones(target_dim))
        leave_out_backbone(self)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Levels:
        """(B, 3, H, W) in [0, 1] -> levels (B, C_l, h_l, w_l), before any scaling."""
        pooled = self.embedding.pool(self.backbone(images))
        return [level.to(self.mean.dtype) for level in pooled]

    def cells(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> scaled cells (B, h, w, C)."""
        return self.scaled(self(images))

    def scaled(self, levels: Levels) -> Tensor:
        """The vectors of the cells themselves, (B, h, w, C)."""
        cells = self.embedding.assemble(levels)
        return (cells - self.mean) / self.std if self.standardise else cells

    def linear(self, levels: Levels, weight: Tensor, bias: Tensor) -> Tensor:
        """cells · weightᵀ + bias of scaled cells; weight (K, C), bias (K,) -> (B, h, w, K)."""
        if self.standardise:
            with full_precision(weight):
                weight = weight / self.std
                bias = bias - weight @ self.mean
        return self.embedding.linear(levels, weight, bias)

    def of_all(self, images: Tensor, title: str, **options: Any) -> FeatureCache:
        """The levels of uint8 images (N, 3, H, W), in full precision; learns the scale.

        options: those of `FeatureCache`.
        """

        def embed(batch: Tensor) -> Levels:
            found: Levels = self(batch.to(self.mean.device).float() / 255)
            return found

        cache = FeatureCache(images, embed, title=title, **options)
        if self.standardise:
            self._learn_scale(cache)
        return cache

    def _learn_scale(self, cache: FeatureCache) -> None:
        """Mean and standard deviation of each feature over all cells."""
        first = second = torch.zeros((), dtype=torch.float64)
        count = 0
        for levels in cache.batches():
            on_device = [level.to(self.mean.device) for level in levels]
            cells = self.embedding.assemble(on_device).flatten(0, 2).double().cpu()
            first, second = first + cells.sum(dim=0), second + cells.square().sum(dim=0)
            count += len(cells)
        mean = first / count
        variance = (second - count * mean.square()) / (count - 1)
        self.mean.copy_(mean)
        self.std.copy_(variance.clamp(min=0).sqrt().clamp(min=1e-6))
