"""N, the frozen early layer in whose space images are compared (`methods/esad.md` §5)."""

from typing import Any

import torch
from torch import Tensor, nn

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


def leave_out_backbone(method: nn.Module) -> None:
    """Keep the frozen weights out of the state dict: model.json names them by their digest."""
    method._register_state_dict_hook(_without_backbone)
    method.register_load_state_dict_post_hook(_backbone_may_lack)


def _without_backbone(module: Any, state: dict[str, Any], prefix: str, metadata: Any) -> None:  # noqa: ARG001
    for key in [key for key in state if key.startswith(f"{prefix}backbone.")]:
        del state[key]


def _backbone_may_lack(module: Any, incompatible: Any) -> None:  # noqa: ARG001
    kept = [key for key in incompatible.missing_keys if not key.startswith("backbone.")]
    incompatible.missing_keys[:] = kept
