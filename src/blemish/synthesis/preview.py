"""preview.png: a contact sheet of synthetic defects, to judge them at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

TILE = 176
CAPTION = 18
OUTLINE = (255, 64, 64)


@dataclass(frozen=True)
class Sample:
    """One synthetic image: uint8 (H, W, 3) pictures, bool (H, W) mask, a short caption."""

    normal: NDArray[np.uint8]
    synthetic: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    caption: str


def write_preview(samples: Sequence[Sample], path: Path, per_row: int = 2) -> None:
    """Rows of (normal | synthetic | synthetic with the mask's outline), `per_row` samples each."""
    rows = -(-len(samples) // per_row)
    width, height = 3 * TILE + 8, TILE + CAPTION + 6
    sheet = Image.new("RGB", (per_row * width, rows * height), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=12)
    for number, sample in enumerate(samples):
        left, top = number % per_row * width, number // per_row * height
        draw.text((left + 2, top + 1), sample.caption, fill=(30, 30, 30), font=font)
        pictures = (sample.normal, sample.synthetic, _outlined(sample.synthetic, sample.mask))
        for column, picture in enumerate(pictures):
            tile = Image.fromarray(_tile(picture))
            sheet.paste(tile, (left + column * (TILE + 1), top + CAPTION))
    sheet.save(path)


def _outlined(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    # Drawn thick enough to survive the reduction to a tile.
    thickness = max(1, round(max(image.shape[:2]) / TILE))
    return np.asarray(cv2.drawContours(image.copy(), contours, -1, OUTLINE, thickness))


def _tile(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fit into TILE×TILE, aspect kept, on light grey."""
    scale = TILE / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = cv2.resize(
        picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    tile = np.full((TILE, TILE, 3), 235, dtype=np.uint8)
    top, left = (TILE - size[1]) // 2, (TILE - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    return tile
