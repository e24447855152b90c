"""Annotations of LabelMe, COCO, Pascal VOC and YOLO become the masks of an own folder."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from blemish.core.errors import UserError
from blemish.datasets.layouts.boxes import yolo_boxes
from blemish.datasets.layouts.coco import coco_defects, read_coco
from blemish.datasets.layouts.labelme import labelme_polygons
from blemish.datasets.own_folder import inventory
from blemish.images.manifest import Manifest
from tests.datasets.own_folders import annotation, counts, only_good, picture, prepared

SIZE = (60, 40)
SQUARE = [[10, 5], [30, 5], [30, 25], [10, 25]]
many = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def labelme(path: Path, shapes: Sequence[Mapping[str, object]], size: object = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size  # type: ignore[misc]
    content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": "x.png"}
    content |= {"imageData": None, "imageHeight": height, "imageWidth": width}
    path.write_text(json.dumps(content))
    return path


def shape(
    points: object = SQUARE, form: str = "polygon", label: object = "dent"
) -> dict[str, object]:
    return {"label": label, "points": points, "shape_type": form, "group_id": None, "flags": {}}


def voc(path: Path, boxes: Sequence[tuple[str, Sequence[float]]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = ("xmin", "ymin", "xmax", "ymax")
    objects = "".join(
        f"<object><name>{name}</name><bndbox>"
        + "".join(f"<{key}>{value}</{key}>" for key, value in zip(keys, box, strict=True))
        + "</bndbox></object>"
        for name, box in boxes
    )
    path.write_text(f"<annotation><filename>x</filename>{objects}</annotation>")
    return path


def coco(
    path: Path,
    files: Sequence[str],
    boxes: Mapping[str, Sequence[tuple[str, object]]],
    size: tuple[int, int] | None = None,
) -> Path:
    """`boxes`: of each file the type and a box [x, y, w, h], or {"segmentation": …}."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = ["", *sorted({kind for entries in boxes.values() for kind, _ in entries})]
    known = {"width": size[0], "height": size[1]} if size else {}
    entries = [
        {"image_id": files.index(file), "category_id": kinds.index(kind), "id": 1}
        | ({"bbox": value, "segmentation": []} if isinstance(value, list) else dict(value))
        for file, group in boxes.items()
        for kind, value in group
    ]
    content = {
        "images": [{"id": at, "file_name": name} | known for at, name in enumerate(files)],
        "categories": [{"id": at, "name": kind} for at, kind in enumerate(kinds)],
        "annotations": entries,
    }
    path.write_text(json.dumps(content))
    return path


def yolo(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def mask_of(manifest: Manifest) -> NDArray[np.bool_]:
    """The mask of the only defective image."""
    (row,) = manifest.rows[manifest.rows["label"] == 1].itertuples()
    return np.asarray(Image.open(manifest.root / row.mask)) > 0


def extent(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is marked, the last ones included."""
    ys, xs = np.nonzero(mask)
    return int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max())


def with_scratch(root: Path) -> Path:
    only_good(root)
    return picture(root / "scratch/000.png", *SIZE)


POLYGON = "0 0.166667 0.125 0.5 0.125 0.5 0.625 0.166667 0.625"
RUNS = {"size": [40, 60], "counts": [10 * 40 + 5, *[20, 20] * 19, 20, 29 * 40 + 15 + 40 * 1 - 40]}


@pytest.mark.parametrize(
    ("make", "masks"),
    [
        (lambda at: labelme(at.with_suffix(".json"), [shape()]), "polygons"),
        (lambda at: labelme(at.with_suffix(".json"), [shape(SQUARE[::2], "rectangle")]), "boxes"),
        (lambda at: labelme(at.with_suffix(".json"), [shape(SQUARE[2::-2], "rectangle")]), "boxes"),
        (lambda at: voc(at.with_suffix(".xml"), [("dent", (10, 5, 30, 25))]), "boxes"),
        (lambda at: yolo(at.with_suffix(".txt"), "0 0.333333 0.375 0.333333 0.5"), "boxes"),
        (lambda at: yolo(at.with_suffix(".txt"), POLYGON), "polygons"),
        (lambda at: labelme(at.with_name("000.png.json"), [shape()]), "polygons"),
    ],
)
@pytest.mark.parametrize(
    "place", ["scratch", "ground_truth/scratch", "labels", "Annotations/scratch", "scratch/labels"]
)
def test_each_format_becomes_a_mask(
    make: Callable[[Path], Path], masks: str, place: str, tmp_path: Path
) -> None:
    with_scratch(tmp_path / "own")
    made = make(tmp_path / "own" / place / "000.png")
    assert made.relative_to(tmp_path / "own").as_posix() in inventory(tmp_path / "own", "all")
    manifest = prepared(tmp_path / "own", tmp_path)
    assert manifest.facts.masks == masks
    left, top, right, bottom = extent(mask_of(manifest))
    assert (left, top) == (10, 5)
    assert right in {29, 30}
    assert bottom in {24, 25}
    assert counts(manifest)["test", "scratch"] == 1  # the folder's name, not the label


@pytest.mark.parametrize(
    ("value", "masks"),
    [
        ([10, 5, 20, 20], "boxes"),
        ({"segmentation": [[10, 5, 30, 5, 30, 25, 10, 25]]}, "polygons"),
        ({"segmentation": [[10, 5, 30, 5, 30, 9], [10, 9, 30, 25, 10, 25]]}, "polygons"),
        (
            {"segmentation": {"size": [40, 60], "counts": [405, *[20, 20] * 19, 20, 1215]}},
            "pixel",
        ),
    ],
)
@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("_annotations.coco.json", "000.png"),
        ("annotations/instances_default.json", "scratch/000.png"),
        ("scratch/_annotations.coco.json", "images/000.png"),
        ("labels.json", "000.png"),
    ],
)
def test_coco_becomes_masks(
    value: object, masks: str, place: str, name: str, tmp_path: Path
) -> None:
    with_scratch(tmp_path / "own")
    coco(tmp_path / "own" / place, [name, "elsewhere.png"], {name: [("dent", value)]}, SIZE)
    manifest = prepared(tmp_path / "own", tmp_path)
    assert manifest.facts.masks == masks
    left, top, right, bottom = extent(mask_of(manifest))
    assert (left, top) == (10, 5)
    assert right in {29, 30}
    assert bottom in {24, 25}
    assert any("1 image(s) that" in note for note in manifest.facts.notes)


def test_run_lengths_are_exact(tmp_path: Path) -> None:
    """Down the columns, the first run unmarked, a run through many columns."""
    counts_of = [3, 2, 35, 85, 40 * 60 - 125]
    flat = np.repeat(np.arange(5) % 2, counts_of)
    expected = flat.reshape(60, 40).T.astype(bool)
    with_scratch(tmp_path / "own")
    value = {"segmentation": {"size": [40, 60], "counts": counts_of}, "iscrowd": 1}
    coco(tmp_path / "own/a.json", ["000.png"], {"000.png": [("dent", value)]})
    assert (mask_of(prepared(tmp_path / "own", tmp_path)) == expected).all()


def test_a_circle_is_filled(tmp_path: Path) -> None:
    with_scratch(tmp_path / "own")
    labelme(tmp_path / "own/scratch/000.json", [shape([[30, 20], [40, 20]], "circle")])
    mask = mask_of(prepared(tmp_path / "own", tmp_path))
    assert extent(mask) == (20, 10, 40, 30)
    assert abs(int(mask.sum()) - np.pi * 10.5**2) < 15


def test_real_yolo_polygons(tmp_path: Path) -> None:
    """KolektorSDD's defect lies at x 252–499, y 577–606; read as a box it was elsewhere."""
    line = (
        "0 0.992 0.46012759170653905 0.99 0.4609250398724083 0.504 0.4832535885167464 "
        "0.506 0.4792663476874003 0.998 0.46172248803827753"
    )
    (box,) = yolo_boxes(yolo(tmp_path / "005.txt", line), (500, 1254), ("defect",))
    assert (round(box.left), round(box.top)) == (252, 577)
    assert (round(box.right), round(box.bottom)) == (499, 606)
    assert len(box.outlines[0]) == 5


def test_the_largest_label_names_an_image_that_no_folder_names(tmp_path: Path) -> None:
    for number in range(20):
        picture(tmp_path / f"own/{number:03d}.png", *SIZE)
    small = [[1, 1], [4, 1], [4, 4]]
    labelme(tmp_path / "own/007.json", [shape(small, label="Spot"), shape(label="Long Dent")])
    labelme(tmp_path / "own/008.json", [])
    manifest = prepared(tmp_path / "own", tmp_path)
    assert counts(manifest)["test", "long_dent"] == 1
    assert len(manifest.rows) == 20
    assert mask_of(manifest)[2, 3]
    assert "18 image(s) without an annotation count as good." in manifest.facts.notes


def test_a_mask_counts_before_outlines(tmp_path: Path) -> None:
    with_scratch(tmp_path / "own")
    labelme(tmp_path / "own/scratch/000.json", [shape()])
    annotation(tmp_path / "own/ground_truth/scratch/000.png", *SIZE)
    manifest = prepared(tmp_path / "own", tmp_path)
    assert extent(mask_of(manifest)) == (0, 0, 0, 0)
    assert "left out: 1 .json in scratch/" in manifest.facts.notes


def test_two_files_of_one_image_are_refused(tmp_path: Path) -> None:
    with_scratch(tmp_path / "own")
    labelme(tmp_path / "own/scratch/000.json", [shape()])
    voc(tmp_path / "own/Annotations/000.xml", [("dent", (1, 1, 5, 5))])
    with pytest.raises(UserError, match=r"(?s)000\.json.+both are named|000\.xml.+both are named"):
        prepared(tmp_path / "own", tmp_path)


def test_notes_and_settings_beside_images_are_no_annotations(tmp_path: Path) -> None:
    with_scratch(tmp_path / "own")
    (tmp_path / "own/scratch/000.txt").write_text("Kim saw 3 scratches here\n")
    (tmp_path / "own/scratch/000.json").write_text('{"exposure": 3}')
    (tmp_path / "own/camera.json").write_text("// not JSON")
    manifest = prepared(tmp_path / "own", tmp_path)
    assert manifest.facts.masks == "none"
    note = "left out: 1 .json in the folder itself, 1 .json in scratch/, 1 .txt in scratch/"
    assert note in manifest.facts.notes


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
