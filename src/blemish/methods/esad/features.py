"""N, the frozen early layer in whose space images are compared (`docs/spec/esad.md` §5)."""

import torch
from torch import Tensor

from blemish.nn.backbones import Backbone


class EarlyFeatures(Backbone):
    """A single level of a frozen backbone, for images as the U-Nets have them.

    scaled: whether they are normalised as the backbone was trained; the authors feed it [-1, 1].
    """

    def __init__(self, name: str, stride: int, weights: str, scaled: bool) -> None:
        super().__init__(name, [stride], weights)
        self.scaled = scaled

    def features(self, x: Tensor) -> Tensor:
        """N(x) of images in [-1, 1]: (B, 3, H, W) -> (B, C, h, w)."""
        # Unscaled input must undo the normalisation that the backbone begins with.
        level: Tensor = self((x + 1) / 2 if self.scaled else x * self.std + self.mean)[0]
        return level

    @torch.no_grad()
    def embed(self, x: Tensor) -> Tensor:
        """N(x) without gradients."""
        return self.features(x)
