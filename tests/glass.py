"""A small GLASS for tests: few cells, few numbers a cell, seconds a training."""

from typing import Any

import torch

from blemish.core.params import TrainingParams
from blemish.methods.glass.detector import Glass
from blemish.methods.glass.params import Params
from blemish.methods.loop import Loop
from blemish.nn.patches import PatchEmbedding

TINY: dict[str, Any] = {
    "backbone": "efficientnet_lite0", "strides": [8, 16], "image_size": 64, "resize": "crop",
    "pretrain_dim": 24, "target_dim": 16, "hidden": 12, "variant": "manifold",
    "epochs": 3, "batch_size": 4, "images_per_epoch": 4, "learning_rate": 0.01,
}  # fmt: skip
STEPS = 2  # an epoch stops after the batch that exceeds images_per_epoch


def glass(**changes: Any) -> Glass:
    return Glass(Params(**(TINY | changes)), seed=5)


def double(**changes: Any) -> Glass:
    """In float64 throughout; the fixed pooling weights, thirds and sixths, from the start."""
    ours = glass(**changes)
    p = ours.params
    sizes = (ours.features.backbone.channels, p.pretrain_dim, p.target_dim, p.patch)
    ours.features.embedding = PatchEmbedding(*sizes, dtype=torch.float64)
    return ours.double()


def loop() -> Loop:
    return Loop(TrainingParams(device="cpu", threads=1), 5, "tiny")
