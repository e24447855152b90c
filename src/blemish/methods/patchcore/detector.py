"""PatchCore, after `docs/spec/patchcore.md`: a memory of normal patches, and the distance to it.

A patch is as anomalous as it is far from the nearest one kept.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from blemish.images.framing import Framing
from blemish.methods.detector import Detector, Measured, where_judged
from blemish.methods.patchcore.params import Params
from blemish.methods.patchcore.scoring import image_score, nearest
from blemish.nn.backbones import Backbone, leave_out_backbone
from blemish.nn.patches import PatchEmbedding
from blemish.nn.smoothing import anomaly_map
from blemish.nn.whitening import Whitening


class Patches(NamedTuple):
    """The patches of images: features (B, h, w, C), and for each the distance to the nearest of
    the bank, float64 (B, h, w), and which that is, (B, h, w)."""

    features: Tensor
    distance: Tensor
    rows: Tensor


class PatchCore(Detector[Params]):
    """One bank per unit.

    bank: (n, C) float32, in the order of picking, so that its first rows are a smaller coreset.
    cells: (n,) which training patch each row was, image · (h·w) + row · w + column.
    """

    name = "patchcore"

    bank: Tensor

    cells: Tensor

    def __init__(self, params: Params, seed: int, framing: Framing) -> None:
        super().__init__(params, seed, framing)
        self.backbone = Backbone(params.backbone, params.strides, params.weights)
        self.embedding = PatchEmbedding(
            self.backbone.channels, params.pretrain_dim, params.target_dim, params.patch
        )
        self.whitening = Whitening(params.target_dim) if params.whiten else None
        self.resize_bank(0)
        leave_out_backbone(self)
        self.register_load_state_dict_pre_hook(_make_room)  # type: ignore[no-untyped-call]

    def facts(self) -> dict[str, Any]:
        """Which backbone weights the bank comes from, and how many patches it holds."""
        return {"backbone_digest": self.backbone.digest(), "bank": len(self.bank)}

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Locally aware patch features, whitened or not: uint8 (B, 3, H, W) -> (B, h, w, C)."""
        features: Tensor = self.embedding(self.backbone(images.float() / 255))
        return features if self.whitening is None else self.whitening(features)

    def measure(self, images: Tensor) -> Measured:
        """Maps of the distance to the nearest patch of the bank."""
        features = self.embed(images)
        found = [nearest(queries, self.bank) for queries in features.flatten(1, 2)]
        distance, rows = (
            torch.stack(part).view(features.shape[:3]) for part in zip(*found, strict=True)
        )
        maps = anomaly_map(distance, (images.shape[2], images.shape[3]), self.params.sigma)
        return Measured(maps.float(), Patches(features, distance, rows))

    def peaks(self, cells: Patches, judged: Tensor | None = None) -> Tensor:
        """The largest distance, and what equation 7 makes of its patch: (B, 2)."""
        distance = where_judged(cells.distance, judged).flatten(1)
        queries, rows = cells.features.flatten(1, 2), cells.rows.flatten(1)
        scores = [
            image_score(*of_image, self.bank, self.params.neighbours)
            for of_image in zip(queries, distance, rows, strict=True)
        ]
        return torch.stack([distance.amax(dim=1), torch.stack(scores)], dim=1)

    def combine(self, peaks: Tensor) -> Tensor:
        """Equation 7 of the patch with the largest distance in any window."""
        farthest = peaks[:, :, 0].argmax(dim=1, keepdim=True)
        return peaks[:, :, 1].gather(1, farthest)[:, 0]

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
