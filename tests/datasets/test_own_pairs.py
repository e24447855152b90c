"""Masks and images of an own folder: each image gets its own mask, or one line says why not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from blemish.core.errors import UserError
from blemish.datasets.layouts.mvtec_folders import mvtec_items
from blemish.datasets.own_folder import layout
from blemish.download.unpack import unpack
from blemish.images.manifest import Manifest
from tests.datasets.own_folders import annotation, only_good, picture, prepared


def marked(path: Path, row: int, column: int) -> Path:
    """A mask with one pixel."""
    annotation(path)
    pixels = np.zeros((8, 12), np.uint8)
    pixels[row, column] = 255
    Image.fromarray(pixels).save(path)
    return path


def masks(manifest: Manifest) -> dict[str, list[int]]:
    """Image (its name in the unit) → the marked pixel of its mask."""
    found = {}
    for row in manifest.rows[manifest.rows["label"] == 1].itertuples():
        pixels = np.asarray(Image.open(manifest.root / row.mask))
        (found[Path(row.image).name],) = np.argwhere(pixels).tolist()
    return found


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("000.png", "000.bmp"),
        ("000.png.png", "000.bmp.png"),
        ("000.png_mask.png", "000.bmp_mask.png"),
        ("000.png_GT.png", "000.bmp-label.tif"),
        ("000.png", "000.bmp.png"),
        ("000.PNG_Mask.png", "000.BMP"),
    ],
)
@pytest.mark.parametrize("place", ["ground_truth/scratch", "masks/scratch", "scratch/masks"])
def test_images_of_one_stem_get_the_mask_of_their_whole_name(
    first: str, second: str, place: str, tmp_path: Path
) -> None:
    only_good(tmp_path / "own")
    picture(tmp_path / "own/scratch/000.png")
    picture(tmp_path / "own/scratch/000.bmp")
    marked(tmp_path / "own" / place / first, 1, 2)
    marked(tmp_path / "own" / place / second, 3, 4)
    found = masks(prepared(tmp_path / "own", tmp_path))
    assert found == {"scratch__000_png.png": [1, 2], "scratch__000_bmp.bmp": [3, 4]}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["000_mask.png"], r"000_mask\.png: belongs to scratch/000\.(bmp|png) or to scratch/000"),
        (["000.tif"], r"000\.tif: belongs to scratch/000\.(bmp|png) or to scratch/000\.(bmp|png)"),
        (["000.png"], r"scratch/000\.bmp: no mask in .*ground_truth/scratch \(expected 000_mask"),
        (["000.png", "000.png_mask.png", "000.bmp"], r"000\.png and .*000\.png_mask\.png: both"),
    ],
)
def test_one_mask_never_serves_two_images(names: list[str], message: str, tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    for image in ("000.png", "000.bmp"):
        picture(tmp_path / "own/scratch" / image)
    for name in names:
        marked(tmp_path / "own/ground_truth/scratch" / name, 1, 2)
    with pytest.raises(UserError, match=message):
        prepared(tmp_path / "own", tmp_path)


@pytest.mark.parametrize("other", ["000_mask.png", "000_gt.tif", "000.bmp", "day 1/000.png"])
def test_two_masks_of_one_image_are_refused_by_name(other: str, tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    picture(tmp_path / "own/scratch/day 1/000.png")
    marked(tmp_path / "own/ground_truth/scratch/000.png", 1, 2)
    marked(tmp_path / "own/ground_truth/scratch" / other, 3, 4)
    with pytest.raises(UserError) as caught:
        prepared(tmp_path / "own", tmp_path)
    assert f"ground_truth/scratch/{other}" in str(caught.value)
    assert "ground_truth/scratch/000.png" in str(caught.value)


def bare(root: Path, name: str) -> None:
    picture(root / f"{name}.jpg")
    marked(root / f"{name}.png", 2, 5)


def swapped(root: Path, name: str) -> None:
    picture(root / f"{name}.png")
    marked(root / f"{name}.bmp", 2, 5)


def suffixed(suffix: str) -> Callable[[Path, str], None]:
    def make(root: Path, name: str) -> None:
        picture(root / f"{name}.jpg")
        marked(root / f"{name}{suffix}.png", 2, 5)

    return make


@pytest.mark.parametrize(
    "make",
    [bare, swapped, *map(suffixed, ["_mask", "_GT", "_gt", "_label", "_labels", ".jpg_mask"])],
)
@pytest.mark.parametrize("place", ["scratch", "test/scratch", "scratch/day 1"])
def test_masks_beside_their_images_are_no_images(
    make: Callable[[Path, str], None], place: str, tmp_path: Path
) -> None:
    only_good(tmp_path / "own")
    if place.startswith("test"):
        (tmp_path / "own/train").mkdir()
        (tmp_path / "own/good").rename(tmp_path / "own/train/good")
    for number in range(3):
        make(tmp_path / "own" / place, f"{number:03d}")
    manifest = prepared(tmp_path / "own", tmp_path)
    assert manifest.facts.masks == "pixel"
    assert list(masks(manifest).values()) == [[2, 5]] * 3
    assert len(manifest.rows) == 23


def test_masks_as_jpeg_and_palette_are_told_from_photographs(tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    random = np.random.default_rng(0)
    mask = np.zeros((64, 96), np.uint8)
    mask[20:40, 30:60] = 255
    for name, kind in (("a", "jpg"), ("b", "gif"), ("c", "png")):
        photo = random.integers(0, 256, (64, 96, 3)).astype(np.uint8)
        (tmp_path / "own/dent").mkdir(exist_ok=True)
        Image.fromarray(photo).save(tmp_path / f"own/dent/{name}.bmp")
        drawn = Image.fromarray(mask // 255 if kind == "png" else mask)
        drawn.save(tmp_path / f"own/dent/{name}.{kind}")
    manifest = prepared(tmp_path / "own", tmp_path)
    assert manifest.facts.masks == "pixel"
    bad = manifest.rows[manifest.rows["label"] == 1]
    assert {Path(image).suffix for image in bad["image"]} == {".bmp"}


def test_a_mask_with_wide_soft_edges_beside_its_image_is_one(tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    photo = np.random.default_rng(0).normal(120, 20, (64, 96, 3)).clip(0, 255).astype(np.uint8)
    mask = np.zeros((64, 96), np.uint8)
    mask[20:44, 30:60] = 255
    (tmp_path / "own/dent").mkdir()
    Image.fromarray(photo).save(tmp_path / "own/dent/0.jpg")
    Image.fromarray(mask).filter(ImageFilter.GaussianBlur(3)).save(tmp_path / "own/dent/0.png")
    manifest = prepared(tmp_path / "own", tmp_path)
    assert manifest.facts.masks == "pixel"
    assert len(manifest.rows) == 21


def test_two_photographs_of_one_stem_stay_two_images(tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    picture(tmp_path / "own/scratch/000.png")
    picture(tmp_path / "own/scratch/000.bmp", width=14)
    picture(tmp_path / "own/good/bottle.png")
    picture(tmp_path / "own/good/bottle_label.png")  # a photograph of the label
    manifest = prepared(tmp_path / "own", tmp_path)
    assert manifest.facts.masks == "none"
    assert len(manifest.rows) == 24


def test_two_drawn_images_of_one_stem_are_refused(tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    marked(tmp_path / "own/scratch/000.png", 1, 2)
    marked(tmp_path / "own/scratch/000.bmp", 1, 2)
    with pytest.raises(UserError, match=r"two images, or an image and its mask\? Put the mask int"):
        prepared(tmp_path / "own", tmp_path)


def test_masks_of_deep_images_may_lie_deep_or_not(tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    for name in ("day 1/cam 2/000", "day 2/cam 2/000", "day 2/001"):
        picture(tmp_path / f"own/scratch/{name}.png")
    marked(tmp_path / "own/ground_truth/scratch/day 1/cam 2/000_mask.png", 1, 1)
    marked(tmp_path / "own/ground_truth/scratch/day 2/000.png", 2, 2)
    marked(tmp_path / "own/ground_truth/scratch/001.png", 3, 3)
    found = masks(prepared(tmp_path / "own", tmp_path))
    assert sorted(found.values()) == [[1, 1], [2, 2], [3, 3]]
    assert found["scratch__day 1__cam 2__000.png"] == [1, 1]


def test_names_are_compared_as_people_read_them(tmp_path: Path) -> None:
    """Of another case, or with accents in the other encoding, as macOS writes them."""
    only_good(tmp_path / "own")
    picture(tmp_path / "own/Kratzer/B\u00e4r.PNG")
    marked(tmp_path / "own/Ground_Truth/kratzer/ba\u0308r_MASK.png", 1, 1)
    assert list(masks(prepared(tmp_path / "own", tmp_path)).values()) == [[1, 1]]


def test_flat_images_are_told_from_masks_that_are_black_but_for_one_value(tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    (tmp_path / "own/dent").mkdir()
    Image.new("RGB", (12, 8), (120, 120, 110)).save(tmp_path / "own/dent/000.png")
    marked(tmp_path / "own/dent/000.bmp", 1, 2)
    manifest = prepared(tmp_path / "own", tmp_path)
    assert masks(manifest) == {"000.png": [1, 2]}


def test_what_is_called_a_mask_is_one_whatever_it_shows(tmp_path: Path) -> None:
    """A map of many values, in a folder for masks or beside its image, is no photograph."""
    only_good(tmp_path / "own")
    for number in range(2):
        picture(tmp_path / f"own/dent/{number}.png")
    picture(tmp_path / "own/dent/0_mask.png")
    picture(tmp_path / "own/masks/dent/1.png")
    manifest = prepared(tmp_path / "own", tmp_path)
    assert manifest.facts.masks == "pixel"
    assert len(manifest.rows) == 22


def test_the_real_magnetic_tiles_have_their_masks_beside_them(mirror: Path, tmp_path: Path) -> None:
    """1,344 photographs as JPEG, each with a mask of the same stem with soft edges."""
    unpack(mirror / "magnetic-tile.zip", tmp_path / "archive")
    (tmp_path / "own").mkdir()
    for folder in (tmp_path / "archive").glob("*/MT_*"):
        name = "good" if folder.name == "MT_Free" else folder.name
        (tmp_path / "own" / name).symlink_to(folder)
    found = layout(tmp_path / "own", "all")
    assert found.masks == "pixel"
    assert len(found.items) == 1344
    assert {item.image.suffix for item in found.items} == {".jpg"}
    assert sum(item.mask is not None for item in found.items) == 392
    assert not any("left out" in note for note in found.notes)


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        (["0.png", "0.bmp"], ["0_mask.png"], "one mask would belong to both"),
        (["0.png"], ["0_mask.png", "0.png"], "two masks of one image"),
    ],
)
def test_published_sets_of_that_layout_refuse_both_too(
    images: list[str], masks: list[str], message: str, tmp_path: Path
) -> None:
    picture(tmp_path / "train/good/0.png")
    for name in images:
        picture(tmp_path / "test/dent" / name)
    for name in masks:
        annotation(tmp_path / "ground_truth/dent" / name)
    with pytest.raises(UserError, match=message):
        mvtec_items(tmp_path)
