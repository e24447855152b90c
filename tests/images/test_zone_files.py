"""Zones as a person draws them: which file counts for which image, and what is refused."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from blemish.core.errors import UserError
from blemish.images.zone_files import ZoneFiles
from blemish.images.zones import IGNORE, IGNORED
from tests.datasets.annotation_files import labelme, shape

SIZE = (40, 60)  # H, W, as in the files of LabelMe: 60 × 40
NAMES = ("rim", "hub")


def draw(path: Path, rows: slice, size: tuple[int, int] = SIZE) -> Path:
    """A mask image, white in some rows."""
    mask = np.zeros(size, np.uint8)
    mask[rows] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return path


def box(label: str, left: int, top: int, right: int, bottom: int) -> dict[str, object]:
    return shape([[left, top], [right, bottom]], "rectangle", label)


def index(folder: Path, image: str = "000") -> np.ndarray:
    zones = ZoneFiles(folder, NAMES).of(image, SIZE)
    assert zones is not None
    assert zones.names == NAMES
    return zones.index


@pytest.mark.parametrize("folder", [".", "missing"])
def test_no_files_are_no_zones(folder: str, tmp_path: Path) -> None:
    files = ZoneFiles(tmp_path / folder, NAMES)
    assert not files
    assert files.of("000", SIZE) is None


def test_masks_and_shapes_for_all_images_add_up(tmp_path: Path) -> None:
    draw(tmp_path / "rim.png", slice(0, 10))
    draw(tmp_path / "ignore.bmp", slice(35, 40))
    labelme(tmp_path / "zones.json", [box("rim", 0, 30, 60, 40), box("hub", 20, 5, 40, 20)])
    (tmp_path / ".gitkeep").touch()
    (tmp_path / "who-drew-this.txt").touch()
    found = index(tmp_path)
    # Rows of the columns beside the hub, and through it: the rim comes first in the names.
    assert found[:, 0].tolist() == [1] * 10 + [0] * 20 + [1] * 5 + [IGNORED] * 5
    assert found[:, 30].tolist() == [1] * 10 + [2] * 10 + [0] * 10 + [1] * 5 + [IGNORED] * 5


def test_an_image_s_own_files_win_zone_by_zone(tmp_path: Path) -> None:
    draw(tmp_path / "rim.png", slice(0, 10))
    draw(tmp_path / "hub.png", slice(10, 20))
    draw(tmp_path / "ignore.png", slice(20, 30))
    draw(tmp_path / "rim" / "000.png", slice(30, 40))
    draw(tmp_path / "hub" / "001.png", slice(0, 0))  # black: this image has no hub
    labelme(tmp_path / "000.json", [box(IGNORE, 0, 0, 60, 5)])
    files = ZoneFiles(tmp_path, NAMES)
    assert index(tmp_path)[:, 0].tolist() == (
        [IGNORED] * 5 + [0] * 5 + [2] * 10 + [0] * 10 + [1] * 10
    )
    assert index(tmp_path, "001")[:, 0].tolist() == (
        [1] * 10 + [0] * 10 + [IGNORED] * 10 + [0] * 10
    )
    assert [files.has_own(name) for name in ("000", "001", "002")] == [True, True, False]
    assert files.of("test/scratch/000", SIZE) is not None


def test_a_file_by_the_image_s_path_wins_over_one_by_its_name(tmp_path: Path) -> None:
    draw(tmp_path / "rim" / "000.png", slice(0, 10))
    draw(tmp_path / "rim" / "test" / "scratch" / "000.png", slice(20, 30))
    labelme(tmp_path / "train" / "good" / "000.json", [box("hub", 0, 30, 60, 40)])
    assert index(tmp_path, "test/scratch/000")[:, 0].nonzero()[0].tolist() == [*range(20, 30)]
    assert index(tmp_path, "test/good/000")[:, 0].nonzero()[0].tolist() == [*range(10)]
    assert index(tmp_path, "train/good/000")[35, 0] == 2


def test_polygons_and_circles_are_drawn_as_defects_are(tmp_path: Path) -> None:
    corners = [[9.5, 4.5], [29.5, 4.5], [29.5, 24.5], [9.5, 24.5]]  # centres of pixels
    labelme(tmp_path / "000.json", [shape(corners, label=" rim ")])
    found = index(tmp_path) == 1
    assert found[4:25, 9:30].all()
    assert found.sum() == 21 * 21
    labelme(tmp_path / "000.json", [shape([[30, 20], [40, 20]], "circle", "hub")])
    assert (index(tmp_path) == 2).sum() == pytest.approx(np.pi * 10.5**2, rel=0.05)


def test_an_image_whose_own_zones_are_empty_has_none(tmp_path: Path) -> None:
    draw(tmp_path / "rim.png", slice(0, 10))
    draw(tmp_path / "rim" / "000.png", slice(0, 0))
    assert ZoneFiles(tmp_path, NAMES).of("000", SIZE) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rimm.png", r"rimm\.png: unknown zone 'rimm' \(did you mean 'rim'\?\); known: rim, hub, "),
        ("ignored/000.png", r"ignored: unknown zone 'ignored' \(did you mean 'ignore'\?\)"),
        ("test/good/000.png", r"test/good/000\.png: of which zone\? Put it into the folder of"),
    ],
)
def test_a_file_of_an_unknown_zone_is_named(name: str, message: str, tmp_path: Path) -> None:
    draw(tmp_path / name, slice(0, 10))
    with pytest.raises(UserError, match=message):
        ZoneFiles(tmp_path, NAMES)


@pytest.mark.parametrize(
    ("first", "second"), [("rim.png", "rim.bmp"), ("rim/000.png", "rim/000.bmp")]
)
def test_two_files_for_the_same_are_an_error(first: str, second: str, tmp_path: Path) -> None:
    draw(tmp_path / first, slice(0, 10))
    draw(tmp_path / second, slice(0, 10))
    with pytest.raises(UserError, match=r"\.png: \S+\.bmp is for the same zone: remove one"):
        ZoneFiles(tmp_path, NAMES)


LARGE = (60, 90)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda at: draw(at / "rim.png", slice(0, 9), LARGE),
         r"rim\.png: the zone is 90×60 but its image is 60×40: where images differ in size, give"),
        (lambda at: draw(at / "rim/000.png", slice(0, 9), LARGE),
         r"rim/000\.png: the zone is 90×60 but its image is 60×40: give both one size"),
        (lambda at: labelme(at / "zones.json", [box("rim", 0, 0, 9, 9)], LARGE[::-1]),
         r"zones\.json: describes an image of 90×60, but it is 60×40: where images differ"),
        (lambda at: labelme(at / "000.json", [box("rim", 0, 0, 9, 9)], LARGE[::-1]),
         r"000\.json: describes an image of 90×60, but it is 60×40: draw them anew"),
        (lambda at: labelme(at / "000.json", [box("rim", 0, 0, 9, 9), box("Rim", 0, 0, 9, 9)]),
         r"000\.json, shape 2: unknown zone 'Rim' \(did you mean 'rim'\?\); known: rim, hub, ign"),
        (lambda at: labelme(at / "000.json", [box("", 0, 0, 9, 9)]), r"shape 1: unknown zone ''"),
        (lambda at: labelme(at / "000.json", [shape([[1, 1], [9, 9]], "line", "rim")]),
         r"000\.json, shape 1: a 'line', which encloses no area"),
        (lambda at: labelme(at / "000.json", [box("rim", 70, 0, 90, 9)]),
         r"000\.json, shape 1: covers no pixel of the image: draw it on the image"),
        (lambda at: labelme(at / "000.json", [box("rim", 0, 0, 9, 9000)]),
         r"000\.json, shape 1: the outline lies far outside the image"),
        (lambda at: (at / "000.json").write_text("{"), r"000\.json: not a file of LabelMe \("),
        (lambda at: (at / "rim.png").write_bytes(b"no image"), r"rim\.png: not a whole image"),
        (lambda at: draw(at / "rim.png", slice(0, 0)), r"rim\.png: the zone is empty: mark it"),
        (lambda at: labelme(at / "zones.json", []), r"zones\.json: holds no shape: draw the zones"),
        (lambda at: draw(at / "ignore.png", slice(0, 40)),
         r"zones: the zone `ignore` covers all of the image 000, .+: leave a part free"),
        (lambda at: [draw(at / "ignore.png", slice(0, 20)),
                     draw(at / "ignore/000.png", slice(0, 20)),
                     labelme(at / "000.json", [box("ignore", 0, 20, 60, 40)])],
         r"zones: the zone `ignore` covers all of the image 000"),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_is_named(make: Any, message: str, tmp_path: Path) -> None:
    folder = tmp_path / "zones"
    folder.mkdir()
    make(folder)
    with pytest.raises(UserError, match=message) as caught:
        ZoneFiles(folder, NAMES).of("000", SIZE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "rim/00.png",
            r"rim/00\.png: no image of the unit is called 00 \(did you mean '001'\?\): ",
        ),
        ("ignore.json", r"ignore\.json: no image of the unit is called ignore: .+ zones\.json"),
        (
            "rim/001.png",
            r"rim/001\.png: 2 images are called 001 \(test/good/001, train/good/001\): put",
        ),
        ("test/bad/001.json", r"001\.json: no image of the unit is called test/bad/001"),
    ],
)
def test_a_file_that_fits_no_image_or_several_is_named(
    name: str, message: str, tmp_path: Path
) -> None:
    if name.endswith(".json"):
        labelme(tmp_path / name, [box("rim", 0, 0, 9, 9)])
    else:
        draw(tmp_path / name, slice(0, 9))
    with pytest.raises(UserError, match=message):
        ZoneFiles(tmp_path, NAMES).check_images(["test/good/001", "train/good/001", "train/a/000"])


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)
SHAPES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "label": ANYTHING | st.sampled_from(["rim", "hub", "ignore"]),
            "points": ANYTHING
            | st.lists(st.lists(st.floats() | st.integers(-100, 400), min_size=2, max_size=2)),
            "shape_type": ANYTHING | st.sampled_from(["polygon", "rectangle", "circle"]),
        },
    ),
    max_size=3,
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=ANYTHING | st.fixed_dictionaries({"shapes": SHAPES, "imageWidth": ANYTHING}))
def test_any_file_is_a_zone_or_an_error(content: object, tmp_path: Path) -> None:
    (tmp_path / "000.json").write_text(json.dumps(content))
    with contextlib.suppress(UserError):
        zones = ZoneFiles(tmp_path, NAMES).of("000", SIZE)
        assert zones is None or zones.index.shape == SIZE
