"""Every registered method with parameters that train in a second.

A new method needs an entry in `TINY`, nothing else, to be covered by `test_methods_*.py`.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from blemish.images.store import load_images
from blemish.methods.registry import METHODS
from blemish.methods.saved import load
from tests.units import scratch, tiny_unit, train_model

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Tiny:
    """Parameters that train in a second, and changes that make the loss overflow, if one may."""

    params: dict[str, Any]
    diverging: dict[str, Any]


TINY = {
    "glass": Tiny(
        params={
            "backbone": "efficientnet_lite0", "weights": "random", "strides": [8, 16],
            "image_size": 64, "resize": "squash", "pretrain_dim": 24, "target_dim": 16,
            "hidden": 16, "variant": "manifold", "standardise": True, "noise": 0.5, "epochs": 2,
            "average_last": 1, "batch_size": 4, "images_per_epoch": 8, "ascent_steps": 3,
        },
        diverging={"learning_rate": 1e30},
    ),
    "dlas": Tiny(
        params={
            "backbone": "efficientnet_lite0", "weights": "random", "image_size": 64,
            "resize": "squash", "pretrain_dim": 24, "target_dim": 16, "hidden": 16,
            "variant": "judge", "enlarge": 1.0, "epochs": 2, "batch_size": 4, "images_per_epoch": 8,
        },
        diverging={"learning_rate": 1e30},
    ),
    "dlas_lcd": Tiny(
        params={
            "backbone": "efficientnet_lite0", "weights": "random", "strides": [8, 16],
            "image_size": 64, "pretrain_dim": 24, "target_dim": 16, "hidden": 16,
            "variant": "manifold", "enlarge": 1.0, "standardise": True, "noise": 0.5, "epochs": 2,
            "batch_size": 4, "images_per_epoch": 8, "ascent_steps": 3, "coherent_directions": 8,
            "top_cells": 3,
        },
        diverging={"learning_rate": 1e30},
    ),
    "patchcore": Tiny(
        params={
            "backbone": "efficientnet_lite0", "weights": "random", "strides": [8, 16],
            "image_size": 64, "resize": "squash", "pretrain_dim": 24, "target_dim": 16,
            "projection": 8, "coreset": 0.1, "neighbours": 3,
        },
        diverging={},
    ),
    "esad": Tiny(
        params={
            "backbone": "efficientnet_lite0", "weights": "random", "image_size": 64, "width": 4,
            "cells": [4, 8], "window": 5, "draws": 1, "epochs": 2, "batch_size": 4,
            "images_per_epoch": 8, "select": "validation",
        },
        diverging={"learning_rate": 1e38},
    ),
    "dsarad": Tiny(
        params={
            "image_size": 64, "width": 4, "segmenter_width": 4, "epochs": 2, "teacher_epochs": 1,
            "milestones": [0.5], "learning_rate": 0.001, "score_boxes": [5],
        },
        diverging={"learning_rate": 1e30},
    ),
    "dmad": Tiny(
        params={
            "backbone": "efficientnet_lite0", "weights": "random", "image_size": 64, "codes": 12,
            "compressed": 8, "decoder_blocks": [1, 1, 1], "offset_width": 4, "epochs": 2,
        },
        diverging={"learning_rate": 1e30},
    ),
}  # fmt: skip


def tiny(method: str) -> Tiny:
    if method not in TINY:
        pytest.fail(f"`{method}` is registered: give it an entry in TINY of {Path(__file__).name}")
    return TINY[method]


@cache
def trained(method: str, seed: int = 0) -> Path:
    """The folder of a model; shared, so copy it before changing anything."""
    out = scratch() / "models" / f"{method}-{seed}"
    return train_model(tiny_unit(), method, out, tiny(method).params, seed)


def pictures(method: str) -> torch.Tensor:
    """Test images, as the method wants them."""
    found, _ = load(trained(method), CPU)
    root = tiny_unit().prepared
    paths = sorted((root / "test").rglob("*.png"))
    return load_images(paths, found.framing, "reading")


every_method = pytest.mark.parametrize("method", METHODS)
