"""Residual blocks of bottleneck and mirrored decoder (`docs/spec/dmad.md` §3.3, §3.5)."""

from torch import Tensor, nn


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3×3 convolution without bias, batch norm, ReLU."""
    layer = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """1×1 → 3×3 → 1×1 with a shortcut. change: "halve" or "double" the resolution, or "keep".

    Doubling is a transposed 2×2 convolution in the place of the 3×3, and one in the shortcut.
    """

    def __init__(self, inputs: int, inner: int, outputs: int, change: str = "keep") -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(inplace=True),
            _middle(inner, change), nn.BatchNorm2d(inner), nn.ReLU(inplace=True),
            nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.shortcut = _shortcut(inputs, outputs, change)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h', w')."""
        activated: Tensor = self.activation(self.body(x) + self.shortcut(x))
        return activated


def _middle(width: int, change: str) -> nn.Module:
    if change == "double":
        return nn.ConvTranspose2d(width, width, 2, stride=2, bias=False)
    stride = 2 if change == "halve" else 1
    return nn.Conv2d(width, width, 3, stride, padding=1, bias=False)


def _shortcut(inputs: int, outputs: int, change: str) -> nn.Module:
    if change == "double":
        layer: nn.Module = nn.ConvTranspose2d(inputs, outputs, 2, stride=2, bias=False)
    elif change == "halve":
        layer = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False)
    else:
        return nn.Identity()
    return nn.Sequential(layer, nn.BatchNorm2d(outputs))


def initialise(module: nn.Module) -> None:
    """Kaiming normal, fan-out, for convolutions; all else keeps PyTorch's defaults (§3.3, §3.5)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
