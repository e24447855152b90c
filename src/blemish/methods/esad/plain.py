"""ESAD word for word as in `docs/spec/esad.md` §§3–8; tests and benchmarks compare with it.

Nothing that is shipped imports this module.
"""

import copy
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blemish.methods.esad.detector import Esad
from blemish.methods.esad.params import Params


class Plain:
    """One pass a mask and network, channels first, N(x) anew wherever it is read.

    Made of copies of the weights of `esad`, in training mode where that is. x: (B, 3, H, W) in
    [−1, 1]. kept: (3, 1, H, W), 1 on the pixels that a mask leaves and 0 on the others.
    """

    def __init__(self, esad: Esad) -> None:
        self.params: Params = esad.params
        self.p, self.g = (
            _channels_first(network) for network in (esad.inpainter, esad.reconstructor)
        )
        self.n = _channels_first(esad.backbone).eval().requires_grad_()  # as published (§10)

    def reconstruct(self, x: Tensor, kept: Tensor, leak: float) -> tuple[Tensor, Tensor]:
        """§4: rec and pre. leak: 0 in training, 0.5 in testing."""
        rec = pre = torch.zeros_like(x)
        for m in kept:
            visible = x * m
            p = unet(self.p, visible)
            filled = visible + (1 - leak) * p * (1 - m) + leak * x * (1 - m)
            rec = rec + unet(self.g, filled) * (1 - m)
            pre = pre + p * (1 - m)
        return rec, pre

    def loss(self, x: Tensor, kept: Tensor) -> Tensor:
        """§6: L = T(x, rec) + T(x, pre)."""
        rec, pre = self.reconstruct(x, kept, leak=0.0)
        return self.term(x, rec) + self.term(x, pre)

    def term(self, a: Tensor, b: Tensor) -> Tensor:
        """§6: T(a, b)."""
        pixels, features = F.mse_loss(b, a), F.mse_loss(self.features(b), self.features(a))
        return self.params.pixel_weight * pixels + self.params.feature_weight * features

    def features(self, x: Tensor) -> Tensor:
        """N(x) of §5."""
        level: Tensor = self.n.features(x)
        return level

    def difference(self, x: Tensor, kept: Tensor) -> Tensor:
        """§8, of one draw of masks: e, (B, h, w)."""
        rec, _ = self.reconstruct(x, kept, self.params.leak)
        return (self.features(x) - self.features(rec)).abs().mean(dim=1)

    def score(self, x: Tensor, draws: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
        """§8: maps and image scores, the mean over draws of masks of one cell size (§10)."""
        e = torch.stack([self.difference(x, kept) for kept in draws]).mean(dim=0)
        maps = smoothed_map(e, x.shape[-1], self.params.window)
        return maps, maps.amax(dim=(1, 2))


def smoothed_map(e: Tensor, size: int, window: int) -> Tensor:
    """§8: enlarged, then a mean filter with the divisor window² at the borders too."""
    large = F.interpolate(e[:, None], size, mode="bilinear", align_corners=False)
    return F.avg_pool2d(large, window, stride=1, padding=window // 2, count_include_pad=True)[:, 0]


def unet(network: Any, x: Tensor) -> Tensor:
    """§5, with the layers of a `UNet`, in the memory format of x."""
    x, skips = network.first(x), []
    for down in network.down:
        skips.append(x)
        x = down(x)
    for up in network.up:
        x = up(x, skips.pop())
    return torch.tanh(network.last(x))


def _channels_first(module: nn.Module) -> Any:
    return copy.deepcopy(module).to(memory_format=torch.contiguous_format)
