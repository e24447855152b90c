"""Normal tiles: they cover an image, and none touches a box or its margin."""

from pathlib import Path

import numpy as np
import pytest

from blemish.datasets.layouts.boxes import Box
from blemish.datasets.layouts.tiles import MARGIN, Annotated, grid, tile_items
from tests.miniatures.paint import picture


@pytest.mark.parametrize(
    ("size", "side", "starts"),
    [
        ((1100, 700), 512, ([0, 512, 588], [0, 188])),
        ((1024, 512), 512, ([0, 512], [0])),
        ((300, 512), 512, ([0], [0])),
        ((513, 400), 512, ([0, 1], [0])),
    ],
)
def test_tiles_cover_an_image(
    size: tuple[int, int], side: int, starts: tuple[list[int], list[int]]
) -> None:
    tiles = grid(size, side)
    assert [tile[:2] for tile in tiles] == [(x, y) for y in starts[1] for x in starts[0]]
    covered = np.zeros((size[1], size[0]), dtype=bool)
    for left, top, width, height in tiles:
        covered[top : top + height, left : left + width] = True
        assert left + width <= size[0]
        assert top + height <= size[1]
    assert covered.all()


def test_a_tile_that_only_a_margin_reaches_is_neither(tmp_path: Path) -> None:
    image = picture(tmp_path / "a.png", (200, 100))

    def labels(left: float, right: float) -> list[str]:
        box = Box("dent", left, 10, right, 20)
        items, _ = tile_items([Annotated(image, (box,), "a", True)], 100)
        return [item.defect for item in items]

    assert labels(50, 100 - MARGIN) == ["dent", "good"]
    assert labels(50, 100 - MARGIN + 1) == ["dent"]
    assert labels(50, 100) == ["dent"]
    assert labels(50, 101) == ["dent", "dent"]


def test_the_type_that_covers_most_names_the_tile(tmp_path: Path) -> None:
    image = picture(tmp_path / "a.png", (100, 100))
    boxes = (Box("spot", 1, 1, 5, 5), Box("mura", 20, 20, 80, 80))
    (item,), unused = tile_items([Annotated(image, boxes, "a", True)], 100)
    assert (item.defect, len(item.outlines), unused) == ("mura", 2, 0)
    assert tile_items([Annotated(image, boxes, "a", False)], 100) == ([], 1)
