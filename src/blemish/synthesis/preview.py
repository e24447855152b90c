"""preview.png: a contact sheet of synthetic defects, to judge them at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

TILE = 150
CAPTION = 18
HEADING = 26
GAP = 10
PER_ROW = 2
OUTLINE = (255, 64, 64)
LEAST_ZOOM = 0.25  # of the shorter side: the part of the picture that the close-up shows
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """One synthetic image: uint8 (H, W, 3) pictures, bool (H, W) mask, a short caption."""

    normal: Picture
    synthetic: Picture
    mask: NDArray[np.bool_]
    purpose: str
    caption: str


def write_preview(samples: Sequence[Sample], path: Path) -> None:
    """A heading for each purpose, below it its samples, two a row, in the order given.

    Each as four tiles: normal | synthetic with the mask's outline | the same two close up, where
    the largest part of the defect lies, without an outline.
    """
    width, height = 4 * (TILE + 1) + GAP, TILE + CAPTION + GAP
    sections = [(name, list(part)) for name, part in groupby(samples, lambda one: one.purpose)]
    rows = sum(-(-len(part) // PER_ROW) for _, part in sections)
    size = (PER_ROW * width + GAP, len(sections) * HEADING + rows * height + GAP)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    top = 0
    for name, part in sections:
        title = ImageFont.load_default(size=16)
        draw.text((GAP, top + 4), name, fill=(20, 20, 20), font=title)
        top += HEADING
        for number, sample in enumerate(part):
            _paste(sheet, sample, GAP + number % PER_ROW * width, top + number // PER_ROW * height)
        top += -(-len(part) // PER_ROW) * height
    sheet.save(path)


def _paste(sheet: Image.Image, sample: Sample, left: int, top: int) -> None:
    font = ImageFont.load_default(size=12)
    ImageDraw.Draw(sheet).text((left, top), sample.caption, fill=(60, 60, 60), font=font)
    close = close_up(sample.mask)
    outlined = _outlined(sample.synthetic, sample.mask)
    pictures = (sample.normal, outlined, sample.normal[close], sample.synthetic[close])
    for column, picture in enumerate(pictures):
        place = (left + column * (TILE + 1), top + CAPTION)
        sheet.paste(Image.fromarray(_tile(picture)), place)


def close_up(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """A square around the mask's largest part, with a margin, inside the picture."""
    count, _, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    x, y, wide, high = 0, 0, mask.shape[1], mask.shape[0]
    if count > 1:
        x, y, wide, high = boxes[1 + int(boxes[1:, cv2.CC_STAT_AREA].argmax()), :4].tolist()
    shorter = min(mask.shape)
    side = min(shorter, max(round(1.4 * max(wide, high)), round(LEAST_ZOOM * shorter)))
    top = min(max(y + high // 2 - side // 2, 0), mask.shape[0] - side)
    left = min(max(x + wide // 2 - side // 2, 0), mask.shape[1] - side)
    return slice(top, top + side), slice(left, left + side)


def _outlined(image: Picture, mask: NDArray[np.bool_]) -> Picture:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    # Drawn thick enough to survive the reduction to a tile.
    thickness = max(1, round(max(image.shape[:2]) / TILE))
    return np.asarray(cv2.drawContours(image.copy(), contours, -1, OUTLINE, thickness))


def _tile(picture: Picture) -> Picture:
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
