"""Annotations of own folders are hostile: whatever they hold gives masks or one line."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blemish.core.errors import UserError
from blemish.datasets.layouts.coco import coco_defects, read_coco
from blemish.datasets.layouts.labelme import labelme_polygons
from tests.datasets.annotation_files import SIZE, SQUARE, coco, labelme, shape, with_scratch, yolo
from tests.datasets.own_folders import prepared

many = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([shape(SQUARE[:2], "linestrip")], r"000\.json, shape 1: a 'linestrip', which encloses no"),
        ([shape(), shape([[3, 3]], "point")], r"000\.json, shape 2: a 'point'"),
        ([shape(SQUARE[:2])], r"shape 1: 2 points do not make a polygon"),
        ([shape([[1, 2], [3, "4"], [5, 6]])], r"shape 1: expected points \[\[x, y\], …\]"),
        ([shape([[1, 2], [3, float("nan")], [5, 6]])], r"shape 1: expected points"),
        ([shape([[1, 2], [3, 1e300], [5, 6]])], r"shape 1: expected points"),
        ([shape([[1, 2], [3, 9e8], [5, 6]])], r"shape 1: the outline lies far outside"),
        ([shape([[100, 2], [130, 2], [100, 9]])], r"shape 1: .+ outside the image"),
        ([shape(label="")], r"shape 1: the defect has no name"),
        (["x"], r"000\.json: not a file of LabelMe"),
    ],
)
def test_faults_of_labelme_name_file_and_shape(
    shapes: list[dict[str, object]], message: str, tmp_path: Path
) -> None:
    with_scratch(tmp_path / "own")
    labelme(tmp_path / "own/scratch/000.json", shapes)
    with pytest.raises(UserError, match=message):
        prepared(tmp_path / "own", tmp_path)


def test_an_annotation_of_another_image_s_size_is_refused(tmp_path: Path) -> None:
    with_scratch(tmp_path / "own")
    labelme(tmp_path / "own/scratch/000.json", [shape()], (600, 400))
    with pytest.raises(UserError, match=r"an image of 600×400, but it is 60×40"):
        prepared(tmp_path / "own", tmp_path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"segmentation": {"size": [40, 60], "counts": "abc"}}, "compressed run lengths are not"),
        ({"segmentation": {"size": [40, 60], "counts": [9, 9]}}, "of another size"),
        ({"segmentation": {"size": [40, 60], "counts": [-9, 2409]}}, "`counts` must be"),
        ({"segmentation": {"size": [40, 60], "counts": [2400]}}, "the mask is empty"),
        ({"segmentation": [[1, 2, 3, 4]]}, "three or more corners"),
        ({"segmentation": [[1, 2, 3, 4, 5, None]]}, "three or more corners"),
        ({"segmentation": [], "bbox": [1, 2, 3]}, "neither `segmentation` nor `bbox`"),
        ([1, 2, -3, 4], "neither `segmentation` nor `bbox`"),
        ({"image_id": 7, "bbox": [1, 2, 3, 4]}, "image 7 or category 1 is not in the file"),
        ({"category_id": -1, "bbox": [1, 2, 3, 4]}, "image 0 or category -1 is not in the file"),
        ({"category_id": "1", "bbox": [1, 2, 3, 4]}, "expected image_id, category_id as numbers"),
    ],
)
def test_faults_of_coco_name_file_and_entry(value: object, message: str, tmp_path: Path) -> None:
    with_scratch(tmp_path / "own")
    coco(tmp_path / "own/_annotations.coco.json", ["000.png"], {"000.png": [("dent", value)]})
    with pytest.raises(UserError, match=rf"_annotations\.coco\.json, annotations 1: .*{message}"):
        prepared(tmp_path / "own", tmp_path)


def test_coco_of_another_size_is_refused(tmp_path: Path) -> None:
    with_scratch(tmp_path / "own")
    coco(tmp_path / "own/a.json", ["000.png"], {"000.png": [("dent", [1, 1, 2, 2])]}, (9, 9))
    with pytest.raises(UserError, match=r"000\.png is 9×9 there, but 60×40 in the file"):
        prepared(tmp_path / "own", tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.1 0.1 0.2", "expected `class x y width height` or a polygon"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "expected `class x y width height` or a polygon"),
        ("0 nan 0.1 0.2 0.2 0.3 0.3", "expected `class x y width height` or a polygon"),
        ("3 0.1 0.1 0.2 0.2 0.3 0.3", "class 3, but only 1 classes are named"),
        ("0 252 577 499 606 300 600", "outside the image"),
    ],
)
def test_faults_of_yolo_name_file_and_line(line: str, message: str, tmp_path: Path) -> None:
    with_scratch(tmp_path / "own")
    (tmp_path / "own/data.yaml").write_text("names: [dent]\n")
    yolo(tmp_path / "own/labels/000.txt", "0 0.5 0.5 0.1 0.1", line)
    with pytest.raises(UserError, match=rf"labels/000\.txt, line 2: .*{message}"):
        prepared(tmp_path / "own", tmp_path)


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.system ['true']", "names: &a [*a]", "names: {0: a, 7: b}"]
)
def test_a_hostile_table_of_classes_is_one_line(text: str, tmp_path: Path) -> None:
    with_scratch(tmp_path / "own")
    (tmp_path / "own/data.yaml").write_text(text)
    yolo(tmp_path / "own/labels/000.txt", "0 0.5 0.5 0.1 0.1")
    with pytest.raises(UserError, match=r"data\.yaml"):
        prepared(tmp_path / "own", tmp_path)


def test_a_file_too_large_for_an_annotation_is_refused(tmp_path: Path) -> None:
    with_scratch(tmp_path / "own")
    with (tmp_path / "own/scratch/000.xml").open("wb") as stream:
        stream.truncate(10**9)
    with pytest.raises(UserError, match=r"000\.xml: 1000000000 bytes, more than .+: refused"):
        prepared(tmp_path / "own", tmp_path)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10**12)
    | st.floats()
    | st.text(max_size=3)
    | st.just("polygon"),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["shapes", "points", "label", "shape_type", "imageWidth", "images", "id",
                         "annotations", "categories", "file_name", "image_id", "category_id",
                         "segmentation", "counts", "size", "bbox", "name"]),
        inner,
        max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip


@many
@given(values)
def test_any_json_gives_outlines_inside_or_one_line(tmp_path: Path, value: object) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value))
    try:
        for box in labelme_polygons(path, SIZE):
            assert box.overlap((0, 0, *SIZE)) > 0
    except UserError:
        pass
    try:
        found = read_coco(path)
        for image in found.images.values():
            coco_defects(found, image, SIZE)
    except UserError:
        pass
