"""Training of `dlas_lcd`, ours (`docs/spec/dlas-net.md` §8.2).

Display defects of a chosen visibility take the place of textures (the kinds `spot`, `line`, `mura`
and `scratch`), the projection is narrow enough to act, and a fourth branch is trained on coherent
shifts. Each of the three can be turned off.
"""

import torch
from torch import Tensor

from blemish.methods.dlas.projection import adaptive_projection
from blemish.methods.dlas_lcd.coherent import (
    Spread,
    draw_directions,
    draw_lengths,
    draw_regions,
    spread_of,
    unit,
)
from blemish.methods.dlas_lcd.detector import DlasLcd
from blemish.methods.glass.feature_cache import FeatureCache
from blemish.methods.glass.features import Levels
from blemish.methods.glass.heads import composed
from blemish.methods.glass.hidden_ascent import Projection
from blemish.methods.glass.losses import anomalous_loss, synthesis_loss
from blemish.methods.glass.training import GlassTrainer

MEASURED = 64  # images whose neighbouring cells are compared


class DlasLcdTrainer(GlassTrainer):
    """GLASS's training with display defects, an active projection and coherent shifts."""

    detector: DlasLcd
    spread: Spread

    def projection(self, radius: Tensor | None) -> Projection:
        """DLAS-Net's, or the band, which with the defaults acts on the manifold."""
        adaptive = self.detector.params.shell == "adaptive"
        return adaptive_projection(*self.bounds) if adaptive else super().projection(radius)

    def learn_statistics(self, normals: FeatureCache) -> None:
        """How neighbouring cells differ, in some of the images, spread evenly."""
        if not self.detector.params.coherent:
            return
        chosen = torch.linspace(0, len(normals) - 1, min(MEASURED, len(normals))).long()
        device = next(self.detector.parameters()).device
        batches = (
            self.detector.features.scaled(normals.rows(rows, device))
            for rows in chosen.unique().split(8)
        )
        self.spread = spread_of(batches, self.detector.params.coherent_directions)

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
        if self.detector.params.coherent:
            losses["loss_coherent"] = self.coherent_loss(normals, generator)
        return losses

    def coherent_loss(self, normals: Levels, generator: torch.Generator) -> Tensor:
        """Focal loss of normal images in each of which a region is shifted; label 1 in it alone.

        The heads' first two layers are one affine map, so a shift of the features is one of the
        hidden rows, and only one vector an image has to be mapped.
        """
        p = self.detector.params
        weight, bias = composed(self.detector.adaptor, self.detector.discriminator)
        hidden = self.detector.features.linear(normals, weight, bias)  # (B, h, w, H)
        images, height, width, _ = hidden.shape
        regions = draw_regions(images, height, width, generator)
        principal = draw_directions(self.spread, images, generator)
        reach = (p.coherent_reach[0], p.coherent_reach[1])
        lengths = draw_lengths(self.spread, reach, images, generator)
        hard = self.hard_direction(hidden.detach(), regions, lengths * principal, weight.detach())
        shift = lengths * unit(principal + hard)
        logits = self.detector.discriminator.after_first(shifted(hidden, regions, shift, weight))
        return synthesis_loss(torch.sigmoid(logits), regions.flatten(), p.hard_quantile)

    def hard_direction(
        self, hidden: Tensor, regions: Tensor, shift: Tensor, weight: Tensor
    ) -> Tensor:
        """Unit vectors (B, C) along which each region's shift would look more normal to D."""
        shift = shift.requires_grad_()
        logits = self.detector.discriminator.after_first(shifted(hidden, regions, shift, weight))
        (slope,) = torch.autograd.grad(anomalous_loss(logits[regions.flatten()]), shift)
        return unit(slope)


def shifted(hidden: Tensor, regions: Tensor, shift: Tensor, weight: Tensor) -> Tensor:
    """Hidden rows (B·h·w, H) of features to which `shift` (B, C) is added inside the regions."""
    moved = (shift @ weight.T).to(hidden.dtype)[:, None, None]
    return (hidden + regions[..., None] * moved).flatten(0, 2)


TRAINER = DlasLcdTrainer
