"""Reading images and masks, and the way between an image and what a network sees of it."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from blemish.core.errors import UserError

Resize = Literal["squash", "crop"]


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image as RGB, uint8 (H, W, 3), turned as its EXIF orientation says.

    16-bit images are scaled to 8 bits. Raises UserError naming a file that cannot be decoded,
    holds several pages, or 32 bits a pixel, of which nobody knows what is white.
    """
    image = _open(path, upright=True)
    if image.mode in {"I", "F"}:
        raise UserError(f"{path}: 32 bits a pixel: save it with 8 or 16 bits")
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image, dtype=np.uint32) * 255 // 65535).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.asarray(image.convert("RGB"))


def read_mask(path: Path, threshold: int = 0) -> NDArray[np.bool_]:
    """A mask as bool (H, W): True where any channel exceeds `threshold`."""
    image = _open(path)
    single = image.mode in {"L", "I", "F"} or image.mode.startswith("I;16")
    values = np.asarray(image) if single else np.asarray(image.convert("RGB")).max(axis=2)
    return values > threshold


# Pillow's decoders and its EXIF reader raise all of these on damaged files.
DAMAGED = (OSError, SyntaxError, ValueError, struct.error)
# Line-scan and microscope images are large; Pillow's own limit is half of this. Beyond it lie
# files that only claim their size, to exhaust the memory.
MOST_PIXELS = 180_000_000
Image.MAX_IMAGE_PIXELS = MOST_PIXELS


def _open(path: Path, upright: bool = False) -> Image.Image:
    try:
        image = Image.open(path)
        if image.width * image.height > MOST_PIXELS:
            raise Image.DecompressionBombError
        image.load()
        if image.format == "TIFF" and getattr(image, "n_frames", 1) > 1:
            raise UserError(f"{path}: holds several images: save each in a file of its own")
        return ImageOps.exif_transpose(image) if upright else image
    except FileNotFoundError:
        raise UserError(f"{path}: the image is missing") from None
    except Image.DecompressionBombError:
        raise UserError(
            f"{path}: claims more than {MOST_PIXELS // 10**6} million pixels: "
            "cut it into smaller images"
        ) from None
    except DAMAGED as error:
        raise UserError(
            f"{path}: not a whole image ({error}); replace or remove the file"
        ) from None


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
            seen = cv2.resize(anomaly_map, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
            whole = np.full((height, width), anomaly_map.min(), dtype=np.float32)
            top, left = (height - self.size) // 2, (width - self.size) // 2
            whole[top : top + self.size, left : left + self.size] = seen
            anomaly_map = whole
        resized = cv2.resize(anomaly_map, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
        return np.asarray(resized, dtype=np.float32)

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if self.resize == "squash":
            return self.size, self.size
        shorter, target = min(height, width), round(self.size * self.enlarge)
        return round(height * target / shorter), round(width * target / shorter)
