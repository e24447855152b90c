"""PatchCore (Roth et al., CVPR 2022): a memory of normal patches, and the distance to it.

Nothing is trained: normal images give a vector for each cell of a grid, a greedy coreset of all
of them is kept, and a patch is as anomalous as it is far from the nearest one kept.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from blemish.core.progress import progress
from blemish.images.framing import Framing
from blemish.methods.detector import BATCH, Method
from blemish.methods.loop import Loop
from blemish.methods.patchcore.coreset import Coreset
from blemish.methods.patchcore.params import Params
from blemish.methods.patchcore.scoring import image_score, nearest
from blemish.methods.training_data import TrainingUnit
from blemish.nn.backbones import Backbone, leave_out_backbone
from blemish.nn.patches import PatchEmbedding
from blemish.nn.smoothing import anomaly_map

STEPS = 20  # in which the coreset grows: rows of the curves, and moments for a checkpoint


class PatchCore(Method):
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
        self._resize_bank(0)
        leave_out_backbone(self)
        self.register_load_state_dict_pre_hook(_make_room)

    def facts(self) -> dict[str, Any]:
        """Which backbone weights the bank comes from, and how many patches it holds."""
        return {"backbone_digest": self.backbone.digest(), "bank": len(self.bank)}

    def fit(self, unit: TrainingUnit, loop: Loop) -> None:
        """Choose the coreset in a random projection (Algorithm 1), then keep its features."""
        p: Params = self.params
        self.to(loop.device)
        images = unit.normals(self.framing)
        generator = loop.generator(2)
        points = self.project(images, generator, loop)
        size = min(max(math.ceil(p.coreset * len(points)), p.neighbours), len(points))
        first = int(torch.randint(len(points), (), generator=generator))
        coreset = Coreset(points, size, first)
        steps = min(STEPS, size)
        for step in loop.epochs(steps, coreset):
            coreset.grow(size * (step + 1) // steps)
            loop.log(coverage_radius=coreset.radius, patches=torch.tensor(coreset.count))
        self.remember(coreset.picked, images, loop)

    def project(self, images: Tensor, generator: torch.Generator, loop: Loop) -> Tensor:
        """All patch features of N images in few dimensions: (N·h·w, d*) on the loop's device.

        ψ is Gaussian: by Johnson and Lindenstrauss distances survive it. Features of no more
        than d* dimensions stay as they are.
        """
        p: Params = self.params
        psi = torch.eye(p.target_dim)
        if p.projection < p.target_dim:
            shape = (p.target_dim, p.projection)
            psi = torch.randn(shape, generator=generator) / math.sqrt(p.projection)
        psi = psi.to(loop.device)
        side = p.image_size // p.strides[0]
        points = torch.empty(len(images) * side**2, psi.shape[1], device=loop.device)
        for start, features in self.embedded(images, loop, "features"):
            torch.mm(features, psi, out=points[start : start + len(features)])
        return points

    def remember(self, picked: Tensor, images: Tensor, loop: Loop) -> None:
        """Put the picked patches' features into the bank.

        Embedded a second time: holding all features meanwhile would take C/d* times the memory.
        """
        self._resize_bank(len(picked))
        self.to(loop.device)
        self.cells.copy_(picked)
        for start, features in self.embedded(images, loop, "memory bank"):
            inside = (picked >= start) & (picked < start + len(features))
            self.bank[inside] = features[picked[inside] - start]

    def embedded(self, images: Tensor, loop: Loop, title: str) -> Iterator[tuple[int, Tensor]]:
        """Features (B·h·w, C) of each batch of images, and the number of the first."""
        batches = images.split(BATCH)
        start = 0
        for batch in progress(batches, f"{loop.title} {title}", len(batches), "batch"):
            features = self.embed(batch.to(loop.device)).flatten(0, 2)
            yield start, features
            start += len(features)

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

    def _resize_bank(self, rows: int) -> None:
        self.register_buffer("bank", torch.zeros(rows, self.params.target_dim))
        self.register_buffer("cells", torch.zeros(rows, dtype=torch.long))


def _make_room(module: Any, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """A file's bank has as many rows as it has cells; anything else in it must fit that."""
    cells = state.get(f"{prefix}cells")
    if cells is not None:
        if not cells.numel():
            raise ValueError("its memory bank is empty")
        module._resize_bank(cells.numel())


METHOD = PatchCore
