"""`dlas_lcd`: DLAS-Net for weak display defects, ours (`docs/spec/dlas-net.md` §8.2).

Display defects of a chosen visibility take the place of textures (the kinds `spot`, `line`, `mura`
and `scratch`), the projection's shell is narrow enough to act, and a fourth branch is
trained on coherent shifts. Each of the three can be turned off.
"""

import torch
from torch import Tensor

from blemish.methods.dlas.projection import adaptive_shell
from blemish.methods.dlas_lcd.coherent import (
    Spread,
    draw_directions,
    draw_lengths,
    draw_regions,
    survey,
    unit,
)
from blemish.methods.dlas_lcd.params import Params
from blemish.methods.glass.family import CoSynthesis
from blemish.methods.glass.feature_cache import FeatureCache, Levels
from blemish.methods.glass.heads import composed
from blemish.methods.glass.hidden_ascent import Shell
from blemish.methods.glass.losses import anomalous_loss, synthesis_loss
from blemish.nn.smoothing import top_cells_score

SURVEYED = 64  # images whose neighbouring cells are compared


class DlasLcd(CoSynthesis):
    """GLASS's training with display defects, an active shell and coherent shifts."""

    name = "dlas_lcd"
    spread: Spread

    def practice(self, unit: str) -> None:
        """There is none: nothing is published."""

    def shell(self, radius: Tensor | None) -> Shell:
        """DLAS-Net's, or the band, which with the defaults acts on the manifold."""
        adaptive = self.params.shell == "adaptive"
        return adaptive_shell(*self.bounds) if adaptive else super().shell(radius)

    def survey(self, normals: FeatureCache) -> None:
        """How neighbouring cells differ, in some of the images, spread evenly."""
        if not self.params.coherent:
            return
        chosen = torch.linspace(0, len(normals) - 1, min(SURVEYED, len(normals))).long()
        device = next(self.parameters()).device
        batches = (
            self.features.scaled(normals.rows(rows, device)) for rows in chosen.unique().split(8)
        )
        self.spread = survey(batches, self.params.coherent_directions)

    def losses(
        self,
        normals: Levels,
        synthetic: Levels,
        masks: Tensor,
        center: Tensor | None,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """GLASS's three branches, then that of the coherent shifts."""
        losses = super().losses(normals, synthetic, masks, center, generator)
        if self.params.coherent:
            losses["loss_coherent"] = self.coherent_loss(normals, generator)
        return losses

    def coherent_loss(self, normals: Levels, generator: torch.Generator) -> Tensor:
        """Focal loss of normal images in each of which a region is shifted; label 1 in it alone.

        The heads' first two layers are one affine map, so a shift of the features is one of the
        hidden rows, and only one vector an image has to be mapped.
        """
        p: Params = self.params
        weight, bias = composed(self.adaptor, self.discriminator)
        hidden = self.features.linear(normals, weight, bias)  # (B, h, w, H)
        images, height, width, _ = hidden.shape
        regions = draw_regions(images, height, width, generator)
        principal = draw_directions(self.spread, images, generator)
        reach = (p.coherent_reach[0], p.coherent_reach[1])
        lengths = draw_lengths(self.spread, reach, images, generator)
        hard = self.hard_direction(hidden.detach(), regions, lengths * principal, weight.detach())
        shift = lengths * unit(principal + hard)
        logits = self.discriminator.after_first(shifted(hidden, regions, shift, weight))
        return synthesis_loss(torch.sigmoid(logits), regions.flatten(), p.hard_quantile)

    def hard_direction(
        self, hidden: Tensor, regions: Tensor, shift: Tensor, weight: Tensor
    ) -> Tensor:
        """Unit vectors (B, C) along which each region's shift would look more normal to D."""
        shift = shift.requires_grad_()
        logits = self.discriminator.after_first(shifted(hidden, regions, shift, weight))
        (slope,) = torch.autograd.grad(anomalous_loss(logits[regions.flatten()]), shift)
        return unit(slope)

    def image_scores(self, cells: Tensor) -> Tensor:
        """The mean of the largest cell scores; the largest alone as published."""
        return top_cells_score(cells, self.params.top_cells)


def shifted(hidden: Tensor, regions: Tensor, shift: Tensor, weight: Tensor) -> Tensor:
    """Hidden rows (B·h·w, H) of features to which `shift` (B, C) is added inside the regions."""
    moved = (shift @ weight.T).to(hidden.dtype)[:, None, None]
    return (hidden + regions[..., None] * moved).flatten(0, 2)


METHOD = DlasLcd
