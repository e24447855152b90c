"""preview.png: a contact sheet of synthetic defects, to judge them at a glance."""

import math
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
GREY = 235
CLOSEST, FARTHEST = 0.12, 0.5  # parts of the shorter side that a close-up shows
MOST_STRETCH = 4.0  # of a close-up's contrast
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

    Each as four tiles: normal | synthetic with an outline around the mask | the two close up, where
    the largest part of the defect lies, without an outline and both with the same stretched
    contrast (up to fourfold), so that a faint defect shows. An elongated picture is broken into
    lines, as a text is, so that there is something to see of it.
    """
    width, height = 4 * (TILE + 1) + GAP, TILE + CAPTION + GAP
    sections = [
        (name, list(part)) for name, part in groupby(samples, lambda sample: sample.purpose)
    ]
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
    stretched = _stretched(sample.normal[close], sample.synthetic[close])
    pictures = (in_lines(sample.normal), in_lines(outlined), *stretched)
    for column, picture in enumerate(pictures):
        place = (left + column * (TILE + 1), top + CAPTION)
        sheet.paste(Image.fromarray(_tile(picture)), place)


def close_up(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """A square on the mask's largest part, inside the picture; a long part is shown in part."""
    _, parts, boxes, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    largest = 1 + int(boxes[1:, cv2.CC_STAT_AREA].argmax()) if len(boxes) > 1 else 0
    ys, xs = np.nonzero(parts == largest)
    nearest = np.hypot(xs - centres[largest, 0], ys - centres[largest, 1]).argmin()
    longer = max(boxes[largest, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]])
    shorter = min(mask.shape)
    side = max(1, round(min(max(1.4 * longer, CLOSEST * shorter), FARTHEST * shorter)))
    top = min(max(ys[nearest] - side // 2, 0), mask.shape[0] - side)
    left = min(max(xs[nearest] - side // 2, 0), mask.shape[1] - side)
    return slice(top, top + side), slice(left, left + side)


def lines_of(picture: Picture) -> int:
    """Into how many lines a picture is broken so that it is about a square; 1 to an aspect of 4."""
    return math.isqrt(max(picture.shape[:2]) // min(picture.shape[:2]))


def in_lines(picture: Picture) -> Picture:
    """A wide picture as equal pieces one below the other, a tall one as pieces side by side."""
    height, width = picture.shape[:2]
    lines = lines_of(picture)
    if lines == 1:
        return picture
    if height > width:
        return np.ascontiguousarray(in_lines(picture.swapaxes(0, 1)).swapaxes(0, 1))
    length = -(-width // lines)
    step = height + max(1, round(4 * length / TILE))  # a gap of four pixels of the tile
    page = np.full((lines * step - step + height, length, 3), GREY, dtype=np.uint8)
    for number in range(lines):
        piece = picture[:, number * length : (number + 1) * length]
        page[number * step : number * step + height, : piece.shape[1]] = piece
    return page


def _outlined(image: Picture, mask: NDArray[np.bool_]) -> Picture:
    # Drawn thick enough to survive the reduction to a tile, and beside the defect, not over it.
    thickness = max(1, round(max(image.shape[:2]) / lines_of(image) / TILE))
    grown = cv2.dilate(mask.astype(np.uint8), np.ones((4 * thickness + 1,) * 2, np.uint8))
    contours, _ = cv2.findContours(grown, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(image.copy(), contours, -1, OUTLINE, thickness))


def _stretched(normal: Picture, synthetic: Picture) -> list[Picture]:
    """Both with one stretch that leaves the darkest and brightest 0.5 % of their pixels."""
    low, high = np.percentile(np.stack((normal, synthetic)), (0.5, 99.5))
    gain = min(255 / max(high - low, 1), MOST_STRETCH)
    middle = (low + high) / 2
    levels = np.clip((np.arange(256) - middle) * gain + 127.5, 0, 255).astype(np.uint8)
    return [levels[picture] for picture in (normal, synthetic)]


def _tile(picture: Picture) -> Picture:
    """Fit into TILE×TILE, aspect kept, on light grey."""
    scale = TILE / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = cv2.resize(
        picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    tile = np.full((TILE, TILE, 3), GREY, dtype=np.uint8)
    top, left = (TILE - size[1]) // 2, (TILE - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    return tile
