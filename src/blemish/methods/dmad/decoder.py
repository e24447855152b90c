"""The decoder: the encoder's levels again, from the bottleneck (`docs/spec/dmad.md` §3.5)."""

from itertools import pairwise

from torch import Tensor, nn

from blemish.methods.dmad.blocks import Residual, initialise


class Decoder(nn.Module):
    """A mirrored wide ResNet: one stage a level, coarsest first, each doubles the resolution.

    Stage widths follow the encoder's channels, so any backbone with three levels can be mirrored;
    24,917,504 parameters for 256-512-1024 channels and blocks 3, 4, 6, the published ones.
    channels: finest level first. width: multiplies inner widths.
    """

    def __init__(self, channels: list[int], blocks: list[int], width: float) -> None:
        super().__init__()
        ends = [2 * channels[2], *reversed(channels)]
        self.stages = nn.ModuleList(
            _stage(inputs, outputs, count, width)
            for (inputs, outputs), count in zip(pairwise(ends), blocks, strict=True)
        )
        initialise(self)

    def forward(self, merged: Tensor) -> list[Tensor]:
        """(B, 2C, h/2, w/2) -> one map a level, in the encoder's order, the finest first."""
        levels = []
        for stage in self.stages:
            merged = stage(merged)
            levels.append(merged)
        return levels[::-1]


def _stage(inputs: int, outputs: int, blocks: int, width: float) -> nn.Sequential:
    inner = max(1, round(width * outputs / 2))
    more = (Residual(outputs, inner, outputs) for _ in range(blocks - 1))
    return nn.Sequential(Residual(inputs, inner, outputs, "double"), *more)
