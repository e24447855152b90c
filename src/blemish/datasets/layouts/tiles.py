"""Normal images where a publisher gives none: the tiles of an image that touch no annotated box.

The rule is fixed and declared: which images are for the test is decided by their names, the
others give only their normal tiles, and all tiles of an image share a group.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from blemish.datasets.dataset import Item
from blemish.datasets.layouts.boxes import Box, image_size

Tile = tuple[int, int, int, int]
# Pixels around a box that are taken as neither normal nor defective: annotators do not draw to
# the pixel.
MARGIN = 8


@dataclass(frozen=True)
class Annotated:
    """An image, its boxes, its leakage group, and whether it is for the test."""

    image: Path
    boxes: Sequence[Box]
    group: str
    is_test: bool


def tile_items(images: Iterable[Annotated], side: int) -> tuple[list[Item], int]:
    """The tiles of test images, and the normal tiles of training images.

    Returns the items and the number of defective tiles of training images, which are not used.
    """
    items: list[Item] = []
    unused = 0
    for annotated in images:
        for tile in grid(image_size(annotated.image), side):
            item = _item(annotated, tile)
            if item is None:
                continue
            if item.label and not annotated.is_test:
                unused += 1
            else:
                items.append(item)
    return items, unused


def _item(annotated: Annotated, tile: Tile) -> Item | None:
    """A tile as an item; None where only the margin of a box reaches into it.

    Where boxes of several types touch a tile, the one that covers most of it names the defect.
    """
    split = "test" if annotated.is_test else "train"
    if not any(box.overlap(tile, MARGIN) for box in annotated.boxes):
        return Item(annotated.image, "good", split, group=annotated.group, tile=tile)
    touching = [box for box in annotated.boxes if box.overlap(tile)]
    if not touching:
        return None
    outlines = tuple(((box.left, box.top), (box.right, box.bottom)) for box in touching)
    kind = max(touching, key=lambda box: box.overlap(tile)).kind
    return Item(annotated.image, kind, split, group=annotated.group, tile=tile, outlines=outlines)


def grid(size: tuple[int, int], side: int) -> list[Tile]:
    """Tiles that cover an image (width, height) without gaps: `side` pixels apart, the last ones
    shifted inside; an image smaller than a tile is one."""
    width, height = min(side, size[0]), min(side, size[1])
    return [
        (left, top, width, height)
        for top in _starts(size[1], side)
        for left in _starts(size[0], side)
    ]


def _starts(length: int, side: int) -> list[int]:
    last = max(length - side, 0)
    return [*range(0, last, side), last]
