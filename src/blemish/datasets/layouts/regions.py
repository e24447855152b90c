"""Defects to the pixel, where a clean picture of the very scene shows what a box only surrounds.

Some sets were made by changing photographs by hand: beside the defects the two are the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blemish.datasets.dataset import Outline
from blemish.datasets.layouts.boxes import Box

Run = tuple[int, int, int]  # left, right (excluded), row
# Grey levels, of any channel, by which a pixel must differ: JPEG changes what lies around a defect
# by less, as a rule.
DIFFERENT = 16
# Pixels of a difference that are too few to be drawn by anybody.
SPECK = 4
# The share of pixels beside the boxes that may differ in two pictures of one scene, and the step
# at which they are looked at.
OTHERS, STEP = 0.01, 4


@dataclass(frozen=True)
class Region:
    """A defect's type and its pixels, as rows of neighbours."""

    kind: str
    runs: tuple[Run, ...]

    def overlap(self, tile: tuple[int, int, int, int], margin: float = 0) -> float:  # noqa: ARG002
        """Its pixels in a tile. There is no margin: its pixels are known."""
        left, top, width, height = tile
        return sum(
            max(0, min(right, left + width) - max(start, left))
            for start, right, row in self.runs
            if top <= row < top + height
        )

    @property
    def outlines(self) -> tuple[Outline, ...]:
        """A box of one row for each run: drawn, they are the very pixels."""
        return tuple(((start, row), (right, row + 1)) for start, right, row in self.runs)


def regions(
    image: NDArray[np.uint8], clean: NDArray[np.uint8], boxes: Sequence[Box]
) -> list[Region | Box] | None:
    """The defects of an image (H, W, 3) to the pixel, by what differs from the clean one inside
    each box; the box itself where nothing does. None where the two do not show one scene."""
    if image.shape != clean.shape or not _is_same_scene(image, clean, boxes):
        return None
    return [_region(image, clean, box) or box for box in boxes]


def _is_same_scene(
    image: NDArray[np.uint8], clean: NDArray[np.uint8], boxes: Sequence[Box]
) -> bool:
    difference = cv2.absdiff(image[::STEP, ::STEP], clean[::STEP, ::STEP]).max(axis=2)
    beside = np.ones(difference.shape, bool)
    for box in boxes:
        ends = [int(end) // STEP for end in (box.left, box.top, box.right, box.bottom)]
        left, top, right, bottom = (max(0, end) for end in ends)
        beside[top : bottom + 1, left : right + 1] = False
    others = difference[beside] >= DIFFERENT
    return others.size == 0 or float(others.mean()) <= OTHERS


def _region(image: NDArray[np.uint8], clean: NDArray[np.uint8], box: Box) -> Region | None:
    left, top = max(0, int(box.left)), max(0, int(box.top))
    place = slice(top, int(np.ceil(box.bottom))), slice(left, int(np.ceil(box.right)))
    difference = cv2.absdiff(image[place], clean[place]).max(axis=2) >= DIFFERENT
    runs = mask_runs(_without_specks(difference))
    if not runs:
        return None
    moved = tuple((start + left, end + left, row + top) for start, end, row in runs)
    return Region(box.kind, moved)


def _without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    kept = [part for part in range(1, count) if stats[part, cv2.CC_STAT_AREA] > SPECK]
    return np.isin(labels, kept)


def mask_runs(mask: NDArray[np.bool_]) -> list[Run]:
    """The rows of neighbours of a mask (H, W)."""
    padded = np.pad(mask, ((0, 0), (1, 1))).astype(np.int8)
    rows, ends = np.nonzero(np.diff(padded, axis=1))  # a start and an end by turns
    pairs = zip(ends[::2].tolist(), ends[1::2].tolist(), rows[::2].tolist(), strict=True)
    return list(pairs)
