"""DMAD filled with the specification's numbers (`docs/spec/dmad.md` §12)."""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from blemish.methods.dmad.detector import Dmad
from blemish.methods.dmad.offsets import CoordinateConvolution
from blemish.methods.dmad.params import Params
from tests.models import new

SIZE = 64
REVERSE = 1_000_003  # further along the sequence: the weights of O2ᵀ and O1ᵀ
MASK = 0xFFFFFFFF


def uniform(count: int, start: int = 0) -> Tensor:
    """u(start + 1) … u(start + count) of fill rule H, float64."""
    h = torch.arange(start + 1, start + count + 1, dtype=torch.int64) * 0x9E3779B1 & MASK
    h = (h ^ h >> 15) * 0x85EBCA6B & MASK
    return (h ^ h >> 13).double() / 2**32


def wave(count: int) -> Tensor:
    return torch.arange(1, count + 1, dtype=torch.float64)


def fill_weight(weight: Tensor, start: int = 0) -> None:
    limit = 0.5 * (6 * len(weight) / weight.numel()) ** 0.5
    weight.copy_((limit * (2 * uniform(weight.numel(), start) - 1)).view_as(weight))


@torch.no_grad()
def fill(module: nn.Module, start: int = 0) -> None:
    """Every layer of a module by rule H."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | CoordinateConvolution):
            fill_weight(layer.weight, start)
            if getattr(layer, "bias", None) is not None:
                layer.bias.copy_(0.05 * wave(len(layer.bias)).cos())
        if isinstance(layer, nn.BatchNorm2d):
            fill_norm(layer, layer.num_features)


def fill_norm(layer: nn.BatchNorm2d, channels: int) -> None:
    """Batch norms of `channels` channels each that share one layer."""
    k, times = wave(channels), layer.num_features // channels
    layer.weight.copy_((1 + 0.1 * k.sin()).repeat(times))
    layer.bias.copy_((0.05 * k.cos()).repeat(times))
    layer.running_mean.copy_((0.02 * k.sin()).repeat(times))
    layer.running_var.copy_((1 + 0.1 * k.cos()).repeat(times))


@torch.no_grad()
def fill_heads(model: Dmad) -> None:
    """The four heads are published as four modules; ours share their first convolution."""
    offsets = model.offsets
    convolution, norm, _ = offsets.heads
    width = norm.num_features // 4
    for head, start in enumerate((0, 0, REVERSE, REVERSE)):
        fill_weight(convolution.weight[head * width : (head + 1) * width], start)
    convolution.bias.copy_((0.05 * wave(width).cos()).repeat(4))
    fill_norm(norm, width)
    fill(offsets.coarse_back, REVERSE)
    fill(offsets.fine_back, REVERSE)


def small(**changes: Any) -> Dmad:
    """A model whose parts are thin, unfilled, float64."""
    params = Params(
        **{
            "backbone": "efficientnet_lite0", "weights": "random", "image_size": SIZE,
            "offset_width": 8, "compressed": 8, "codes": 12, "decoder_blocks": [2, 1, 1],
        } | changes
    )  # fmt: skip
    return new("dmad", params).double()


@cache
def filled(vq: bool = True) -> Dmad:
    """The published networks, filled, float64, in evaluation mode. Shared: do not change."""
    params = Params(backbone="wide_resnet50_2", weights="random", image_size=SIZE, vq=vq)
    model = new("dmad", params).double()
    fill(model)
    fill_heads(model)
    if model.quantiser is not None:
        codebook = model.quantiser.codebook
        codebook.data.copy_((2 * uniform(codebook.numel()) - 1).view_as(codebook))
    return model.eval()


def picture() -> Tensor:
    """The specification's input (1, 3, 64, 64), which is the normalised image."""
    i, j, c = torch.arange(64.0).double(), torch.arange(64.0).double(), torch.arange(3.0).double()
    waves = 0.07 * i[None, :, None] + 0.11 * j[None, None, :] + 0.9 * c[:, None, None]
    return waves.sin()[None]


def as_image(model: Dmad, normalised: Tensor) -> Tensor:
    """What `Dmad` takes: before normalisation."""
    return normalised * model.backbone.std + model.backbone.mean
