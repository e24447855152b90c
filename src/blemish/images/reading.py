"""Reading images, with limits on what a file may claim."""

import struct
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from blemish.core.errors import UserError
from blemish.images.formats import IMAGE_FORMATS

# Pillow's decoders and its EXIF reader raise all of these on damaged files.
DAMAGED = (OSError, SyntaxError, ValueError, struct.error)
# Line-scan and microscope images are large; Pillow's own limit is half of this. Beyond it lie
# files that only claim their size, to exhaust the memory.
MOST_PIXELS = 180_000_000
Image.MAX_IMAGE_PIXELS = MOST_PIXELS

Levels = tuple[int, int]  # what black and white are in a unit's 16-bit files
WHOLE_RANGE: Levels = (0, 65535)


def read_image(path: Path, levels: Levels | None = None) -> NDArray[np.uint8]:
    """An image as RGB, uint8 (H, W, 3), turned as its EXIF orientation says.

    levels: what becomes 0 and 255 in a 16-bit image, by default its type's whole range. Raises
    UserError naming a file that cannot be decoded, holds several pages, or 32 bits a pixel, of
    which nobody knows what is white.
    """
    return as_rgb(read_values(path), levels)


def as_rgb(
    values: NDArray[np.uint8] | NDArray[np.uint16], levels: Levels | None
) -> NDArray[np.uint8]:
    """What `read_values` gives as uint8 (H, W, 3).

    16 bits become 8, rounded down: `levels` become 0 and 255, what lies beyond black or white.
    """
    if values.dtype == np.uint16:
        low, high = levels or WHOLE_RANGE
        above = np.clip(values, low, high).astype(np.uint32) - low
        values = (above * 255 // (high - low)).astype(np.uint8)
    pixels: NDArray[np.uint8] = values.astype(np.uint8, copy=False)
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels


def read_values(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """An image as stored: uint8 (H, W, 3), or uint16 (H, W) or (H, W, 3). Errors: `read_image`."""
    image, file_format, deep_colour = open_image(path, upright=True)
    if image.mode.startswith("I;16"):
        return np.asarray(image, dtype=np.uint16)
    if image.mode == "I" and file_format == "PPM":
        return np.asarray(image).astype(np.uint16)  # Pillow stretches a PGM's range to 65,535
    if image.mode in {"I", "F"}:
        raise UserError(f"{path}: 32 bits a pixel: save it with 8 or 16 bits")
    if deep_colour:
        colours = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        if colours is not None and colours.dtype == np.uint16 and colours.ndim == 3:
            return colours[:, :, 2::-1].astype(np.uint16)  # OpenCV's order is blue, green, red
    # A copy of its own: what Pillow lends is read-only.
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def may_be_deep(path: Path) -> bool:
    """Whether a file's header speaks of 16 bits. What is damaged is left to who decodes it."""
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            return image.mode.startswith("I") or _is_deep_colour(image)
    except (*DAMAGED, Image.DecompressionBombError):
        return False


def _is_deep_colour(image: Image.Image) -> bool:
    tiles = getattr(image, "tile", ())  # how the file's parts are to be decoded
    return image.mode in {"RGB", "RGBA"} and any("16" in str(tile[3]) for tile in tiles)


class Opened(NamedTuple):
    """A decoded image, its file's format, and whether that has 16 bits a colour, of which Pillow
    leaves 8."""

    image: Image.Image
    file_format: str | None
    deep_colour: bool


def open_image(path: Path, upright: bool = False) -> Opened:
    """Decode an image file; `upright`: turn it as its EXIF orientation says.

    Raises UserError naming a file that is damaged, too large or holds several pages.
    """
    try:
        image = Image.open(path, formats=IMAGE_FORMATS)
        if image.width * image.height > MOST_PIXELS:
            raise Image.DecompressionBombError
        deep_colour = _is_deep_colour(image)
        image.load()
        if image.format == "TIFF" and getattr(image, "n_frames", 1) > 1:
            raise UserError(f"{path}: holds several images: save each in a file of its own")
        turned = ImageOps.exif_transpose(image) if upright else image
        return Opened(turned, image.format, deep_colour)
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
