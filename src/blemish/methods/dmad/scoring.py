"""Losses and anomaly maps from what encoder and decoder say (`docs/spec/dmad.md` §4, §5)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from blemish.methods.dmad.fields import Fields, length, roughness


def precise(values: Tensor) -> Tensor:
    """float32 or better: cosines and differences of bfloat16 are too coarse to learn from."""
    return values.float() if values.dtype == torch.bfloat16 else values


def distillation_loss(encoded: list[Tensor], decoded: list[Tensor]) -> Tensor:
    """1 − cosine of whole levels (B, C, h, w), mean over the batch, summed over levels.

    The encoder's side is not detached: its gradient reaches the offset network.
    """
    losses = [
        1 - F.cosine_similarity(precise(teacher).flatten(1), precise(student).flatten(1))
        for teacher, student in zip(encoded, decoded, strict=True)
    ]
    return torch.stack(losses).sum(dim=0).mean()


def offset_loss(fields: Fields, cycle_error: Tensor, cycle_weight: float) -> Tensor:
    """Short forward fields, smooth fields both ways, and images that come back from the warp.

    cycle_error: mean squared difference of normalised images and their way there and back.
    """
    short = length(fields.coarse).mean() + length(fields.fine).mean()
    smooth = torch.stack([roughness(field) for field in fields]).sum()
    return short + smooth + cycle_weight * cycle_error


def distance_map(encoded: list[Tensor], decoded: list[Tensor], size: tuple[int, int]) -> Tensor:
    """Σ over levels of 1 − cosine at each position, enlarged: (B, 1, H, W), of warped images."""
    maps = [
        F.interpolate(
            1 - F.cosine_similarity(precise(teacher), precise(student))[:, None],
            size, mode="bilinear", align_corners=True,
        )
        for teacher, student in zip(encoded, decoded, strict=True)
    ]  # fmt: skip
    return torch.stack(maps).sum(dim=0)
