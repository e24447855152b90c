"""GLASS (ECCV 2024), after `docs/spec/glass.md`: what it computes of an image.

A frozen backbone gives a vector for each cell of a grid; a linear adaptor and a small
discriminator tell normal vectors from anomalous ones. How they learn that is in `training`.
"""

from typing import Any

import torch
from torch import Tensor

from blemish.images.framing import Framing
from blemish.methods.author_protocol import AuthorProtocol
from blemish.methods.detector import Detector, Measured, where_judged
from blemish.methods.glass.features import FrozenFeatures
from blemish.methods.glass.heads import Adaptor, Discriminator
from blemish.methods.glass.memory import WeighedMemory
from blemish.methods.glass.params import Params
from blemish.nn.smoothing import anomaly_map, largest, mean_of_finite


class Glass(Detector[Params]):
    """One model per unit: frozen features (§4), a trained adaptor and discriminator (§5).

    Relatives (`dlas`, `dlas_lcd`) score in the same way and train in another.
    """

    name = "glass"

    def __init__(self, params: Params, seed: int, framing: Framing) -> None:
        p = params.for_unit("")  # whoever did not name the unit gets what holds for most
        super().__init__(p, seed, framing)
        self.features = FrozenFeatures(
            p.backbone,
            p.weights,
            p.strides,
            p.pretrain_dim,
            p.target_dim,
            p.patch,
            p.standardise,
            p.whiten,
        )
        generator = torch.Generator().manual_seed(seed)
        self.adaptor = Adaptor(p.target_dim, generator=generator)
        self.discriminator = Discriminator(p.target_dim, p.hidden, generator=generator)
        self.hypersphere = p.variant == "hypersphere"
        self.memory = WeighedMemory(p.target_dim) if p.memory else None

    def facts(self) -> dict[str, Any]:
        """Which backbone weights the heads rely on, and which variant was trained (§11)."""
        digest = self.features.backbone.digest()
        return {"backbone_digest": digest, "hypersphere": self.hypersphere}

    def author_protocol(self, unit: str) -> AuthorProtocol | None:
        """The best epoch on test, masks cut off to whole pixels, the PRO of their code (§13–14)."""
        return AuthorProtocol(
            note="best epoch on test",
            chosen_by=("image_auroc", "pixel_auroc"),
            mask_above=0 if unit.startswith("visa/") else 254,  # §2.3
            glass_pro=True,
        )

    def measure(self, images: Tensor) -> Measured:
        """Maps at the network's input size (§12)."""
        features = self.features.cells(images.float() / 255)
        cells = self.logits(features)
        if self.memory is not None and self.memory.filled:
            cells = self.memory.add(cells, features)
        size = (images.shape[2], images.shape[3])
        maps = anomaly_map(self.shown(cells), size, self.params.sigma)
        return Measured(maps.float(), cells)

    def logits(self, features: Tensor) -> Tensor:
        """How anomalous the heads hold scaled cells: (…, C) -> (…,) float64."""
        # In float64 confident cells stay apart, where float32 rounds them all to 1.
        logits: Tensor = self.discriminator(self.adaptor(features).flatten(0, -2))
        return logits.double().view(features.shape[:-1])

    def shown(self, cells: Tensor) -> Tensor:
        """Scores of what cells are worth: the probability, as published; with a memory as it is."""
        remembers = self.memory is not None and self.memory.filled
        return cells if remembers else torch.sigmoid(cells)

    def peaks(self, cells: Tensor, judged: Tensor | None = None) -> Tensor:
        """The largest cells; the largest alone as published (§12)."""
        return largest(where_judged(cells, judged).flatten(1), self.params.top_cells)

    def combine(self, peaks: Tensor) -> Tensor:
        """The score of their mean."""
        top = largest(peaks.flatten(1), self.params.top_cells)
        return self.shown(mean_of_finite(top))


DETECTOR = Glass
