"""PatchCore, after `docs/spec/patchcore.md`: a memory of normal patches, and the distance to it.

A patch is as anomalous as it is far from the nearest one kept.
"""

from typing import Any

import torch
from torch import Tensor

from blemish.images.framing import Framing
from blemish.methods.detector import Detector
from blemish.methods.patchcore.params import Params
from blemish.methods.patchcore.scoring import image_score, nearest
from blemish.nn.backbones import Backbone, leave_out_backbone
from blemish.nn.patches import PatchEmbedding
from blemish.nn.smoothing import anomaly_map


class PatchCore(Detector[Params]):
    """One bank per unit.

    bank: (n, C) float32, in the order of picking, so that its first rows are a smaller coreset.
    cells: (n,) which training patch each row was, image · (h·w) + row · w + column.
    """

    name = "patchcore"

    bank: Tensor

    cells: Tensor

    def __init__(self, params: Params, seed: int) -> None:
        super().__init__(params, seed)
        self.framing = Framing(params.image_size, params.resize)
        self.backbone = Backbone(params.backbone, params.strides, params.weights)
        self.embedding = PatchEmbedding(
            self.backbone.channels, params.pretrain_dim, params.target_dim, params.patch
        )
        self.resize_bank(0)
        leave_out_backbone(self)
        self.register_load_state_dict_pre_hook(_make_room)  # type: ignore[no-untyped-call]

    def facts(self) -> dict[str, Any]:
        """Which backbone weights the bank comes from, and how many patches it holds."""
        return {"backbone_digest": self.backbone.digest(), "bank": len(self.bank)}

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Locally aware patch features: uint8 (B, 3, H, W) -> (B, h, w, C)."""
        features: Tensor = self.embedding(self.backbone(images.float() / 255))
        return features

    def score(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Maps of the distance to the nearest patch of the bank; image scores by equation 7."""
        features = self.embed(images)
        shape, size = features.shape[1:3], (self.framing.size, self.framing.size)
        cells, scores = [], []
        for queries in features.flatten(1, 2):
            distance, rows = nearest(queries, self.bank)
            cells.append(distance.view(shape))
            scores.append(image_score(queries, distance, rows, self.bank, self.params.neighbours))
        maps = anomaly_map(torch.stack(cells), size, self.params.sigma)
        return maps.float(), torch.stack(scores)

    def resize_bank(self, rows: int) -> None:
        """Room for so many patches."""
        self.register_buffer("bank", torch.zeros(rows, self.params.target_dim))
        self.register_buffer("cells", torch.zeros(rows, dtype=torch.long))


def _make_room(module: Any, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """A file's bank has as many rows as it has cells; anything else in it must fit that."""
    cells = state.get(f"{prefix}cells")
    if cells is not None:
        if not cells.numel():
            raise ValueError("its memory bank is empty")
        module.resize_bank(cells.numel())


DETECTOR = PatchCore
