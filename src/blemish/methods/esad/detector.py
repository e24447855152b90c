"""ESAD: inpaint, fill, reconstruct (The Visual Computer), after `docs/spec/esad.md`.

Masks remove every pixel of an image once. One U-Net inpaints what a mask removed, another one
reconstructs the filled image; an early layer of a frozen backbone compares the reconstruction
with the image.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from blemish.images.framing import Framing
from blemish.methods.author_protocol import AuthorProtocol
from blemish.methods.detector import Components, Detector, Measured
from blemish.methods.esad.author_scoring import PROTOCOL, score_in_batches
from blemish.methods.esad.features import EarlyFeatures
from blemish.methods.esad.masks import draw_parts, removed_pixels
from blemish.methods.esad.networks import UNet, fused
from blemish.methods.esad.params import Params
from blemish.methods.esad.smoothing import smoothed_map
from blemish.methods.esad.usual import Usual
from blemish.nn.backbones import leave_out_backbone


class Esad(Detector[Params]):
    """One model per unit: two trained U-Nets P and G (§5) and a frozen backbone N."""

    name = "esad"

    def __init__(self, params: Params, seed: int, framing: Framing) -> None:
        super().__init__(params, seed, framing)
        scaled = params.feature_input == "imagenet"
        self.backbone = EarlyFeatures(params.backbone, params.stride, params.weights, scaled)
        generator = torch.Generator().manual_seed(seed)
        self.inpainter = UNet(params.width, generator)
        self.reconstructor = UNet(params.width, generator)
        # The masks of scoring are the model's, so that an image always gets the same score.
        for cell in params.cells:
            drawn = [draw_parts(framing.window, cell, generator) for _ in range(params.draws)]
            self.register_buffer(f"parts_{cell}", torch.stack(drawn))
        grid = (side // params.stride for side in framing.window)
        self.usual = Usual(self.backbone.channels[0], *grid) if params.usual_from else None
        self._for_scoring: list[nn.Module] = []
        leave_out_backbone(self)

    def facts(self) -> dict[str, Any]:
        """Which backbone weights the comparison relies on."""
        return {"backbone_digest": self.backbone.digest()}

    def author_protocol(self, unit: str) -> AuthorProtocol:  # noqa: ARG002
        """The best epoch on test, judged with the statistics of test batches (§10)."""
        return PROTOCOL

    def train(self, mode: bool = True) -> "Esad":
        """As every module; scoring folds the networks anew."""
        self._for_scoring = []
        return super().train(mode)

    def reconstruct(self, x: Tensor, removed: Tensor, leak: float) -> tuple[Tensor, Tensor]:
        """Reconstruction and inpainting of x (B, 3, H, W), each pixel from where it was removed.

        removed: bool (3, 1, H, W). leak: the share of the image in the filled cells, 0 in
        training. One pass a mask, as published: BatchNorm sees each mask by itself (§4).
        """
        reconstruction = inpainting = torch.zeros_like(x)
        for hole in removed:
            pre = self.inpainter(x.masked_fill(hole, 0))
            rec = self.reconstructor(torch.where(hole, leak * x + (1 - leak) * pre, x))
            reconstruction = torch.where(hole, rec, reconstruction)
            inpainting = torch.where(hole, pre, inpainting)
        return reconstruction, inpainting

    def measure(self, images: Tensor) -> Measured:
        """Maps at the network's input size; the image score is the map's largest value (§8)."""
        x = symmetric(images)
        if self.usual is None:
            return self.smoothed(self.differences(x))
        return self.smoothed(self.usual(self.channel_differences(x)))

    def smoothed(self, difference: Tensor) -> Measured:
        """From a difference of each cell (B, h, w) to what `measure` returns."""
        maps = smoothed_map(difference.double(), self.framing.window, self.params.window)
        return Measured(maps.float(), maps)

    def differences(self, x: Tensor) -> Tensor:
        """Σ over cell sizes of the mean of |N(x) − N(rec)| over channels and draws, (B, h, w)."""
        return self.channel_differences(x).mean(dim=1)

    def channel_differences(self, x: Tensor) -> Tensor:
        """Σ over cell sizes of the mean of |N(x) − N(rec)| over draws, (B, C, h, w)."""
        p = self.params
        features = self.backbone.embed(x)
        total = torch.zeros_like(features)
        for cell in p.cells:
            removed = removed_pixels(self.get_buffer(f"parts_{cell}"), cell)
            made = self.backbone.embed(self.reconstruct_at_once(x, removed).flatten(0, 1))
            total += (made.unflatten(0, (-1, x.shape[0])) - features).abs().mean(dim=0)
        return total

    def score_published(self, images: Iterable[Tensor]) -> Iterator[Components]:
        """As the authors score a test set: batch statistics, and masks new for every batch."""
        # The number of steps so far tells the epochs apart, each of which draws its own masks.
        steps = int(self.get_buffer("inpainter.first.1.num_batches_tracked"))
        seed = self.seed * 1_000_003 + steps
        return score_in_batches(self, self.score_batch, images, self.params.batch_size, seed)

    def score_batch(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`score` with the networks as they are, one pass a mask, by masks drawn for the batch."""
        p = self.params
        x = symmetric(images)
        features = self.backbone.embed(x)
        difference = torch.zeros_like(features[:, 0])
        for cell in p.cells:
            parts = draw_parts(self.framing.window, cell, generator).to(x.device)
            made, _ = self.reconstruct(x, removed_pixels(parts, cell), p.leak)
            difference += (self.backbone.embed(made) - features).abs().mean(dim=1)
        maps, cells = self.smoothed(difference)
        return maps, self.combine(self.peaks(cells)[:, None])

    def reconstruct_at_once(self, x: Tensor, removed: Tensor) -> Tensor:
        """`reconstruct` with the test fill, for several draws and all their masks in one batch.

        Only in evaluation mode, where BatchNorm does not look at the batch. removed: bool
        (R, 3, 1, H, W). Returns (R, B, 3, H, W).
        """
        if not self._for_scoring:
            self._for_scoring = [fused(self.inpainter), fused(self.reconstructor)]
        inpainter, reconstructor = self._for_scoring
        hole = removed[:, :, None].expand(-1, -1, x.shape[0], -1, -1, -1)
        every = x.expand(*hole.shape[:2], *x.shape)
        pre = inpainter(every.masked_fill(hole, 0).flatten(0, 2)).view_as(every)
        leak = self.params.leak
        filled = torch.where(hole, leak * every + (1 - leak) * pre, every)
        rec: Tensor = reconstructor(filled.flatten(0, 2)).view_as(every)
        return rec.masked_fill(~hole, 0).sum(dim=1)

    def views(self, images: Tensor) -> dict[str, Tensor]:
        """What the first mask leaves, the whole inpainting, and the reconstruction it is filled
        into: the first of the draws that `score` averages."""
        x, cell = symmetric(images), self.params.cells[0]
        removed = removed_pixels(self.get_buffer(f"parts_{cell}")[0], cell)
        reconstruction, inpainting = self.reconstruct(x, removed, self.params.leak)
        shown = {
            "masked image": x.masked_fill(removed[0], 0),
            "inpainting": inpainting,
            "reconstruction": reconstruction,
        }
        return {
            caption: ((picture + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
            for caption, picture in shown.items()
        }


def symmetric(images: Tensor) -> Tensor:
    """uint8 images as the networks take them: float in [-1, 1]."""
    return images.float() / 127.5 - 1


DETECTOR = Esad
