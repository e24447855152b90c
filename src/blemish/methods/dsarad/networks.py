"""DSARAD's networks, after `docs/spec/dsarad.md` §3: reconstruction with attention, segmenter."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvNorm(nn.Module):
    """3×3 convolution with bias, then BatchNorm; in evaluation both are one convolution."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 3, padding=1)
        self.norm = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            normalised: Tensor = self.norm(self.conv(x))
            return normalised
        # Folding costs a pass over the weights each time, a fraction of the pass over activations
        # that it saves, and leaves no copy of the weights that could be out of date.
        mean, variance = (self.norm.get_buffer(f"running_{name}") for name in ("mean", "var"))
        scale = self.norm.weight * torch.rsqrt(variance + self.norm.eps)
        bias = (self.conv.get_parameter("bias") - mean) * scale + self.norm.bias
        return F.conv2d(x, self.conv.weight * scale[:, None, None, None], bias, padding=1)


def convolutions(*channels: int) -> nn.Sequential:
    """3×3 convolution, BatchNorm, ReLU from each number of channels to the next."""
    layers = (nn.Sequential(ConvNorm(a, b), nn.ReLU(inplace=True)) for a, b in pairwise(channels))
    return nn.Sequential(*layers)


def up(channels: int, out: int) -> nn.Sequential:
    """Twice the size, bilinear with aligned corners, then a convolution."""
    doubled = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    return nn.Sequential(doubled, convolutions(channels, out))


class NonLocal(nn.Module):
    """Self-attention over all pixels (§3.2), keys and values pooled 2×2, no scaling.

    (B, C, H, W) → (B, C, H, W), H and W even.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Conv2d(channels, inner, 1)
        self.g = nn.Conv2d(channels, inner, 1)
        self.back = ConvNorm(inner, channels)

    def forward(self, x: Tensor) -> Tensor:
        queries = _tokens(self.theta(x))
        keys, values = (
            _tokens(F.max_pool2d(projection(x), 2)) for projection in (self.phi, self.g)
        )
        # Fused: the H·W × H·W/4 matrix of scores, four times the features' size, is never stored.
        mixed = F.scaled_dot_product_attention(queries, keys, values, scale=1.0)
        mixed = mixed[:, 0].unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)
        attended: Tensor = self.back(mixed) + x
        return attended


def _tokens(x: Tensor) -> Tensor:
    """(B, C, H, W) → (B, 1, H·W, C), no copy where the channels lie together."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)[:, None]


class Reconstruction(nn.Module):
    """Student and teacher (§3.1): an encoder with attention in block 2, a decoder, no skips."""

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        downwards = [3] + [width * step for step in (1, 2, 4, 8, 8)]
        upwards = [width * step for step in (8, 4, 2, 1, 1)]
        self.encoder = nn.ModuleList(convolutions(a, b, b) for a, b in pairwise(downwards))
        self.attention = NonLocal(2 * width)
        steps = (nn.Sequential(up(a, a), convolutions(a, a, b)) for a, b in pairwise(upwards))
        self.decoder = nn.Sequential(*steps)
        self.out = nn.Conv2d(width, 3, 3, padding=1)
        initialise(self, generator)

    def features(self, images: Tensor) -> list[Tensor]:
        """F1 … F4, what the distillation compares; of block 2 after the attention.

        images: (B, 3, H, W), H and W multiples of 32. Level n is (B, width·2ⁿ, H/2ⁿ, W/2ⁿ).
        """
        levels = [self.encoder[0](images)]
        for number, block in enumerate(list(self.encoder)[1:4]):
            x = block(F.max_pool2d(levels[-1], 2))
            levels.append(x if number else self.attention(x))
        return levels

    def bottom(self, features: list[Tensor]) -> Tensor:
        """Encoder block 5, a sixteenth of the side."""
        bottleneck: Tensor = self.encoder[4](F.max_pool2d(features[-1], 2))
        return bottleneck

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The reconstruction, (B, 3, H, W) and unbounded, and F1 … F4."""
        features = self.features(images)
        return self.out(self.decoder(self.bottom(features))), features


class Segmenter(nn.Module):
    """DRAEM's U-Net (§3.3): reconstruction and input, (B, 6, H, W) → logits (B, 2, H, W)."""

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        widths = [6] + [width * step for step in (1, 2, 4, 8, 8, 8)]
        outs = [width * step for step in (8, 8, 4, 2, 1, 1)]
        self.down = nn.ModuleList(convolutions(a, b, b) for a, b in pairwise(widths))
        self.ups = nn.ModuleList(up(a, b) for a, b in pairwise(outs))
        skips = zip(outs[1:], widths[5:0:-1], strict=True)
        self.joins = nn.ModuleList(convolutions(a + b, a, a) for a, b in skips)
        self.out = nn.Conv2d(width, 2, 3, padding=1)
        initialise(self, generator)

    def forward(self, both: Tensor) -> Tensor:
        skips = [self.down[0](both)]
        for block in list(self.down)[1:]:
            skips.append(block(F.max_pool2d(skips[-1], 2)))
        x = skips.pop()
        for enlarge, join in zip(self.ups, self.joins, strict=True):
            x = join(torch.cat([enlarge(x), skips.pop()], dim=1))
        logits: Tensor = self.out(x)
        return logits


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Weights ~ N(0, 0.02), of BatchNorm ~ N(1, 0.02) (§3.4); PyTorch's own rule for biases.

    The bias of the attention's last convolution is 0, its weight is not: the block does not start
    as the identity. Channels lie together in memory from here on.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.normal_(0, 0.02, generator=generator)
            if module.bias is not None:
                bound = 1 / math.sqrt(module.weight[0].numel())
                module.bias.uniform_(-bound, bound, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.normal_(1, 0.02, generator=generator)
    for module in network.modules():
        if isinstance(module, NonLocal):
            module.back.conv.get_parameter("bias").zero_()
    network.to(memory_format=torch.channels_last)
