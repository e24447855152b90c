"""Normal images where a publisher gives none: the tiles of an image that show no defect.

The rule is fixed and declared: which images are for the test is decided by their names, the
others give only their normal tiles, and all tiles of an image share a group. Tiles do not overlap,
and a defect that lies across several is counted in one of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from blemish.datasets.dataset import Item, Outline
from blemish.datasets.layouts.boxes import image_size

Tile = tuple[int, int, int, int]
# Pixels around a box that are taken as neither normal nor defective: annotators do not draw to
# the pixel.
MARGIN = 8


class Defect(Protocol):
    """What is known of a defect: a box (see `boxes`) or its very pixels (see `regions`)."""

    @property
    def kind(self) -> str:
        """Its type."""

    @property
    def outlines(self) -> tuple[Outline, ...]:
        """What is drawn as its mask."""

    def overlap(self, tile: Tile, margin: float = 0) -> float:
        """Its area (pixels) in a tile; what is known to the pixel has no margin."""


@dataclass(frozen=True)
class Annotated:
    """An image, its defects, its leakage group, and whether it is for the test.

    `normals`: whether its normal tiles are used; not where another image shows the same.
    """

    image: Path
    defects: Sequence[Defect]
    group: str | None
    is_test: bool
    normals: bool = True


def tile_items(images: Iterable[Annotated], side: int) -> tuple[list[Item], int]:
    """The tiles of test images, and the normal tiles of training images.

    Returns the items and the number of defective tiles of training images, which are not used.
    """
    items: list[Item] = []
    unused = 0
    for annotated in images:
        tiles = grid(image_size(annotated.image), side)
        homes = [home(defect, tiles) for defect in annotated.defects]
        for tile in tiles:
            item = _item(annotated, tile, [home == tile for home in homes])
            if item is None:
                continue
            if item.label and not annotated.is_test:
                unused += 1
            elif item.label or annotated.normals:
                items.append(item)
    return items, unused


def home(defect: Defect, tiles: Sequence[Tile]) -> Tile:
    """The tile that shows most of a defect: the one it is counted in."""
    return max(tiles, key=defect.overlap)


def _item(annotated: Annotated, tile: Tile, is_home: Sequence[bool]) -> Item | None:
    """A tile as an item; None where it shows only a part, or the margin, of defects that are
    counted in others.

    Of several types in a tile, the one that covers most of it names the defect.
    """
    split = "test" if annotated.is_test else "train"
    near = [defect for defect in annotated.defects if defect.overlap(tile, MARGIN)]
    if not near:
        return Item(annotated.image, "good", split, group=annotated.group, tile=tile)
    own = [defect for defect, at_home in zip(annotated.defects, is_home, strict=True) if at_home]
    if not own:
        return None
    outlines = tuple(line for defect in near if defect.overlap(tile) for line in defect.outlines)
    kind = max(own, key=lambda defect: defect.overlap(tile)).kind
    return Item(annotated.image, kind, split, group=annotated.group, tile=tile, outlines=outlines)


def grid(size: tuple[int, int], side: int) -> list[Tile]:
    """Tiles that cover an image (width, height) without gaps or overlap: as many as make their
    sides come nearest to `side` pixels, equal to within a pixel."""
    return [
        (left, top, right - left, bottom - top)
        for top, bottom in _parts(size[1], side)
        for left, right in _parts(size[0], side)
    ]


def _parts(length: int, side: int) -> list[tuple[int, int]]:
    count = max(1, round(length / side))
    ends = [length * number // count for number in range(count + 1)]
    return list(pairwise(ends))
