"""What a program calls an image, as the pixels that a detector judges."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from blemish.core.errors import UserError
from blemish.images.reading import DAMAGED, MOST_PIXELS, Levels, as_rgb, read_image

Picture = str | Path | Image.Image | NDArray[np.uint8] | NDArray[np.uint16]
ONE = (str, Path, Image.Image, np.ndarray)  # types of a single image
CHANNELS = (1, 3, 4)  # grey, RGB, RGB with an opacity that is left out


def pixels_of(picture: Any, levels: Levels | None, name: str) -> NDArray[np.uint8]:
    """A path, a PIL image or an array (H, W[, C]) of 8 or 16 bits as RGB, uint8 (H, W, 3).

    Of four channels the last one is left out. levels: what becomes 0 and 255 in 16-bit images.
    name: what errors call an image that is no file. Raises UserError for what is no such image.
    """
    if isinstance(picture, str | Path):
        return read_image(Path(picture), levels)
    if isinstance(picture, Image.Image):
        return as_rgb(_values(picture, name), levels)
    if isinstance(picture, np.ndarray):
        return as_rgb(_checked(picture, name), levels)
    raise UserError(
        f"{name} is {type(picture).__name__}: give a path, a PIL image or an array (H, W[, C])"
    )


def name_of(picture: Any, number: int | None = None) -> str:
    """What messages call an image: its path, or its number in a list."""
    if isinstance(picture, str | Path):
        return str(picture)
    return "the image" if number is None else f"image {number} of the list"


def _values(picture: Image.Image, name: str) -> NDArray[Any]:
    """The pixels of a PIL image, turned as its EXIF orientation says, like those of a file."""
    try:
        picture = ImageOps.exif_transpose(picture)
        if picture.mode in {"I", "F"}:
            raise UserError(f"{name} has 32 bits a pixel: give it with 8 or 16 bits")
        if picture.mode.startswith("I;16"):
            return _checked(np.asarray(picture, np.uint16), name)
        return _checked(np.array(picture.convert("RGB")), name)
    except DAMAGED as error:  # Pillow decodes when the pixels are asked for
        raise UserError(f"{name}: not a whole image ({error}): give another") from None


def _checked(values: NDArray[Any], name: str) -> NDArray[Any]:
    """(H, W) or (H, W, 3); UserError for other shapes and types."""
    if values.dtype not in (np.uint8, np.uint16):
        raise UserError(f"{name} is an array of {values.dtype}: give uint8 or uint16")
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in CHANNELS):
        raise UserError(f"{name} is an array {values.shape}: give (H, W), (H, W, 1) or (H, W, 3)")
    if not 0 < values.shape[0] * values.shape[1] <= MOST_PIXELS:
        raise UserError(
            f"{name} is {values.shape[1]}×{values.shape[0]}: give 1 to {MOST_PIXELS // 10**6} "
            "million pixels"
        )
    if values.ndim == 3:
        values = values[:, :, 0] if values.shape[2] == 1 else values[:, :, :3]
    return np.ascontiguousarray(values)
