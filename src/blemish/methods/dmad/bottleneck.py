"""The two bottlenecks, with vector quantisation and without (`docs/spec/dmad.md` §§3.3–3.4)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blemish.methods.dmad.blocks import Residual, convolution, initialise


class Quantiser(nn.Module):
    """Replaces each vector by the nearest of its prototypes; gradients pass straight through.

    usage: how often each prototype was chosen since it was last set to 0, in training mode.
    """

    usage: Tensor

    def __init__(self, codes: int, dim: int, commitment: float) -> None:
        super().__init__()
        self.commitment = commitment
        self.codebook = nn.Parameter(torch.empty(codes, dim).uniform_(-1 / codes, 1 / codes))
        self.register_buffer("usage", torch.zeros(codes, dtype=torch.int64))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) -> the same of prototypes, and the loss MSE(e, sg z) + β·MSE(sg e, z).

        The encoder is frozen, so its commitment β moves only what warps the image.
        """
        with torch.autocast(features.device.type, enabled=False):
            z = features if features.dtype == torch.float64 else features.float()
            chosen = self.nearest(z)
            if self.training:
                self.usage += torch.bincount(chosen.flatten(), minlength=len(self.codebook))
            # A gather: its gradient reaches the chosen prototypes as a one-hot product's would.
            e = F.embedding(chosen, self.codebook).permute(0, 3, 1, 2)
            loss = F.mse_loss(e, z.detach()) + self.commitment * F.mse_loss(e.detach(), z)
            return z + (e - z).detach(), loss

    @torch.no_grad()
    def nearest(self, features: Tensor) -> Tensor:
        """The index of the nearest prototype of each vector, (B, C, h, w) -> (B, h, w).

        |e|² − 2·z·e has the order of |z − e|² and, without |z|², less cancellation.
        """
        vectors = features.permute(0, 2, 3, 1)
        squares = self.codebook.square().sum(dim=1)
        return (squares - 2 * vectors @ self.codebook.T).argmin(dim=-1)

    def perplexity(self) -> float:
        """How many prototypes are in use, weighed by their share: 1 is a collapse."""
        share = self.usage.double() / self.usage.sum().clamp(min=1)
        return float(torch.special.entr(share).sum().exp())

    def use(self) -> dict[str, float]:
        """How many prototypes were chosen at all, and their perplexity, for the curves."""
        return {"codes_chosen": float((self.usage > 0).sum()), "codes_in_use": self.perplexity()}


class QuantisedBottleneck(nn.Module):
    """Squeezed levels and the quantised coarsest one, concatenated and halved (image level).

    43,909,888 parameters for 256-512-1024 channels: as published, without a projection that
    nothing used. compressed: channels of a squeezed level. width: multiplies inner widths.
    """

    def __init__(
        self, channels: list[int], compressed: int, quantiser: Quantiser, width: float
    ) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(
                convolution(inputs, compressed),
                *(convolution(compressed, compressed, stride=2) for _ in range(halvings)),
            )
            for inputs, halvings in zip(channels, (2, 1, 0), strict=True)
        )
        self.merge = _merge(3 * compressed + channels[2], channels[2], width)
        initialise(self)
        self.quantiser = quantiser

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Three encoder levels -> (B, 2C, h/2, w/2), and the loss of the quantiser."""
        quantised, loss = self.quantiser(levels[2])
        small = [part(level) for part, level in zip(self.levels, levels, strict=True)]
        return self.merge(torch.cat([*small, quantised.to(small[0].dtype)], dim=1)), loss


class PlainBottleneck(nn.Module):
    """That of reverse distillation: all levels brought to the coarsest (pixel level, §3.3b).

    58,885,120 parameters for 256-512-1024 channels.
    """

    def __init__(self, channels: list[int], width: float) -> None:
        super().__init__()
        first, second, third = channels
        self.quantiser = None
        self.first = nn.Sequential(
            convolution(first, second, stride=2), convolution(second, third, stride=2)
        )
        self.second = convolution(second, third, stride=2)
        self.merge = _merge(3 * third, third, width)
        initialise(self)

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Three encoder levels -> (B, 2C, h/2, w/2), and 0: nothing is quantised."""
        small = [self.first(levels[0]), self.second(levels[1]), levels[2]]
        return self.merge(torch.cat(small, dim=1)), levels[2].new_zeros(())


def _merge(inputs: int, channels: int, width: float) -> nn.Sequential:
    inner, outputs = round(width * channels), 2 * channels
    return nn.Sequential(
        Residual(inputs, inner, outputs, "halve"),
        Residual(outputs, inner, outputs),
        Residual(outputs, inner, outputs),
    )
