"""Heat-map strips: which images, which facts, and that the pictures show them."""

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from blemish.core.errors import UserError
from blemish.evaluation.heatmaps import write_heatmaps
from blemish.evaluation.predictions import Predictions

TRUTH, ABOVE = (0, 165, 255), (255, 20, 140)
THRESHOLDS = (0.35, 0.35)  # of images and of maps


def enlarge(one, size):
    return cv2.resize(one, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def everything(rows):
    return rows["slice"] == ""


def predictions(root, good=5, defective=6, size=(60, 80), colour=False):
    """Grey images; the k-th good one peaks at 0.1 + 0.05 k, the k-th defective at 0.3 + 0.1 k."""
    rows, maps = [], []
    (root / "test").mkdir(parents=True)
    for number in range(good + defective):
        label = int(number >= good)
        peak = 0.3 + 0.1 * (number - good) if label else 0.1 + 0.05 * number
        name = f"test/{number:02d}.png"
        picture = np.full((*size, 3) if colour else size, 120, np.uint8)
        cv2.imwrite(str(root / name), picture)
        mask = np.zeros(size, np.uint8)
        mask[size[0] // 4 : size[0] // 2, size[1] // 4 : size[1] // 2] = 255
        if label:
            cv2.imwrite(str(root / f"mask{number:02d}.png"), mask)
        one = np.full((16, 16), 0.05, np.float32)
        one[4:8, 4:8] = peak
        maps.append(one)
        rows.append(
            {
                "image": name,
                "mask": f"mask{number:02d}.png" if label else None,
                "label": label,
                "defect": "spot" if label else "good",
                "slice": "",
                "height": size[0],
                "width": size[1],
            }
        )
    stack = np.stack(maps)
    return Predictions(pd.DataFrame(rows), stack.max((1, 2)).astype(float), stack, enlarge, root)


def has(path, colour):
    """Whether the third panel (not the legend below it) has a pixel of this colour."""
    picture = np.asarray(Image.open(path))
    return bool((picture[54:-48, -300:] == colour).all(axis=2).any())


def test_the_worst_and_the_best_of_each_label(tmp_path):
    test = predictions(tmp_path / "unit")
    records = write_heatmaps(test, everything, THRESHOLDS, tmp_path / "heatmaps", limit_per_kind=2)
    assert [(one["kind"], one["image"]) for one in records] == [
        ("missed", "test/05.png"),
        ("missed", "test/06.png"),
        ("false_alarm", "test/04.png"),
        ("false_alarm", "test/03.png"),
        ("found", "test/10.png"),
        ("found", "test/09.png"),
        ("quiet", "test/00.png"),
        ("quiet", "test/01.png"),
    ]
    assert records[0] == {
        "file": "heatmaps/missed-01.png",
        "kind": "missed",
        "image": "test/05.png",
        "score": pytest.approx(0.3),
        "label": 1,
        "defect": "spot",
        "views": [],
    }
    for record in records:
        with Image.open(tmp_path / record["file"]) as picture:
            assert picture.width <= 900


def test_no_image_appears_twice_and_errors_come_first(tmp_path):
    test = predictions(tmp_path / "unit", good=1, defective=3)
    records = write_heatmaps(test, everything, THRESHOLDS, tmp_path / "heatmaps")
    kinds = [one["kind"] for one in records]
    assert kinds == ["missed", "missed", "false_alarm", "found"]
    assert len({one["image"] for one in records}) == 4


def test_outlines_are_drawn_where_there_is_something_to_outline(tmp_path):
    test = predictions(tmp_path / "unit")
    folder = tmp_path / "heatmaps"
    write_heatmaps(test, everything, THRESHOLDS, folder)
    assert has(folder / "found-01.png", TRUTH)
    assert has(folder / "found-01.png", ABOVE)
    assert has(folder / "missed-01.png", TRUTH)
    assert not has(folder / "missed-01.png", ABOVE)  # its map stays below the threshold
    assert not has(folder / "quiet-01.png", TRUTH)


def test_maps_have_a_threshold_of_their_own(tmp_path):
    """Scores need not be in the units of the maps."""
    test = predictions(tmp_path / "unit")
    other = Predictions(test.rows, test.scores * 50, test.maps, enlarge, test.root)
    write_heatmaps(other, everything, (20.0, 0.35), tmp_path / "heatmaps")
    assert has(tmp_path / "heatmaps" / "found-01.png", ABOVE)
    assert not has(tmp_path / "heatmaps" / "missed-01.png", ABOVE)


def test_colours_mean_the_same_in_all_strips(tmp_path):
    """The defective square gets brighter from strip to strip, as its peak in the map does."""
    test = predictions(tmp_path / "unit")
    write_heatmaps(test, everything, THRESHOLDS, tmp_path / "heatmaps", limit_per_kind=3)
    names = ["missed-01", "missed-02", "missed-03", "found-03", "found-02", "found-01"]
    squares = []
    for name in names:
        picture = np.asarray(Image.open(tmp_path / "heatmaps" / f"{name}.png")).astype(float)
        middle = picture[54:-48, 304 : 304 + 280]  # the second panel
        height, width = middle.shape[:2]
        squares.append(middle[height * 3 // 8, width * 3 // 8].sum())
    assert squares[:5] == sorted(squares[:5])
    assert squares[0] < 0.75 * squares[4]


@pytest.mark.parametrize("size", [(40, 50), (1000, 1000), (600, 80), (80, 600)], ids=str)
@pytest.mark.parametrize("colour", [False, True])
def test_any_size_and_colour(tmp_path, size, colour):
    test = predictions(tmp_path / "unit", 1, 1, size, colour)
    records = write_heatmaps(test, everything, (0.2, 0.2), tmp_path / "heatmaps")
    assert len(records) == 2
    for record in records:
        with Image.open(tmp_path / record["file"]) as picture:
            assert picture.mode == "RGB"
            assert picture.width <= 900
            assert picture.height <= 540


def test_panels_of_long_images_lie_below_each_other(tmp_path):
    """Side by side a strip of 16 : 1 would be 18 pixels high."""
    test = predictions(tmp_path / "unit", 1, 1, (20, 320))
    (first, *_) = write_heatmaps(test, everything, (0.2, 0.2), tmp_path / "heatmaps")
    with Image.open(tmp_path / first["file"]) as picture:
        strip = np.asarray(picture)
    assert strip.shape == (54 + 3 * 54 + 2 * 12 + 48, 888, 3)
    for top in (54, 120, 186):
        assert strip[top : top + 54, 12:876].min() < 200
    for gap in (108, 174):
        assert (strip[gap : gap + 12] == 255).all()


def test_equal_input_gives_equal_bytes(tmp_path):
    test = predictions(tmp_path / "unit")
    folders = [tmp_path / "a" / "heatmaps", tmp_path / "b" / "heatmaps"]
    records = [write_heatmaps(test, everything, THRESHOLDS, folder) for folder in folders]
    assert records[0] == records[1]
    for record in records[0]:
        first, second = (folder.parent / record["file"] for folder in folders)
        assert first.read_bytes() == second.read_bytes()


def test_units_without_masks_and_constant_maps(tmp_path):
    test = predictions(tmp_path / "unit")
    flat = Predictions(
        test.rows.assign(mask=None), test.scores, np.zeros_like(test.maps), enlarge, test.root
    )
    records = write_heatmaps(flat, everything, THRESHOLDS, tmp_path / "heatmaps")
    assert len(records) == 11
    assert not has(tmp_path / "heatmaps" / "found-01.png", TRUTH)


def test_only_the_headline_is_shown(tmp_path):
    test = predictions(tmp_path / "unit")
    rows = test.rows.assign(slice=["doubtful"] * 10 + [""])
    test = Predictions(rows, test.scores, test.maps, enlarge, test.root)
    records = write_heatmaps(test, everything, THRESHOLDS, tmp_path / "heatmaps")
    assert [one["image"] for one in records] == ["test/10.png"]
    empty = write_heatmaps(
        test, lambda rows: rows["slice"] == "none", THRESHOLDS, tmp_path / "empty"
    )
    assert empty == []


def test_a_missing_image_is_named(tmp_path):
    test = predictions(tmp_path / "unit")
    (tmp_path / "unit" / "test" / "05.png").unlink()
    with pytest.raises(UserError, match=r"test/05\.png"):
        write_heatmaps(test, everything, THRESHOLDS, tmp_path / "heatmaps")
