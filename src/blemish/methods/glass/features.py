"""The frozen side of GLASS and its relatives: backbone, patch embedding, scale of the features."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from blemish.nn.backbones import Backbone, leave_out_backbone
from blemish.nn.patches import PatchEmbedding
from blemish.nn.precision import full_precision
from blemish.nn.whitening import Whitening

Levels = list[Tensor]


class FrozenFeatures(nn.Module):
    """Images to a vector for each cell (`docs/spec/glass.md` §4), optionally standardised or
    whitened (ours).

    Features travel as pooled `Levels`, each at the size of its grid; `linear` maps them as if they
    were cells, so that the vectors of the cells are formed only where they are asked for.
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
        whiten: bool = False,
    ) -> None:
        """As `Backbone` and `PatchEmbedding`."""
        super().__init__()
        self.backbone = Backbone(backbone, strides, weights)
        channels = self.backbone.channels
        self.embedding = PatchEmbedding(channels, pretrain_dim, target_dim, patch)
        self.standardise = standardise
        self.register_buffer("mean", torch.zeros(target_dim))
        self.register_buffer("std", torch.ones(target_dim))
        self.whitening = Whitening(target_dim) if whiten else None
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
        if self.whitening is not None:
            whitened: Tensor = self.whitening(cells)
            return whitened
        return (cells - self.mean) / self.std if self.standardise else cells

    def linear(self, levels: Levels, weight: Tensor, bias: Tensor) -> Tensor:
        """cells · weightᵀ + bias of scaled cells; weight (K, C), bias (K,) -> (B, h, w, K)."""
        if self.whitening is not None:
            with full_precision(weight):
                weight = weight @ self.whitening.matrix
                bias = bias - weight @ self.whitening.mean
        elif self.standardise:
            with full_precision(weight):
                weight = weight / self.std
                bias = bias - weight @ self.mean
        return self.embedding.linear(levels, weight, bias)
