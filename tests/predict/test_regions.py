"""From a map to polygons: they cover what is above the threshold, and LabelMe reads them."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from blemish.predict.labelme import annotation
from blemish.predict.regions import Region, find_regions, rasterised

TOUCHING = np.ones((3, 3))  # a corner is enough


def rough_map(seed: int, smooth: float, size: tuple[int, int] = (90, 130)) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=size), smooth)
    return (noise / noise.std()).astype(np.float32)


def blobs(above: np.ndarray, least: int) -> list[np.ndarray]:
    labels, count = ndimage.label(above, TOUCHING)
    masks = [labels == number for number in range(1, count + 1)]
    return [mask for mask in masks if mask.sum() >= least]


@example(seed=1, smooth=0.75, threshold=0.75, tolerance=1)  # a line, of which a thin box is left
@given(st.integers(0, 10_000), st.floats(0.7, 6), st.floats(0.5, 2), st.sampled_from([0, 1, 3]))
@settings(max_examples=25, deadline=None)
def test_polygons_cover_the_regions(
    seed: int, smooth: float, threshold: float, tolerance: float
) -> None:
    one = rough_map(seed, smooth)
    found = find_regions(one, threshold, 9, tolerance)
    expected = blobs(one > threshold, 9)
    assert len(found) == len(expected)
    assert [region.score for region in found] == sorted(
        (float(one[mask].max()) for mask in expected), reverse=True
    )
    for region in found:
        (mask,) = (mask for mask in expected if one[mask].max() == np.float32(region.score))
        assert region.area == mask.sum()
        assert len(region.points) >= 3
        filled = ndimage.binary_fill_holes(mask)
        drawn = rasterised(region.points, mask.shape)
        union, common = (drawn | filled).sum(), (drawn & filled).sum()
        assert common >= (1 if tolerance == 0 else 0.95) * union


def test_simplifying_leaves_few_points_of_a_large_region() -> None:
    disc = np.zeros((300, 300), np.float32)
    cv2.circle(disc, (150, 140), 100, 1.0, -1)
    (exact,) = find_regions(disc, 0.5, 1, 0.0)
    (simple,) = find_regions(disc, 0.5, 1, 1.0)
    assert len(exact.points) > 500
    assert len(simple.points) < 40
    distances = np.hypot(*(simple.points - (150.5, 140.5)).T)
    assert np.abs(distances - 100).max() < 1.5


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 40), (40, 1), (2, 2)])
def test_dots_and_lines_are_polygons_too(shape: tuple[int, int]) -> None:
    one = np.zeros((60, 60), np.float32)
    one[7 : 7 + shape[0], 11 : 11 + shape[1]] = 1
    (region,) = find_regions(one, 0.5, 1, 1.0)
    assert 3 <= len(region.points) <= 4
    assert np.array_equal(rasterised(region.points, one.shape), one > 0)


def test_nothing_above_the_threshold_is_no_region() -> None:
    flat = np.full((20, 20), 0.5, np.float32)
    assert find_regions(flat, 0.5, 1, 1.0) == []
    (whole,) = find_regions(flat, 0.4, 1, 1.0)
    assert rasterised(whole.points, flat.shape).all()
    holed = flat.copy()
    holed[5:8, 5:8] = 0
    (outer,) = find_regions(holed, 0.4, 1, 1.0)
    assert outer.area == 391
    assert rasterised(outer.points, holed.shape).all()  # holes are filled


def test_keys_and_types_are_labelme_s() -> None:
    region = Region(np.array([[0.5, 1.25], [9.123, 1.5], [4.0, 8.0]]), 0.73219, 31)
    found = annotation(Path("a/out/x.json"), Path("a/in/x y.png"), (20, 30), [region], "dent", True)
    assert json.loads(json.dumps(found)) == {
        "version": "7.9.1",
        "flags": {"alarm": True},
        "shapes": [
            {
                "label": "dent",
                "points": [[0.5, 1.25], [9.12, 1.5], [4.0, 8.0]],
                "group_id": 1,
                "description": "score 0.7322, 31 px",
                "shape_type": "polygon",
                "flags": {"predicted": True},
            }
        ],
        "imagePath": "../in/x y.png",
        "imageData": None,
        "imageHeight": 20,
        "imageWidth": 30,
    }
    assert annotation(Path("x.json"), Path("x.png"), (2, 3), [], "dent", False)["shapes"] == []


def test_links_do_not_lead_astray(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "out").symlink_to(tmp_path / "deep" / "er")
    found = annotation(tmp_path / "out" / "x.json", tmp_path / "x.png", (2, 3), [], "dent", False)
    assert (tmp_path / "out" / found["imagePath"]).resolve() == tmp_path / "x.png"


def read_with_labelme(file: Path) -> Any:
    """LabelMe's own reader; it needs Qt's libraries, but no display."""
    try:
        from labelme._label_file import read_label_file
    except ImportError as error:
        pytest.skip(f"LabelMe cannot be imported: {error}")
    return read_label_file(filename=str(file))


@pytest.mark.parametrize("orientation", [None, 6])
@pytest.mark.parametrize("regions", [0, 4])
def test_labelme_reads_it(tmp_path: Path, regions: int, orientation: int | None) -> None:
    image = tmp_path / "images" / "größer x.png"
    image.parent.mkdir()
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new("RGB", (130, 90) if orientation is None else (90, 130)).save(image, exif=exif)
    one = rough_map(0, 4.0)
    found = find_regions(one, 1.0, 20, 1.0)[:regions]
    file = tmp_path / "out" / "größer x.json"
    file.parent.mkdir()
    content = annotation(file, image, one.shape, found, "dent", bool(found))
    file.write_text(json.dumps(content), encoding="utf-8")
    read = read_with_labelme(file)
    assert read.image_path == "../images/größer x.png"
    assert read.flags == {"alarm": bool(found)}
    assert len(read.shapes) == regions
    masks = blobs(one > 1.0, 20)
    for rank, shape in enumerate(read.shapes, start=1):
        assert (shape["label"], shape["shape_type"], shape["group_id"]) == ("dent", "polygon", rank)
        points = np.array(shape["points"])
        drawn = rasterised(points, one.shape)
        overlap = max((drawn & mask).sum() / (drawn | mask).sum() for mask in masks)
        assert overlap >= 0.95
