"""The way between an image and the square that a network sees of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Resize = Literal["squash", "crop"]
ALMOST_ALL = 0.95  # of an image, which is not worth a word


@dataclass(frozen=True)
class Framing:
    """How an image becomes the size×size square that a network sees.

    "squash" resizes to the square, whatever the aspect; "crop" resizes the shorter side to
    `size` and keeps the central square, as the published GLASS does (the borders are not seen).
    enlarge: "crop" resizes the shorter side to so many times `size`, so that less is seen.
    """

    size: int
    resize: Resize
    enlarge: float = 1.0

    def to_model(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 (H, W, 3) → uint8 (3, size, size), bilinear with anti-aliasing (Pillow's)."""
        height, width = self._resized(image.shape[0], image.shape[1])
        resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
        top, left = (height - self.size) // 2, (width - self.size) // 2
        square = np.asarray(resized)[top : top + self.size, left : left + self.size]
        return np.ascontiguousarray(square.transpose(2, 0, 1))

    def to_original(
        self, anomaly_map: NDArray[np.float32], size: tuple[int, int]
    ) -> NDArray[np.float32]:
        """An anomaly map (h, w) of what the network saw → (H, W) of the original image.

        Pixels that "crop" cut off were not judged: they get the map's lowest value.
        """
        height, width = self._resized(*size)
        if (height, width) != (self.size, self.size):
            square = cv2.resize(anomaly_map, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
            whole = np.full((height, width), anomaly_map.min(), dtype=np.float32)
            top, left = (height - self.size) // 2, (width - self.size) // 2
            whole[top : top + self.size, left : left + self.size] = square
            anomaly_map = whole
        resized = cv2.resize(anomaly_map, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
        return np.asarray(resized, dtype=np.float32)

    def seen(self, height: int, width: int) -> float:
        """The share of an image's area that the network sees: 1, or less with "crop"."""
        resized = self._resized(height, width)
        return self.size / resized[0] * self.size / resized[1]

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if self.resize == "squash":
            return self.size, self.size
        shorter, target = min(height, width), round(self.size * self.enlarge)
        return round(height * target / shorter), round(width * target / shorter)


def partly_seen(shares: Iterable[float]) -> list[str]:
    """A line for people where images were judged in part, from each image's share that was."""
    part = [share for share in shares if share < ALMOST_ALL]
    if not part:
        return []
    return [
        f"{len(part)} image(s) were judged in part: the centre crop sees {min(part):.0%} of the "
        "image at least; nothing is known of the rest. `resize: squash` sees all of it."
    ]
