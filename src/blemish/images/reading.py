"""Reading images and masks, with limits on what a file may claim."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from blemish.core.errors import UserError

# Pillow's decoders and its EXIF reader raise all of these on damaged files.
DAMAGED = (OSError, SyntaxError, ValueError, struct.error)
# Line-scan and microscope images are large; Pillow's own limit is half of this. Beyond it lie
# files that only claim their size, to exhaust the memory.
MOST_PIXELS = 180_000_000
Image.MAX_IMAGE_PIXELS = MOST_PIXELS


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
