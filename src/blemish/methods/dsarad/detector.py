"""DSARAD: distilled reconstruction with attention and a segmenter, after `docs/spec/dsarad.md`.

A student turns images with defects into normal ones; a segmenter tells from the student's picture
and its input where the defects are.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from blemish.images.framing import Framing
from blemish.methods.author_protocol import AuthorProtocol
from blemish.methods.detector import Detector, Measured
from blemish.methods.dsarad.networks import Reconstruction, Segmenter
from blemish.methods.dsarad.params import Params
from blemish.methods.dsarad.pixels import InputNormalisation

QUIET, LOUD = (3, 7), (21, 41)  # pixels a side


class Dsarad(Detector[Params]):
    """One model per unit: a student (§3.1) and a segmenter (§3.3)."""

    name = "dsarad"

    def __init__(self, params: Params, seed: int, framing: Framing) -> None:
        super().__init__(params, seed, framing)
        self.pixels = InputNormalisation(params.flat_field, framing.window)
        generator = torch.Generator().manual_seed(seed)
        self.student = Reconstruction(params.width, generator)
        self.segmenter = Segmenter(params.segmenter_width, generator)

    def facts(self) -> dict[str, bool]:
        """Whether the unit's parts lie alike, so that light and mean normal are taken away."""
        return {"flat_field": self.pixels.is_flat}

    def measure(self, images: Tensor) -> Measured:
        """Probability maps, not smoothed; the image score is that of §6, averaged over boxes."""
        corrupted = self.pixels(images.to(self.dtype) / 255)
        reconstruction, _ = self.student(corrupted)
        logits = self.segmenter(torch.cat([reconstruction, corrupted], dim=1))
        # In float64 confident pixels stay apart, where float32 rounds them all to one.
        probability = anomaly_probability(logits.double())
        means = [box_means(probability, box) for box in self.boxes]
        return Measured(probability.float(), torch.stack(means, dim=1))

    @property
    def boxes(self) -> Sequence[int]:
        """Sides of the squares whose largest means make the image score.

        "auto": small ones where light and mean normal are gone, so that normals are quiet;
        else large ones, as published, since single pixels of normals are as loud as defects.
        """
        if self.params.score_boxes != "auto":
            return self.params.score_boxes
        return QUIET if self.pixels.is_flat else LOUD

    def combine(self, peaks: Tensor) -> Tensor:
        """The mean over the boxes of their largest means."""
        return peaks.amax(dim=1).mean(dim=1)

    def author_protocol(self, unit: str) -> AuthorProtocol:  # noqa: ARG002
        """Which of the kept epochs a number comes from differs by experiment: inferred (§9)."""
        return AuthorProtocol(
            note="best kept epoch on test, masks cut off to whole pixels",
            chosen_by=("image_auroc", "pixel_auroc"),
            mask_above=254,  # §2.2
        )

    def views(self, images: Tensor) -> dict[str, Tensor]:
        """The student's picture: what the image would be without a defect."""
        pictures = images.to(self.dtype) / 255
        output, _ = self.student(self.pixels(pictures))
        reconstruction = self.pixels.inverse(output, pictures).clamp(0, 1)
        return {"reconstruction": (reconstruction * 255).round().to(torch.uint8)}

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights, in which images are given to the networks."""
        return self.student.out.weight.dtype


def anomaly_probability(logits: Tensor) -> Tensor:
    """Channel 1 of the softmax over two channels: (B, 2, H, W) → (B, H, W)."""
    return torch.sigmoid(logits[:, 1] - logits[:, 0])


def box_means(probability: Tensor, box: int) -> Tensor:
    """The mean over the box×box square about each pixel (§6): (B, H, W) → (B, H, W).

    A square that leaves the image is divided by its whole area, so borders count less.
    """
    return F.avg_pool2d(probability[:, None], box, stride=1, padding=box // 2)[:, 0]


DETECTOR = Dsarad
