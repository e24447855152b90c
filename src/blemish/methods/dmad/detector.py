"""DMAD: diversity-measurable anomaly detection (CVPR 2023), after `docs/spec/dmad.md`.

Reverse distillation behind a warp: a small network bends each image towards a prototype before a
frozen encoder sees it, and a bottleneck and a decoder reproduce the encoder's levels. Where they
fail is anomalous; how far the warp bends an image is a second sign.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from blemish.images.framing import Framing
from blemish.methods.author_protocol import AuthorProtocol
from blemish.methods.detector import Components, Detector, Measured
from blemish.methods.dmad.bottleneck import PlainBottleneck, QuantisedBottleneck, Quantiser
from blemish.methods.dmad.decoder import Decoder
from blemish.methods.dmad.fields import Fields, unwarp_scores, warp
from blemish.methods.dmad.offsets import OffsetNetwork
from blemish.methods.dmad.params import Params
from blemish.methods.dmad.patch_memory import PatchMemory
from blemish.methods.dmad.scoring import distance_map
from blemish.methods.dmad.views import field_picture, heat_pictures
from blemish.nn.backbones import Backbone, leave_out_backbone
from blemish.nn.smoothing import anomaly_map

BENT = ("screw", "carpet", "metal_nut")  # categories whose deformation the authors weigh by 0.2


class Pass(NamedTuple):
    """A forward pass (§3): how images were bent, and what encoder and decoder then say."""

    fields: Fields
    warped: Tensor
    encoded: list[Tensor]
    decoded: list[Tensor]
    code_loss: Tensor


class Dmad(Detector[Params]):
    """One model per unit: a frozen encoder, a trained offset network, bottleneck and decoder."""

    name = "dmad"

    score_mean: Tensor

    score_std: Tensor

    def __init__(self, params: Params, seed: int, framing: Framing) -> None:
        super().__init__(params, seed, framing)
        self.backbone = Backbone(params.backbone, params.strides, params.weights)
        channels, width = self.backbone.channels, params.width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            reach = (params.coarse_reach, params.fine_reach)
            self.offsets = OffsetNetwork(params.offset_width, *reach)
            self.bottleneck = (
                QuantisedBottleneck(
                    channels,
                    params.compressed,
                    Quantiser(params.codes, channels[2], params.commitment),
                    width,
                )
                if params.vq
                else PlainBottleneck(channels, width)
            )
            self.decoder = Decoder(channels, params.decoder_blocks, width)
        for part in self.trained():
            part.to(memory_format=torch.channels_last)
        self.patches = PatchMemory(params) if params.memory else None
        # Of the image scores, features, deformation and, if there is one, memory, over the
        # validation normals (§9).
        scores = 2 if self.patches is None else 3
        self.register_buffer("score_mean", torch.zeros(scores, dtype=torch.float64))
        self.register_buffer("score_std", torch.ones(scores, dtype=torch.float64))
        leave_out_backbone(self)

    def trained(self) -> list[nn.Module]:
        """The parts that learn."""
        return [self.offsets, self.bottleneck, self.decoder]

    def facts(self) -> dict[str, Any]:
        """Which backbone weights the rest relies on, and how many prototypes are in use."""
        used = {} if self.quantiser is None else {"codes_in_use": self.quantiser.perplexity()}
        return {"backbone_digest": self.backbone.digest(), **used}

    @property
    def quantiser(self) -> Quantiser | None:
        """That of the bottleneck; None in the family without one."""
        return self.bottleneck.quantiser

    def author_protocol(self, unit: str) -> AuthorProtocol:
        """The larger AUROC with and without the deformation, normalised over the test set (§5)."""
        weight = 0.2 if unit.rpartition("/")[2] in BENT else 0.05
        return AuthorProtocol(
            note=f"the larger of feature score and feature + {weight} deformation score, min-max "
            "normalised over the test set; labels from resized masks",
            scorings=((1.0, 0.0), (1.0, weight)),
            labels_from_masks=True,
        )

    def forward(self, images: Tensor) -> Pass:
        """Images (B, 3, H, W) in [0, 1]; gradients flow through the encoder, not into it."""
        fields = self.offsets((images - self.backbone.mean) / self.backbone.std)
        warped = warp(images, fields)
        encoded = self.backbone(warped)
        merged, code_loss = self.bottleneck(encoded)
        return Pass(fields, warped, encoded, self.decoder(merged), code_loss)

    def scaled(self, images: Tensor) -> Tensor:
        """uint8 -> [0, 1], of the weights' type."""
        return images.to(self.backbone.mean.dtype) / 255

    def measure(self, images: Tensor) -> Measured:
        """Feature maps at the input's size; the peaks are their maximum and the deformation's.

        Maps are in standard deviations of the validation normals' image scores (§9). With a memory
        its distances are a third map, which is added to the first.
        """
        maps = self.maps(images)
        if self.patches is not None and self.patches.memory.filled:
            size = (images.shape[2], images.shape[3])
            third = anomaly_map(self.patches.distances(images), size, self.params.sigma)
            maps = torch.cat([maps, third.to(maps.dtype)[:, None]], dim=1)
        standard = self.standardised(maps.double().movedim(1, -1))
        shown = standard[..., 0]
        if maps.shape[1] > 2:
            shown = shown + standard[..., 2]
        return Measured(shown.float(), maps)

    def combine(self, peaks: Tensor) -> Tensor:
        """The maxima, each in its standard deviations, weighed."""
        standard = self.standardised(peaks.amax(dim=1))
        score = standard[:, 0] + self.params.deformation_weight * standard[:, 1]
        return score + standard[:, 2] if standard.shape[1] > 2 else score

    def standardised(self, values: Tensor) -> Tensor:
        """(…, K) in deviations of the first K image scores of validation normals."""
        count = values.shape[-1]
        mean, std = (each[:count].to(values.device) for each in (self.score_mean, self.score_std))
        return (values - mean) / std

    def score_published(self, images: Iterable[Tensor]) -> Iterator[Components]:
        """Feature and deformation maps and their maxima, unscaled, of each image (§5)."""
        self.eval()
        for image in images:
            with torch.inference_mode():
                maps = self.maps(image[None].to(self.score_mean.device))[0]
            yield maps.cpu().numpy(), maps.amax(dim=(1, 2)).double().cpu().numpy()

    def maps(self, images: Tensor) -> Tensor:
        """uint8 (B, 3, H, W) -> smoothed feature and deformation maps, (B, 2, H, W) (§5)."""
        outputs = self(self.scaled(images))
        size = (images.shape[2], images.shape[3])
        raw = distance_map(outputs.encoded, outputs.decoded, size)
        both = torch.cat(unwarp_scores(raw, outputs.fields), dim=1)
        return anomaly_map(both.flatten(0, 1), size, self.params.sigma).view_as(both)

    def views(self, images: Tensor) -> dict[str, Tensor]:
        """What the warp did: the image, both fields, and the map before and after its way back."""
        outputs = self(self.scaled(images))
        before = distance_map(outputs.encoded, outputs.decoded, (images.shape[2], images.shape[3]))
        after, _ = unwarp_scores(before, outputs.fields)
        coarse, fine = self.offsets.reach
        return {
            "warped image": (outputs.warped * 255).round().clamp(0, 255).byte(),
            "coarse field": field_picture(outputs.fields.coarse, coarse),
            "fine field": field_picture(outputs.fields.fine, fine),
            **heat_pictures({"map of the warped image": before, "map warped back": after}),
        }


DETECTOR = Dmad
