"""Training normals in drawn light and a little moved (ours), so that a detector bears such changes.

Each image keeps its own draw for all of training: what is computed once of normals, such as frozen
features, stays computed once. Validation normals stay as they are: thresholds are of today's light.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

STREAM = 19  # of the random numbers that vary


@dataclass(frozen=True)
class Variation:
    """light: the largest factor, less 1, by which an image is lighter or darker. place: how far it
    may be moved either way, as a share of its shorter side; what comes in mirrors it."""

    light: float = 0.0
    place: float = 0.0
    seed: int = 0

    def __bool__(self) -> bool:
        return bool(self.light or self.place)

    def of(self, pictures: Sequence[Tensor] | Tensor) -> "VariedPictures":
        """The pictures of images, uint8 (3, h, w) each, each with its own draw."""
        return VariedPictures(pictures, self)


AS_THEY_ARE = Variation()


class VariedPictures(Sequence[Tensor]):
    """Pictures that are varied when they are asked for; nothing is stored."""

    def __init__(self, pictures: Sequence[Tensor] | Tensor, variation: Variation) -> None:
        self.pictures = pictures
        random = np.random.default_rng([variation.seed, STREAM])
        self.gains = (1 + variation.light) ** random.uniform(-1, 1, len(pictures))
        self.places = variation.place * random.uniform(-1, 1, (len(pictures), 2))

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, number: int) -> Tensor:  # type: ignore[override]
        """One of them, uint8 (3, h, w)."""
        picture = self.pictures[number].permute(1, 2, 0).numpy()
        down, right = np.rint(self.places[number] * min(picture.shape[:2])).astype(int).tolist()
        if down or right:
            picture = _moved(picture, down, right)
        bright = np.clip(np.rint(np.arange(256) * self.gains[number]), 0, 255).astype(np.uint8)
        return torch.from_numpy(bright[picture]).permute(2, 0, 1).contiguous()


def _moved(picture: np.ndarray, down: int, right: int) -> np.ndarray:
    height, width = picture.shape[:2]
    far = (max(down, 0), max(-down, 0), max(right, 0), max(-right, 0))
    wide = cv2.copyMakeBorder(picture, *far, cv2.BORDER_REFLECT_101)
    return wide[far[1] : far[1] + height, far[3] : far[3] + width]
