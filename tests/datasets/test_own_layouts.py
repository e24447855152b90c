"""Own folders in the layouts of tools and publishers, where annotations say what is good."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blemish.core.errors import UserError
from blemish.datasets.own_folder import categories_in
from tests.datasets.annotation_files import coco, voc
from tests.datasets.own_folders import (
    annotation,
    covered,
    picture,
    pictures,
    prepared,
    split_counts,
)


def empty_mask(path: Path) -> None:
    annotation(path)
    Image.fromarray(np.zeros((8, 12), np.uint8)).save(path)


def dagm(root: Path) -> None:
    """The real one: 512 px, masks of the defective images alone, and a list of the labels."""
    for part in ("Train", "Test"):
        pictures(root / part, 12, ".PNG")
        for number in (3, 7):
            annotation(root / part / "Label" / f"{number:04d}_label.PNG")
        (root / part / "Label/Labels.txt").write_text("1\n1\t0\t0\t0\t0\n")


def ksdd2(root: Path) -> None:
    for part, first in (("train", 0), ("test", 100)):
        pictures(root / part, 12, first=first)
        for number in range(first, first + 12):
            make = annotation if number % 6 == 3 else empty_mask
            make(root / part / f"{number:04d}_GT.png")


def roboflow_coco(root: Path) -> None:
    for part in ("train", "valid", "test"):
        pictures(root / part, 12, ".jpg")
        boxes = {f"{number:04d}.jpg": [("crack", [0, 0, 1, 1])] for number in (3, 7)}
        files = [f"{number:04d}.jpg" for number in range(12)]
        coco(root / part / "_annotations.coco.json", files, boxes)


def roboflow_yolo(root: Path) -> None:
    (root / "train").mkdir(parents=True)
    (root / "data.yaml").write_text("train: ../train/images\nnc: 1\nnames: ['crack']\n")
    for part in ("train", "valid", "test"):
        pictures(root / part / "images", 12, ".jpg")
        (root / part / "labels").mkdir()
        for number in range(12):
            line = "0 0.041666 0.0625 0.083333 0.125\n" if number in {3, 7} else ""
            (root / part / "labels" / f"{number:04d}.txt").write_text(line)


def roboflow_voc(root: Path) -> None:
    for part in ("train", "valid", "test"):
        pictures(root / part, 12, ".jpg")
        for number in range(12):
            boxes = [("crack", (0, 0, 1, 1))] if number in {3, 7} else []
            voc(root / part / f"{number:04d}.xml", boxes)


def ultralytics(root: Path) -> None:
    for part in ("train", "val", "test"):
        pictures(root / "images" / part, 12, ".jpg")
        (root / "labels" / part).mkdir(parents=True)
        for number in (3, 7):
            line = "0 0.041666 0.0625 0.083333 0.125\n"
            (root / "labels" / part / f"{number:04d}.txt").write_text(line)
    (root / "data.yaml").write_text("names:\n  0: crack\n")


@pytest.mark.parametrize(
    ("make", "expected", "masks", "kind"),
    [
        (dagm, {"train": 10, "good": 10, "bad": 4}, "pixel", "defect"),
        (ksdd2, {"train": 10, "good": 10, "bad": 4}, "pixel", "defect"),
        (roboflow_coco, {"train": 20, "good": 10, "bad": 6}, "boxes", "crack"),
        (roboflow_yolo, {"train": 20, "good": 10, "bad": 6}, "boxes", "crack"),
        (roboflow_voc, {"train": 20, "good": 10, "bad": 6}, "boxes", "crack"),
        (ultralytics, {"train": 20, "good": 10, "bad": 6}, "boxes", "crack"),
    ],
)
@pytest.mark.parametrize("category", ["all", "Class1"])
def test_exports_and_published_layouts(
    make: Callable[[Path], None],
    expected: dict[str, int],
    masks: str,
    kind: str,
    category: str,
    tmp_path: Path,
) -> None:
    own = tmp_path / "own"
    make(own if category == "all" else own / category)
    assert categories_in("bolts", own) == (category,)
    manifest = prepared(own, tmp_path, category)
    assert split_counts(manifest) == expected
    assert manifest.facts.masks == masks
    assert set(manifest.rows["defect"]) == {"good", kind}
    assert covered(manifest)
    assert any("training takes good images alone" in note for note in manifest.facts.notes)


def test_kolektor_s_images_of_one_object_stay_together(tmp_path: Path) -> None:
    """KolektorSDD: 50 commutators, 8 surfaces each, of which one is defective."""
    for item in range(1, 13):
        for part in range(8):
            stem = tmp_path / "own" / f"kos{item:02d}" / f"Part{part}"
            picture(stem.with_suffix(".jpg"))
            make = annotation if part == item % 8 else empty_mask
            make(stem.with_name(f"Part{part}_label.bmp"))
    (tmp_path / "own/readme.txt").write_text("x")
    assert categories_in("kolektor", tmp_path / "own") == ("all",)
    manifest = prepared(tmp_path / "own", tmp_path)
    assert len(manifest.rows) == 96
    assert int(manifest.rows["label"].sum()) == 12
    assert manifest.facts.masks == "pixel"
    assert covered(manifest)
    assert "left out: 1 .txt in the folder itself" in manifest.facts.notes


def test_an_image_that_lacks_its_mask_is_not_good_where_empty_ones_say_so(tmp_path: Path) -> None:
    ksdd2(tmp_path / "own")
    (tmp_path / "own/train/0005_GT.png").unlink()
    with pytest.raises(UserError, match=r"train/0005\.png: no mask, while that of .+ is empty"):
        prepared(tmp_path / "own", tmp_path)


def test_parts_without_good_images_to_test_are_divided_by_our_rule(tmp_path: Path) -> None:
    ksdd2(tmp_path / "own")
    for file in (tmp_path / "own/test").iterdir():
        if int(file.name[:4]) % 6 != 3:
            file.unlink()
    manifest = prepared(tmp_path / "own", tmp_path)
    assert split_counts(manifest)["good"] == 2
    assert "No published split" in manifest.facts.notes[0]
