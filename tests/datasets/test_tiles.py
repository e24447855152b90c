"""Normal tiles: they cover an image, and none touches a box or its margin."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from blemish.datasets.layouts.boxes import Box
from blemish.datasets.layouts.tiles import MARGIN, Annotated, grid, tile_items
from tests.miniatures.paint import picture


@pytest.mark.parametrize(
    ("size", "side", "starts"),
    [
        ((1100, 700), 512, ([0, 550], [0])),
        ((1024, 512), 512, ([0, 512], [0])),
        ((300, 512), 512, ([0], [0])),
        ((513, 400), 512, ([0], [0])),
        ((3034, 1586), 512, ([0, 505, 1011, 1517, 2022, 2528], [0, 528, 1057])),  # board 01
    ],
)
def test_tiles_cover_an_image_once(
    size: tuple[int, int], side: int, starts: tuple[list[int], list[int]]
) -> None:
    tiles = grid(size, side)
    assert [tile[:2] for tile in tiles] == [(x, y) for y in starts[1] for x in starts[0]]
    covered = np.zeros((size[1], size[0]), dtype=int)
    for left, top, width, height in tiles:
        covered[top : top + height, left : left + width] += 1
        assert left + width <= size[0]
        assert top + height <= size[1]
    assert (covered == 1).all()


def test_a_tile_that_only_a_margin_reaches_is_neither(tmp_path: Path) -> None:
    image = picture(tmp_path / "a.png", (200, 100))

    def labels(left: float, right: float) -> list[str]:
        box = Box("dent", left, 10, right, 20)
        items, _ = tile_items([Annotated(image, (box,), "a", True)], 100)
        return [item.defect for item in items]

    assert labels(50, 100 - MARGIN) == ["dent", "good"]
    assert labels(50, 100 - MARGIN + 1) == ["dent"]
    assert labels(50, 100) == ["dent"]
    assert labels(50, 101) == ["dent"]  # counted where most of it lies
    assert labels(50, 160) == ["dent"]


def test_a_defect_is_counted_in_one_tile(tmp_path: Path) -> None:
    """The second row of a board was shifted up and showed again what the first shows."""
    image = picture(tmp_path / "a.png", (200, 150))
    boxes = [Box("dent", 20, y, 30, y + 10) for y in range(5, 140, 15)]
    items, _ = tile_items([Annotated(image, boxes, "a", True)], 100)
    drawn = Counter(line for item in items for line in item.outlines)
    assert set(drawn) == {line for box in boxes for line in box.outlines}
    assert set(drawn.values()) == {1}


def test_the_type_that_covers_most_names_the_tile(tmp_path: Path) -> None:
    image = picture(tmp_path / "a.png", (100, 100))
    boxes = (Box("spot", 1, 1, 5, 5), Box("mura", 20, 20, 80, 80))
    (item,), unused = tile_items([Annotated(image, boxes, "a", True)], 100)
    assert (item.defect, len(item.outlines), unused) == ("mura", 2, 0)
    assert tile_items([Annotated(image, boxes, "a", False)], 100) == ([], 1)
