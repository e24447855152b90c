"""Own folders as people, tools and publishers name them; and what is said where none fits."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blemish.core.errors import UserError
from blemish.datasets.own_folder import categories_in
from blemish.images.manifest import Manifest
from tests.datasets.own_folders import annotation, counts, only_good, picture, prepared


def empty_mask(path: Path) -> None:
    annotation(path)
    Image.fromarray(np.zeros((8, 12), np.uint8)).save(path)


def pictures(folder: Path, count: int, suffix: str = ".png", first: int = 0) -> None:
    for number in range(first, first + count):
        picture(folder / f"{number:04d}{suffix}")


def split_counts(manifest: Manifest) -> dict[str, int]:
    """Good and defective images of the test, and all that training and validation have."""
    rows = manifest.rows
    tested = rows[rows["split"] == "test"]
    assert not rows[rows["split"] != "test"]["label"].any()
    return {
        "train": len(rows) - len(tested),
        "good": int((tested["label"] == 0).sum()),
        "bad": int(tested["label"].sum()),
    }


def covered(manifest: Manifest) -> bool:
    """Whether each defective image has the mask whose upper left pixel is marked."""
    bad = manifest.rows[manifest.rows["label"] == 1]
    masks = [np.asarray(Image.open(manifest.root / mask)) for mask in bad["mask"]]
    return all(np.argwhere(mask).tolist() == [[0, 0]] for mask in masks)


@pytest.mark.parametrize(
    "name",
    ["Good", "GOOD", "ok", "OK", "Ok", "normal", "Normal", "nominal", "defect-free", "No Defect"],
)
def test_the_folder_of_normal_images_has_many_names(name: str, tmp_path: Path) -> None:
    pictures(tmp_path / "own" / name, 20)
    picture(tmp_path / "own/scratch/a.png")
    annotation(tmp_path / "own/ground_truth/scratch/a.png")
    assert categories_in("bolts", tmp_path / "own") == ("all",)
    manifest = prepared(tmp_path / "own", tmp_path)
    assert split_counts(manifest) == {"train": 16, "good": 4, "bad": 1}
    assert covered(manifest)


@pytest.mark.parametrize("place", ["ground_truth", "masks", "mask", "gt", "labels", "Label", "GT"])
@pytest.mark.parametrize("suffix", ["", "_mask", "_GT", "_gt", "_label", "_labels"])
def test_masks_have_many_names(place: str, suffix: str, tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    for number in range(2):
        picture(tmp_path / f"own/scratch/{number}.jpg")
        annotation(tmp_path / f"own/{place}/scratch/{number}{suffix}.png")
    manifest = prepared(tmp_path / "own", tmp_path)
    assert manifest.facts.masks == "pixel"
    assert covered(manifest)
    assert len(manifest.rows) == 22


@pytest.mark.parametrize(
    ("train", "test"), [("train", "test"), ("Train", "Test"), ("TRAIN", "test")]
)
def test_btad(train: str, test: str, tmp_path: Path) -> None:
    for category in ("01", "03"):
        root = tmp_path / "own" / category
        pictures(root / train / "ok", 10, ".bmp")
        pictures(root / test / "ok", 4, ".bmp")
        pictures(root / test / "ko", 3, ".bmp")
        for number in range(3):
            annotation(root / "ground_truth/ko" / f"{number:04d}.png")
    assert categories_in("btad", tmp_path / "own") == ("01", "03")
    manifest = prepared(tmp_path / "own", tmp_path, "03")
    assert split_counts(manifest) == {"train": 10, "good": 4, "bad": 3}
    assert set(manifest.rows["defect"]) == {"good", "ko"}
    assert covered(manifest)


def test_a_validation_part_is_kept(tmp_path: Path) -> None:
    for part, count in (("train", 10), ("validation", 3), ("test", 2)):
        pictures(tmp_path / "own" / part / "good", count)
    pictures(tmp_path / "own/test/bad", 2)
    found = counts(prepared(tmp_path / "own", tmp_path))
    assert found["val", "good"] == 3
    assert found["train", "good"] == 10


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
    from tests.datasets.test_own_annotations import coco

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
    from tests.datasets.test_own_annotations import voc

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


def test_a_defect_type_may_be_called_label(tmp_path: Path) -> None:
    only_good(tmp_path / "own")
    pictures(tmp_path / "own/label", 3)
    assert counts(prepared(tmp_path / "own", tmp_path))["test", "label"] == 3


def test_images_and_masks_in_folders_of_their_own(tmp_path: Path) -> None:
    pictures(tmp_path / "own/Images/Normal", 20)
    pictures(tmp_path / "own/Images/Anomaly", 3)
    for number in range(3):
        annotation(tmp_path / "own/Masks/Anomaly" / f"{number:04d}.png")
    assert categories_in("bolts", tmp_path / "own") == ("all",)
    manifest = prepared(tmp_path / "own", tmp_path)
    assert split_counts(manifest) == {"train": 16, "good": 4, "bad": 3}
    assert covered(manifest)


def test_a_category_called_images_stays_one(tmp_path: Path) -> None:
    only_good(tmp_path / "own/images")
    assert categories_in("bolts", tmp_path / "own") == ("images",)


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        ({"fine": 3, "scratch": 2}, ["fine/ (3 images), scratch/ (2 images)"]),
        ({"Train/fine": 3, "Test/bad": 2}, ["Test/bad/ (2 images), Train/fine/ (3 images)"]),
        ({".": 4}, ["no sub-folder (4 images)"]),
        ({}, ["but nothing", "put the normal images into good/ (or ok, normal, nominal)"]),
    ],
)
def test_otherwise_the_error_says_what_lies_there(
    folders: dict[str, int], words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    for folder, count in folders.items():
        pictures(tmp_path / "own" / folder, count)
    with pytest.raises(UserError) as caught:
        categories_in("bolts", tmp_path / "own")
    for part in ["`data.folders.bolts`", "neither good/ nor train/good/", *words]:
        assert part in str(caught.value)


def test_masks_beside_defects_do_not_hide_that_the_normal_images_have_another_name(
    tmp_path: Path,
) -> None:
    pictures(tmp_path / "own/fine", 5)
    pictures(tmp_path / "own/scratch", 2)
    annotation(tmp_path / "own/scratch/0000_mask.png")
    with pytest.raises(UserError, match=r"but fine/ \(5 images\), scratch/ \(3 images\): put the"):
        categories_in("bolts", tmp_path / "own")
