"""GLASS for tests: a small model, a batch of features, the ascent on the manifold."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from blemish.core.params import TrainingParams
from blemish.methods.glass.ascent import hypersphere_radius
from blemish.methods.glass.detector import Glass
from blemish.methods.glass.heads import Adaptor, Discriminator
from blemish.methods.glass.hidden_ascent import Ascent, AscentResult, Projection, ascend
from blemish.methods.glass.params import Params
from blemish.methods.loop import Loop
from blemish.nn.patches import PatchEmbedding
from tests.models import new

TINY: dict[str, Any] = {
    "backbone": "efficientnet_lite0", "strides": [8, 16], "image_size": 64, "resize": "crop",
    "pretrain_dim": 24, "target_dim": 16, "hidden": 12, "variant": "manifold",
    "epochs": 3, "batch_size": 4, "images_per_epoch": 4, "learning_rate": 0.01,
}  # fmt: skip
DIM, HIDDEN, CELLS, IMAGES = 24, 16, 75, 4  # of a `Batch`
ROWS = CELLS * IMAGES
STEPS = 2  # an epoch stops after the batch that exceeds images_per_epoch


def glass(**changes: Any) -> Glass:
    return new("glass", Params(**(TINY | changes)), 5)


def double(**changes: Any) -> Glass:
    """In float64 throughout; the fixed pooling weights, thirds and sixths, from the start."""
    ours = glass(**changes)
    p = ours.params
    sizes = (ours.features.backbone.channels, p.pretrain_dim, p.target_dim, p.patch)
    ours.features.embedding = PatchEmbedding(*sizes, dtype=torch.float64)
    return ours.double()


def loop() -> Loop:
    return Loop(TrainingParams(device="cpu", threads=1), 5, "tiny")


class Batch:
    """Frozen features of normal and synthetic images, a centre, noise, and fresh modules."""

    def __init__(self, noise: float = 0.015, seed: int = 3) -> None:
        generator = torch.Generator().manual_seed(seed)
        draw = partial(torch.randn, dtype=torch.float64, generator=generator)
        spread = 0.2 + 4 * torch.rand(ROWS, 1, dtype=torch.float64, generator=generator) ** 4
        self.normal = spread * draw(ROWS, DIM)
        self.synthetic = self.normal + 0.3 * draw(ROWS, DIM)
        self.anomalous = torch.rand(ROWS, generator=generator) < 0.3
        self.noise = noise * draw(ROWS, DIM)
        self.adaptor = Adaptor(DIM, generator=generator).double()
        self.discriminator = Discriminator(DIM, HIDDEN, generator=generator).double()
        norm = self.discriminator.norm  # as after some training
        norm.weight.data = 1 + 0.3 * draw(HIDDEN)
        norm.bias.data = 0.3 * draw(HIDDEN)
        mean = self.adaptor(self.normal.mean(dim=0)).detach()
        self.center = mean + 0.1 * draw(CELLS, DIM)  # one a grid position
        self.centers = self.center.repeat(IMAGES, 1)

    def radius(self) -> Tensor:
        u, f = self.adaptor(self.normal), self.adaptor(self.synthetic)
        return hypersphere_radius(u, f, self.anomalous, self.centers)


def ascended(
    discriminator: Discriminator, u: Tensor, noise: Tensor, ascent: Ascent, projection: Projection
) -> AscentResult:
    """The hidden-space ascent on the manifold, from u + noise."""
    weight = discriminator.first.weight.detach()
    hidden = discriminator.first(u).detach()
    start, length = hidden + noise @ weight.T, noise.norm(dim=1, keepdim=True)
    return ascend(discriminator, hidden, hidden, start, length, ascent, projection)


def offsets(
    discriminator: Discriminator, u: Tensor, noise: Tensor, ascent: Ascent, projection: Projection
) -> Tensor:
    """g − u on the manifold, (N, C)."""
    scale, steps = ascended(discriminator, u, noise, ascent, projection).total()
    return scale * noise + steps @ discriminator.first.weight.detach()
