"""Published annotations of every kind: boxes, polygons, channels, tiles, validation splits."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blemish.core.errors import UserError
from blemish.core.params import DataParams
from blemish.datasets.dataset import DataSet, Item, Layout
from blemish.images.manifest import Manifest, read_manifest
from blemish.images.masks import read_mask
from blemish.prepare.unit import prepare

HEIGHT, WIDTH = 40, 60


def photo(path: Path, seed: int, width: int = WIDTH, height: int = HEIGHT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def channel(path: Path, rows: slice, value: int, height: int = HEIGHT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((height, WIDTH), np.uint8)
    pixels[rows] = value
    Image.fromarray(pixels).save(path)
    return path


def normals(raw: Path, count: int = 8) -> list[Item]:
    return [
        Item(photo(raw / "good" / f"{seed:03d}.png", seed), "good", "train")
        for seed in range(count)
    ]


def prepared(folder: Path, items: list[Item], masks: str = "boxes", **facts: Any) -> Manifest:
    target = folder / "prepared"
    target.mkdir()
    files = facts.pop("files", ())
    found = DataSet(
        name="set", title="", categories=("unit",), licence="", citation="", home="",
        fetch=lambda *_: None, layout=lambda *_: Layout(items, masks=masks, files=files), **facts,
    )  # fmt: skip
    prepare(found, "unit", folder / "raw", DataParams(), target)
    return read_manifest(target)


def mask_of(manifest: Manifest, name: str) -> np.ndarray:
    row = manifest.rows.set_index("image").loc[name]
    return read_mask(manifest.root / row["mask"])


def test_boxes_and_polygons_become_masks(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    boxed = Item(photo(raw / "b.png", 90), "spur", "test", outlines=(((5, 3), (15, 9)),))
    beyond = Item(photo(raw / "c.png", 91), "spur", "test", outlines=(((50, 30), (99, 99)),))
    shape = ((10.0, 10.0), (20.0, 10.0), (10.0, 20.0))
    drawn = Item(photo(raw / "p.png", 92), "spur", "test", outlines=(shape, ((0, 0), (1, 1))))
    manifest = prepared(tmp_path, [*normals(raw), boxed, beyond, drawn])
    ys, xs = np.mgrid[:HEIGHT, :WIDTH]
    box = (xs >= 5) & (xs < 15) & (ys >= 3) & (ys < 9)
    np.testing.assert_array_equal(mask_of(manifest, "test/spur/b.png"), box)
    corner = (xs >= 50) & (ys >= 30)
    np.testing.assert_array_equal(mask_of(manifest, "test/spur/c.png"), corner)
    triangle = (xs >= 10) & (ys >= 10) & (xs + ys <= 30)
    triangle[0, 0] = True
    np.testing.assert_array_equal(mask_of(manifest, "test/spur/p.png"), triangle)
    assert manifest.facts.masks == "boxes"


def test_channels_are_united_and_kept(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    channel(raw / "gt" / "000" / "000.png", slice(0, 4), 1)
    channel(raw / "gt" / "000" / "001.png", slice(10, 12), 7)
    config = raw / "defects_config.json"
    config.write_text("[]")
    item = Item(
        photo(raw / "x" / "000.png", 90), "logical", "test", channels=raw / "gt" / "000",
        slice="logical",
    )  # fmt: skip
    manifest = prepared(tmp_path, [*normals(raw), item], "pixel", files=(config,))
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[[0, 1, 2, 3, 10, 11]] = True
    np.testing.assert_array_equal(mask_of(manifest, "test/logical/000.png"), expected)
    row = manifest.rows.set_index("image").loc["test/logical/000.png"]
    assert row["channels"] == "channels/logical/000"
    kept = sorted(path.name for path in (manifest.root / row["channels"]).iterdir())
    assert kept == ["000.png", "001.png"]
    assert (manifest.root / "defects_config.json").read_text() == "[]"
    assert row["slice"] == "logical"


def test_a_channel_of_another_size_and_a_missing_one_are_named(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    channel(raw / "gt" / "000" / "000.png", slice(0, 4), 1, height=39)
    (raw / "gt" / "001").mkdir()
    for number, message in (
        (0, r"gt/000/000\.png: the mask is 60×39 but its image p0\.png is 60×40"),
        (1, r"gt/001: no channel of p1\.png"),
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = photo(raw / f"p{number}.png", 90 + number)
        item = Item(path, "logical", "test", channels=raw / "gt" / f"{number:03d}")
        with pytest.raises(UserError, match=message):
            prepared(folder, [*normals(raw), item], "pixel")


def test_tiles_are_cut_with_their_annotation(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    board = photo(raw / "board.jpg", 90)
    board = board.rename(board.with_suffix(".png"))
    outline = ((25, 5), (45, 9))
    tiles = [(left, 0, 30, HEIGHT) for left in (0, 30)]
    items = [
        Item(board, "short", "test", outlines=(outline,), group="board", tile=tile)
        for tile in tiles
    ]
    manifest = prepared(tmp_path, [*normals(raw), *items])
    names = ["test/short/board_x0000_y0000.png", "test/short/board_x0030_y0000.png"]
    assert manifest.of("test")["image"].tolist() == names
    whole = np.asarray(Image.open(board))
    for name, (left, _, width, _), area in zip(names, tiles, (5 * 4, 15 * 4), strict=True):
        cut = np.asarray(Image.open(manifest.root / name))
        np.testing.assert_array_equal(cut, whole[:, left : left + width])
        assert mask_of(manifest, name).sum() == area
    assert set(manifest.of("test")["width"]) == {30}
    far = dataclasses.replace(items[0], tile=(50, 0, 30, HEIGHT))
    (tmp_path / "far").mkdir()
    with pytest.raises(UserError, match=r"board\.png: too small for the tile 30×40 at 50, 0"):
        prepared(tmp_path / "far", [*normals(raw), far])


def test_a_published_validation_split_is_kept(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    checked = [Item(photo(raw / "val" / f"{s:03d}.png", s), "good", "val") for s in (50, 51, 52)]
    manifest = prepared(tmp_path, [*normals(raw), *checked], "none")
    assert manifest.rows["split"].value_counts().to_dict() == {"train": 8, "val": 3}


def test_counts_that_are_not_the_published_ones_are_noted(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    expected = {"unit": {"train": 8, "test_good": 2, "test_defective": 0}, "other": {"train": 5}}
    manifest = prepared(tmp_path, normals(raw), "none", expected=expected)
    assert manifest.facts.notes == ("Published: 2 test good images; found: 0.",)
    assert manifest.rows["split"].value_counts().to_dict() == {"train": 6, "val": 2}
