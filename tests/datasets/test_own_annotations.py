"""Annotations of LabelMe, COCO, Pascal VOC and YOLO become the masks of an own folder."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from blemish.core.errors import UserError
from blemish.datasets.layouts.boxes import yolo_boxes
from blemish.datasets.listing import list_folder, options
from blemish.datasets.own_folder import inventory, left_out
from blemish.images.manifest import Manifest
from blemish.predict.labelme import annotation as labelme_of
from blemish.predict.regions import find_regions
from tests.datasets.annotation_files import (
    SIZE,
    SQUARE,
    coco,
    labelme,
    shape,
    voc,
    with_scratch,
    yolo,
)
from tests.datasets.own_folders import annotation, counts, picture, prepared


def mask_of(manifest: Manifest) -> NDArray[np.bool_]:
    """The mask of the only defective image."""
    (row,) = manifest.rows[manifest.rows["label"] == 1].itertuples()
    return np.asarray(Image.open(manifest.root / row.mask)) > 0


def extent(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is marked, the last ones included."""
    ys, xs = np.nonzero(mask)
    return int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max())


POLYGON = "0 0.166667 0.125 0.5 0.125 0.5 0.625 0.166667 0.625"


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


def test_what_predict_writes_is_read(tmp_path: Path) -> None:
    image = with_scratch(tmp_path / "own")
    anomaly = np.zeros(SIZE[::-1], np.float32)
    anomaly[5:25, 10:31] = 0.9
    anomaly[18:30, 3:12] = 0.8
    regions = find_regions(anomaly, 0.5, 1, 0.5)
    file = image.with_suffix(".json")
    content = labelme_of(file, image, SIZE[::-1], regions, "anomaly", True)
    file.write_text(json.dumps(content))
    manifest = prepared(tmp_path / "own", tmp_path)
    assert manifest.facts.masks == "polygons"
    assert (mask_of(manifest) == (anomaly > 0)).all()


def test_editing_an_annotation_or_adding_what_is_left_out_is_noticed(tmp_path: Path) -> None:
    image = with_scratch(tmp_path / "own")
    before = inventory(tmp_path / "own", "all")
    file = labelme(image.with_suffix(".json"), [shape()])
    assert set(inventory(tmp_path / "own", "all")) - set(before) == {"scratch/000.json"}
    assert left_out(tmp_path / "own", "all") == ""
    file.with_suffix(".heic").write_bytes(b"x")
    assert left_out(tmp_path / "own", "all") == "1 .heic in scratch/"
    listed = options(list_folder("bolts", str(tmp_path / "own")), "bolts/all", "all")
    assert listed["left out"] == "1 .heic in scratch/"
    assert set(listed["files"]) == set(inventory(tmp_path / "own", "all"))


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
