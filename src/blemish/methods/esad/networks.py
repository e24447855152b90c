"""The light U-Net, which ESAD has twice: P inpaints, G reconstructs (`docs/spec/esad.md` §5)."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

INITIAL_STD = 0.02  # of convolution weights and of BatchNorm's weights about 1


class Block(nn.Module):
    """Two depthwise 3×3 convolutions and a pointwise one, beside a shortcut.

    The first has `middle / inputs` filters a channel. (B, inputs, h, w) -> (B, outputs, h, w).
    """

    def __init__(self, inputs: int, middle: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, middle, 3, padding=1, groups=inputs, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, middle, 3, padding=1, groups=middle, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential()
        if inputs != outputs:
            self.shortcut.append(nn.Conv2d(inputs, outputs, 1, bias=False))
            self.shortcut.append(nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class Up(nn.Module):
    """Doubles the resolution, joins what the encoder had there, and halves the channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
        self.block = Block(2 * outputs, 2 * outputs, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        joined: Tensor = self.block(torch.cat([self.enlarge(x), skip], dim=1))
        return joined


class UNet(nn.Module):
    """(B, 3, H, W) in [-1, 1] -> the same shape and range; H and W are multiples of 16.

    width: channels at full resolution, 64 as published. generator: draws the initial weights;
    the biases of transposed convolutions keep PyTorch's default bounds, drawn from it too.
    """

    def __init__(self, width: int = 64, generator: torch.Generator | None = None) -> None:
        super().__init__()
        w = width
        self.first = nn.Sequential(
            nn.Conv2d(3, w, 3, padding=1, bias=False), nn.BatchNorm2d(w), nn.ReLU(inplace=True)
        )
        widths = [(w, 2 * w, 2 * w), (2 * w, 4 * w, 4 * w), (4 * w, 8 * w, 8 * w)]
        widths.append((8 * w, 16 * w, 8 * w))
        self.down = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2), Block(*channels)) for channels in widths
        )
        pairs = [(8 * w, 8 * w), (8 * w, 4 * w), (4 * w, 2 * w), (2 * w, w)]
        self.up = nn.ModuleList(Up(*channels) for channels in pairs)
        self.last = nn.Conv2d(w, 3, 3, padding=1, bias=False)
        _initialise(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        # Most layers are depthwise, and those are faster with the channels last; the layers keep
        # the format they are given.
        x = self.first(x.contiguous(memory_format=torch.channels_last))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for up in self.up:
            x = up(x, skips.pop())
        return torch.tanh(self.last(x))


def _initialise(network: nn.Module, generator: torch.Generator | None) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, INITIAL_STD, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, INITIAL_STD, generator=generator)
        if isinstance(module, nn.ConvTranspose2d):
            assert module.bias is not None
            bound = (module.out_channels * 4) ** -0.5  # PyTorch takes the weight's second axis
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)


def fused(network: nn.Module) -> nn.Module:
    """A copy for evaluation whose BatchNorms are folded into the convolutions before them.

    The same function up to rounding, with a third of the passes over memory.
    """
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    for module in list(copied.modules()):
        if isinstance(module, nn.Sequential):
            _fold(module)
    return copied.to(memory_format=torch.channels_last)


def _fold(layers: nn.Sequential) -> None:
    for position in reversed(range(1, len(layers))):
        before, norm = layers[position - 1], layers[position]
        if isinstance(before, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            layers[position - 1] = fuse_conv_bn_eval(before, norm)
            del layers[position]
