"""The map of an image's zones: what wins where they overlap, and what a file may hold."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blemish.core.errors import UserError
from blemish.images.zones import (
    IGNORE,
    IGNORED,
    ZoneMap,
    read_zone_map,
    write_zone_map,
    zone_map,
)

NAMES = ("rim", "hub")


def rows(*numbers: int) -> np.ndarray:
    mask = np.zeros((4, 6), bool)
    mask[list(numbers)] = True
    return mask


def test_ignore_wins_and_then_the_first_of_the_names() -> None:
    masks = {"hub": rows(0, 1, 2), "rim": rows(1, 2, 3), IGNORE: rows(2)}
    zones = zone_map(NAMES, masks, (4, 6))
    assert zones.index[:, 0].tolist() == [2, 1, IGNORED, 1]
    assert (zones.judged() == ~rows(2)).all()
    assert (zones.of("rim") == rows(1, 3)).all()
    assert (zones.of("hub") == rows(0)).all()
    assert (zones.of(IGNORE) == rows(2)).all()


def test_a_map_is_read_as_it_was_written(tmp_path: Path) -> None:
    zones = zone_map(NAMES, {"hub": rows(0), IGNORE: rows(3)}, (4, 6))
    path = tmp_path / "zones" / "all-6x4.png"
    write_zone_map(zones, path)
    read = read_zone_map(path, NAMES, (4, 6))
    assert read.names == NAMES
    assert read.index.dtype == np.uint8
    assert (read.index == zones.index).all()
    before = path.read_bytes()
    write_zone_map(ZoneMap(NAMES, read.index), path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((4, 6), 3, np.uint8), r"holds zone number 3, but 2 zones are named \(rim, hub\)"),
        (np.zeros((6, 4), np.uint8), r"the map of zones is 4×6 but its image is 6×4: prepare"),
        (np.zeros((4, 6, 3), np.uint8), r"not a map of zones: .+ \(RGB\)"),
        (np.zeros((4, 6), np.uint16), r"not a map of zones: .+ \(I;16\)"),
    ],
)
def test_a_file_that_is_no_map_of_these_zones_is_named(
    pixels: np.ndarray, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "map.png"
    Image.fromarray(pixels).save(path)
    with pytest.raises(UserError, match=rf"map\.png: {message}"):
        read_zone_map(path, NAMES, (4, 6))


@pytest.mark.parametrize("content", [None, b"", b"\x89PNG\r\n\x1a\nrubbish"])
def test_a_missing_or_damaged_map_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "map.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"map\.png: (the image is missing|not a whole image)"):
        read_zone_map(path, NAMES, (4, 6))
